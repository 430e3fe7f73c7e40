"""What one instance sends: read, counted, and raised here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, Final

import attrs
from evframe_cloudevents import NotACloudEvent, envelope_of, is_cloud_event, read_object
from evframe_ingest import Found, Intake, Prepared, Refused
from evframe_wire.messages import Message, NotAnEvent, read_message, read_messages, reply
from evframe_wire.visible import brief

from evframe import EventNameError, Pairs, ParameterError
from evframe.plugin import PluginContext
from evframe_opensips.catalogue import is_of_the_core
from evframe_opensips.replies import Replies

log = logging.getLogger("evframe.opensips")
MAX_HOPS: Final = 8
_ERRORS: Final = {"unexpected": (-32601, "Method not found"), "error": (-32603, "Internal error")}
_INVALID: Final = (-32602, "Invalid params")


@attrs.frozen(slots=True)
class CarryingMessage(Message):
    """The notification that a CloudEvent stands for."""

    carried: Mapping[str, str] = attrs.field(kw_only=True)
    """Its context, by the names of headers."""


class InstanceIntake(Intake):
    """Raises the events of one instance.

    A request is answered when its event is raised, and delivered or on disk for each subscriber whose events are kept.

    Args:
        context: the context of the plugin.
        instance: the instance's name.
        instance_param: the parameter that gets it; empty for none.
        clock: the monotonic clock, in seconds.
    """

    until = "kept"

    def __init__(self, context: PluginContext, instance: str, instance_param: str, clock: Callable[[], float]) -> None:
        super().__init__(context, log, "an event of an instance was not raised", {"instance": instance}, clock)
        self._instance = instance
        self.instance_param = instance_param
        self._clock = clock
        self.expected: Collection[str] = ()
        """The events that it was asked for."""
        self.unchanged: Collection[str] = ()
        """Those of them whose declaration here has no place for the instance's name."""
        self.received = 0
        """How many JSON texts have come: those that were raised, and those that were refused."""
        self.unparsed = 0
        """How many pieces were no JSON."""
        self.dropped = 0
        """How many datagrams the kernel had no room for."""
        self.seen_at: float | None = None
        """When something arrived last."""

    def expect(self, names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        """Register those of *names* that are not known here yet; take the events that can be raised from now on.

        Return them, and the problem of each of the others.
        """
        param, refused = self.instance_param, {}
        usable = []
        for name in names:
            try:
                self._context.register_event(name)
            except EventNameError as error:
                refused[name] = str(error)
            else:
                usable.append(name)
        declared = {event.name: event.enforced for event in self._context.raising.events if event.enforced is not None}
        unchanged = {name for name in usable if name in declared and param not in declared[name].params}
        for name in usable:
            if is_of_the_core(name) and (not param or name in unchanged):  # this gateway raises it, too
                refused[name] = f"expected a declaration of {name} that has the name of the instance"
        events = [name for name in usable if name not in refused]
        self.expected, self.unchanged = set(events), unchanged
        return events, refused

    def take(self, data: bytes, answer: Callable[[bytes], None]) -> None:
        """Raise the events in *data*, which has whole JSON texts; *answer* gets the replies to those with an id."""
        self.seen_at = self._clock()
        replies = Replies(answer)
        try:
            if data:
                self._message(read_message(data), replies)
        except NotAnEvent as error:
            self._message(self._read_cloud_event(error), replies)
        except ValueError:
            for found in map(self._read_cloud_event, read_messages(data)):
                self._message(found, replies)
        replies.close()

    async def take_large(self, data: bytes, answer: Callable[[bytes], None]) -> None:
        """Do as `take` does, but read the messages and encode their events beside the loop."""
        self.seen_at = self._clock()
        replies = Replies(answer)
        for found in await asyncio.to_thread(lambda: [*map(self._read_cloud_event, read_messages(data))]):
            prepared = None
            if isinstance(found, Message):
                prepared = await self.prepare_found(partial(self._event, found))
            self._message(found, replies, prepared)
        replies.close()

    def drop(self, total: int) -> None:
        """Take the number of datagrams that the kernel had no room for so far."""
        if total > self.dropped:
            self.dropped = total
            self.warn("dropped", "the kernel had no room for events of an instance", {"dropped": total})

    def _message(self, found: Message | ValueError, replies: Replies, prepared: Prepared | None = None) -> None:
        """Raise the event of a message, or count what is none."""
        if isinstance(found, Message):
            self.received += 1
            find = partial(self._event, found)
            if found.id is None:
                self.take_found(find, prepared=prepared)
                return
            later = replies.later(reply(found.id, None))
            reason = self.take_found(find, later.taken, prepared)
            if reason is not None:
                later.reply(reply(found.id, _ERRORS.get(reason, _INVALID)))
        elif isinstance(found, NotAnEvent):
            self.received += 1
            self.refuse(Refused("no_event", str(found)))
        else:
            self.unparsed += 1
            self.warn("unparsed", "what an instance sent could not be read", {"problem": str(found)})

    def _read_cloud_event(self, found: Message | ValueError) -> Message | ValueError:
        """Return the notification that a CloudEvent stands for; anything else as it is."""
        if not isinstance(found, NotAnEvent) or not is_cloud_event(found.value):
            return found
        try:
            event = read_object(found.value)
        except NotACloudEvent as error:
            return NotAnEvent(str(error))
        envelope = envelope_of(self._context)
        name = event.type if envelope is None else envelope.name_of(event.type)
        return CarryingMessage(name, event.params, carried=event.carried)

    def _event(self, message: Message) -> Found:
        """Return the event of a message, with the instance's name."""
        name, params = message.method, message.params
        if name not in self.expected:
            raise Refused("unexpected", f"expected an event that it was asked for, got {brief(name)}")
        if self.instance_param and type(params) is not list and name not in self.unchanged:
            params = self._with_instance(name, params)
        return Found(name, params, message.carried if isinstance(message, CarryingMessage) else {})

    def _with_instance(self, name: str, params: Any) -> Any:
        if isinstance(params, Pairs):
            origin = dict(params).get(self.instance_param)
            rest = [pair for pair in params if pair[0] != self.instance_param]
        else:
            params = {} if params is None else params
            origin = params.pop(self.instance_param, None)
        path = self._instance if origin is None else f"{self._instance}/{origin}"
        if origin is not None and path.count("/") >= MAX_HOPS:
            raise Refused("hops", f"expected {name!r} by way of at most {MAX_HOPS} gateways")
        if isinstance(params, Pairs):
            return Pairs([*rest, (self.instance_param, path)])
        params[self.instance_param] = path
        return params

    def problem_of(self, error: ParameterError) -> str:
        """Leave out the value, which may be a secret."""
        return f"expected another value in {error.event!r}, parameter {brief(error.parameter)}"
