"""Messages of queues: a JSON-RPC notification or a CloudEvent is the event that it names, any other message a body."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, NamedTuple

import attrs
from evframe_cloudevents import (
    PREFIXES,
    TRACE_PARENT,
    NotACloudEvent,
    Received,
    attributes_of,
    envelope_of,
    read_body,
    read_message,
)
from evframe_wire.messages import read_notification
from evframe_wire.visible import brief

from evframe import EventNameError, UnknownEventError
from evframe.plugin import PluginContext, check_name
from evframe_ingest.intake import Done, Found, Intake, Prepared, Refused

log = logging.getLogger("evframe.ingest")


class About(NamedTuple):
    """What a message has beside its body."""

    content_type: str | None
    headers: Mapping[str, Any] | None
    prefixes: Sequence[str] = PREFIXES
    """Those that the names of attributes of a CloudEvent may have in the headers."""
    has_body: bool = True
    """Whether the message has a body; what is taken for one without is made of its headers."""

    @classmethod
    def of(
        cls, content_type: str | None, headers: Mapping[str, Any] | None, prefixes: Sequence[str] = PREFIXES
    ) -> About | None:
        """Return what a message has; None for one without anything."""
        return cls(content_type, headers, prefixes) if content_type or headers else None


@attrs.frozen
class Rules:
    """The rules by which messages become events."""

    event: str | None
    """The event of messages that name none; None refuses them."""
    patterns: Sequence[str]
    """Patterns of the names that notifications and CloudEvents may have; without any, every message is a body."""
    max_events: int
    """How many names that are not registered yet may be registered for messages."""


class QueueIntake(Intake):
    """Raises the events of one queue.

    A JSON-RPC notification, such as another evframe or an OpenSIPS sends, becomes the event that it
    names, and so does a CloudEvent. Any other message is the parameter `body` of one event.

    Args:
        context: the context of the plugin.
        source: the name of the source in the log.
        rules: the rules by which messages become events.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self, context: PluginContext, source: str, rules: Rules, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(context, log, "a message did not become an event", {"source": source}, clock)
        self._rules = rules
        self._allowed: set[str] = set()
        self._registered = 0

    def within(self, headers: Mapping[str, Any] | None) -> AbstractContextManager[Any] | None:
        """See `Intake.within`; a CloudEvent in the binary mode has its context in attributes, too.

        That of a structured one is in its body, and counts where *headers* name none.
        """
        if headers and self._context.raising.tracing is not None:
            headers = {**attributes_of(headers), **headers}
        return super().within(headers)

    async def prepare(self, body: bytes, more: Mapping[str, Any] | None = None, about: About | None = None) -> Prepared:
        """Read and encode a message of more than `LARGE_BYTES` beside the loop; see `Intake.prepare_found`."""
        return await self.prepare_found(partial(self._read, body, more, about))

    def take(
        self,
        body: bytes,
        done: Done | None = None,
        more: Mapping[str, Any] | None = None,
        prepared: Prepared | None = None,
        about: About | None = None,
    ) -> bool:
        """Raise the event of a message; count the message and return False when it cannot become an event.

        Args:
            body: the body of the message.
            done: called with the outcomes of the event; see `EventInterface.raise_event_and_tell`.
            more: further parameters of an event that the message does not name.
            prepared: the result of `prepare` for the message.
            about: what the message has beside its body.
        """
        return self.take_found(partial(self._read, body, more, about), done, prepared) is None

    def _read(self, body: bytes, more: Mapping[str, Any] | None, about: About | None) -> Found:
        found, problem = self._named(body, about) if self._rules.patterns else (None, "")
        if found is not None:
            name = found.name
            if name not in self._allowed and not any(fnmatchcase(name, each) for each in self._rules.patterns):
                raise Refused("not_allowed", f"expected an event of {self._rules.patterns}, got {brief(name)}")
            return found
        if self._rules.event is None:
            raise Refused("no_event", problem or f"expected a JSON-RPC notification, got other {len(body)} bytes")
        # Bytes that are not UTF-8 are sent unchanged.
        return Found(self._rules.event, {"body": body.decode("utf-8", "surrogateescape"), **(more or {})})

    def _named(self, body: bytes, about: About | None) -> tuple[Found | None, str]:
        """Return the event that a message names; None with the problem of a message that names none."""
        try:
            found = None if about is None else _read(about, body)
            if found is None:
                notification = read_notification(body)
                if notification is not None:
                    return Found(*notification), ""
                found = read_body(body)  # senders without headers have no content type
        except NotACloudEvent as error:
            return None, str(error)
        if found is None:
            return None, ""
        envelope = envelope_of(self._context)
        name = found.type if envelope is None else envelope.name_of(found.type)
        return Found(name, found.params, _context_of(found, about)), ""

    def allow(self, name: str) -> None:
        """Make sure that *name* is registered, within the bound."""
        if name not in self._allowed:
            self._register(name)

    def _register(self, name: str) -> None:
        try:
            self._context.has_subscribers(name)
        except UnknownEventError:
            try:
                check_name(name)
            except EventNameError as error:
                raise Refused("name", str(error)) from None
            if self._registered >= self._rules.max_events:
                raise Refused("too_many_events", f"expected at most {self._rules.max_events} new events") from None
            self._context.register_event(name)
            self._registered += 1
        self._allowed.add(name)


def _read(about: About, body: bytes) -> Received | None:
    """Return the CloudEvent that a message says to be by its content type or its headers."""
    return read_message(about.content_type, about.headers, body if about.has_body else b"", about.prefixes)


def _context_of(found: Received, about: About | None) -> Mapping[str, str] | None:
    """Return the headers that name the context of a CloudEvent; None where headers of its message name one."""
    headers = None if about is None else about.headers
    if not found.carried or not headers:
        return found.carried or None
    return None if TRACE_PARENT in headers or TRACE_PARENT in attributes_of(headers) else found.carried
