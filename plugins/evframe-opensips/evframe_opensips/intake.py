"""What one instance sends: read, counted, and raised here."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any, Final

from evframe_wire.encoding import encode_value
from evframe_wire.visible import brief

from evframe import Pairs, ParameterError
from evframe.plugin import LogLimiter
from evframe_opensips.messages import Message, NotAnEvent, is_whole, read, read_carefully, split

log = logging.getLogger("evframe.opensips")
MAX_HOPS: Final = 8


class Intake:
    """Raises the events of one instance.

    Args:
        instance: the instance's name.
        instance_param: the parameter that gets it; empty for none.
        raise_event: raises an event here.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self, instance: str, instance_param: str, raise_event: Callable[[str, Any], None], clock: Callable[[], float]
    ) -> None:
        self._instance = instance
        self.instance_param = instance_param
        self._raise_event = raise_event
        self._clock = clock
        self._limiter = LogLimiter(clock=clock)
        self.expected: Collection[str] = ()
        """The events that it was asked for."""
        self.unchanged: Collection[str] = ()
        """Those of them whose declaration here has no place for the instance's name."""
        self.received = 0
        """How many JSON texts have come: those that were raised, and those that were refused."""
        self.raised = 0
        """How many of them were events that were raised."""
        self.unparsed = 0
        """How many pieces were no JSON."""
        self.refused: Counter[str] = Counter()
        """How many of them were not raised, by the reason."""
        self.dropped = 0
        """How many datagrams the kernel had no room for."""
        self.seen_at: float | None = None
        """When something arrived last."""

    def take(self, data: bytes) -> bytes:
        """Raise the events in *data*, which has whole JSON texts; return the replies to those with an id."""
        reply = self._quickly(data)
        return b"".join(map(self._piece, split(data))) if reply is None else reply

    def take_whole(self, data: bytes) -> bytes | None:
        """Raise the events in *data* and return the replies; None when the last JSON text has no end."""
        reply = self._quickly(data)
        return self._piece(data) if reply is None and is_whole(data) else reply

    def _quickly(self, data: bytes) -> bytes | None:
        self.seen_at = self._clock()
        try:
            message = read(data)
        except NotAnEvent as error:
            return self._other(error)
        except ValueError:
            return None
        return self._event(message)

    def drop(self, count: int) -> None:
        """Count *count* datagrams that the kernel had no room for."""
        if count:
            self.dropped += count
            self._log("the kernel had no room for events of an instance", {"dropped": self.dropped})

    def cut_off(self, size: int) -> None:
        """Count *size* bytes that are no whole JSON text and never will be."""
        self._unparsed(f"{size} bytes of a message without an end")

    def _piece(self, data: bytes) -> bytes:
        replies = b""
        try:
            for found in read_carefully(data):
                replies += self._other(found) if isinstance(found, NotAnEvent) else self._event(found)
        except ValueError as error:
            self._unparsed(f"{error} in {len(data)} bytes")  # which may hold secrets
        return replies

    def _other(self, error: NotAnEvent) -> bytes:
        self.received += 1
        return self._refuse("no_event", error)

    def _event(self, message: Message) -> bytes:
        self.received += 1
        name = message.method
        if name not in self.expected:
            self._refuse("unexpected", f"expected an event that it was asked for, got {brief(name)}")
            return _reply(message.id, -32601, "Method not found")
        params = message.params
        if self.instance_param and type(params) is not list and name not in self.unchanged:
            params = self._with_instance(params)
            if params is None:
                self._refuse("hops", f"expected {name!r} by way of at most {MAX_HOPS} gateways")
                return _reply(message.id, -32602, "Invalid params")
        try:
            self._raise_event(name, params)
        except ParameterError as error:
            self._refuse("parameters", f"expected another value in {name!r}, parameter {brief(error.parameter)}")
            return _reply(message.id, -32602, "Invalid params")
        self.raised += 1
        return b"" if message.id is None else _reply(message.id)

    def _with_instance(self, params: Any) -> Any:
        """Return *params* with the instance's name; None when too many gateways have added theirs."""
        if isinstance(params, Pairs):
            origin = dict(params).get(self.instance_param)
            rest = [pair for pair in params if pair[0] != self.instance_param]
        else:
            params = {} if params is None else params
            origin = params.pop(self.instance_param, None)
        path = self._instance if origin is None else f"{self._instance}/{origin}"
        if origin is not None and path.count("/") >= MAX_HOPS:
            return None
        if isinstance(params, Pairs):
            return Pairs([*rest, (self.instance_param, path)])
        params[self.instance_param] = path
        return params

    def _refuse(self, reason: str, problem: object) -> bytes:
        self.refused[reason] += 1
        self._log("an event of an instance was not raised", {"reason": reason, "problem": str(problem)})
        return b""

    def _unparsed(self, problem: str) -> None:
        self.unparsed += 1
        self._log("what an instance sent could not be read", {"problem": problem})

    def _log(self, sentence: str, extra: dict[str, object]) -> None:
        repeated = self._limiter.due(sentence)
        if repeated is not None:
            log.warning(sentence, extra={"instance": self._instance, "repeated": repeated, **extra})


def _reply(request_id: Any, code: int = 0, text: str = "") -> bytes:
    """Return the reply to a request, as reliable streams wait for it; nothing for a notification."""
    if request_id is None:
        return b""
    outcome = {"error": {"code": code, "message": text}} if code else {"result": "OK"}
    try:
        return encode_value({"jsonrpc": "2.0", **outcome, "id": request_id})
    except ValueError:  # of the id, which came from outside
        return b""
