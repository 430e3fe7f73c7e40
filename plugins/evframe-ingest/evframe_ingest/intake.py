"""Raises the events of messages from elsewhere, and reports the outcomes of the events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import attrs
from evframe_wire.reading import read_notification
from evframe_wire.visible import brief

from evframe import Event, EventNameError, ParameterError, UnknownEventError
from evframe.plugin import LogLimiter, PluginContext, check_name

log = logging.getLogger("evframe.ingest")
Fate = Literal["delivered", "nobody", "failed", "open"]
"""How the deliveries of an event ended: all were delivered; the event had no subscribers; some failed for good; or
some had no outcome when the interface was left."""
LARGE_BYTES: Final = 8 << 10
"""The longest message that is read on the loop; longer messages would hold the loop for several milliseconds."""


def fate_of(reasons: Sequence[str | None]) -> Fate:
    """Return how deliveries with these *reasons* ended; None is the reason of an event that was delivered."""
    if not reasons:
        return "nobody"
    if "shutdown" in reasons:
        return "open"
    return "delivered" if not any(reasons) else "failed"


class Refused(ValueError):  # noqa: N818 the message's fault, not one of the plugin
    """Raised for a message that becomes no event."""

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason


@attrs.frozen
class Rules:
    """The rules by which messages become events."""

    event: str | None
    """The event of messages that name none; None refuses them."""
    patterns: Sequence[str]
    """Patterns of the names that notifications may have; without any, every message is a body."""
    max_events: int
    """How many names that are not registered yet may be registered for messages."""


@attrs.frozen
class Prepared:
    """A large message: its event, or the reason why it cannot become one."""

    event: Event | None = None
    problem: Exception | None = None

    def unwrap(self) -> Event:
        """Return the event, or raise the problem."""
        if self.event is None:
            raise self.problem or AssertionError
        return self.event


class Intake:
    """Raises the events of one source of messages.

    A JSON-RPC notification, such as another evframe or an OpenSIPS sends, becomes the event that it
    names. Any other message is the parameter `body` of one event.

    Args:
        context: the context of the plugin.
        source: the name of the source in the log.
        rules: the rules by which messages become events.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self, context: PluginContext, source: str, rules: Rules, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._source = source
        self._rules = rules
        self._limiter = LogLimiter(clock=clock)
        self._allowed: set[str] = set()
        self._registered = 0
        self.raised = 0
        """How many messages became events."""
        self.refused: Counter[str] = Counter()
        """How many messages were refused, by the reason."""

    async def prepare(self, body: bytes, more: Mapping[str, Any] | None = None) -> Prepared:
        """Read and encode a message of more than `LARGE_BYTES` beside the loop, and return the result for `take`.

        Await it before the next message of the source is taken, so that events keep their order.
        """
        try:
            name, params = await asyncio.to_thread(self._read, body, more)
            self._allow(name)
            return Prepared(await asyncio.to_thread(self._event, name, params))
        except Exception as error:  # noqa: BLE001 `take` counts the error
            return Prepared(problem=error.with_traceback(None))  # the traceback would keep the frames and their objects

    def take(
        self,
        body: bytes,
        done: Callable[[Sequence[str | None]], None] | None = None,
        more: Mapping[str, Any] | None = None,
        prepared: Prepared | None = None,
    ) -> bool:
        """Raise the event of a message; count the message and return False when it cannot become an event.

        Args:
            body: the body of the message.
            done: called with the outcomes of the event; see `EventInterface.raise_event_and_tell`.
            more: further parameters of an event that the message does not name.
            prepared: the result of `prepare` for the message.
        """
        try:
            if prepared is None:
                name, params = self._read(body, more)
                self._raise(name, params, done)
            else:
                self._context.raising.raise_prepared(prepared.unwrap(), done)
        except Refused as refusal:
            self.refused[refusal.reason] += 1
            self._tell(refusal)
            return False
        except Exception as error:  # noqa: BLE001 an error of one message must not end its source
            self.refused["error"] += 1
            self._tell(Refused("error", brief(error)))
            return False
        self.raised += 1
        return True

    def _read(self, body: bytes, more: Mapping[str, Any] | None) -> tuple[str, Any]:
        found = read_notification(body) if self._rules.patterns else None
        if found is not None:
            name = found[0]
            if name not in self._allowed and not any(fnmatchcase(name, each) for each in self._rules.patterns):
                raise Refused("not_allowed", f"expected an event of {self._rules.patterns}, got {brief(name)}")
            return found
        if self._rules.event is None:
            raise Refused("no_event", f"expected a JSON-RPC notification, got other {len(body)} bytes")
        # Bytes that are not UTF-8 are sent unchanged.
        return self._rules.event, {"body": body.decode("utf-8", "surrogateescape"), **(more or {})}

    def _raise(self, name: str, params: Any, done: Callable[[Sequence[str | None]], None] | None) -> None:
        try:
            self._allow(name)
            if done is None:
                self._context.raise_event(name, params)
            else:
                self._context.raising.raise_event_and_tell(name, params, done)
        except ParameterError as error:
            raise Refused("parameters", str(error)) from None

    def _event(self, name: str, params: Any) -> Event:
        try:
            return self._context.raising.event(name).snapshot(params, time.monotonic())
        except ParameterError as error:
            raise Refused("parameters", str(error)) from None

    def _allow(self, name: str) -> None:
        if name not in self._allowed:
            self._register(name)

    def _register(self, name: str) -> None:
        """Make sure that *name* is registered, within the bound."""
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

    def _tell(self, refusal: Refused) -> None:
        repeated = self._limiter.due(refusal.reason)
        if repeated is not None:
            extra = {"source": self._source, "reason": refusal.reason, "problem": str(refusal), "repeated": repeated}
            log.warning("a message did not become an event", extra=extra)
