"""Raises the events of one source, and counts those that cannot be raised."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar, Final, Literal, NamedTuple

import attrs
from evframe_wire.visible import brief

from evframe import Event, ParameterError
from evframe.plugin import STORED, LogLimiter, PluginContext

Fate = Literal["delivered", "nobody", "failed", "open"]
"""How the deliveries of an event ended: all were delivered; the event had no subscribers; some failed for good; or
some had no outcome when the interface was left."""
Find = Callable[[], "Found"]
"""Finds the event of a message, or raises `Refused`."""
Done = Callable[[Sequence[str | None]], None]
"""Is called with the reasons why the deliveries of an event failed; None stands for one that did not."""
LARGE_BYTES: Final = 8 << 10
"""The longest message that is read on the loop; longer messages would hold the loop for several milliseconds."""


def fate_of(reasons: Sequence[str | None]) -> Fate:
    """Return how deliveries with these *reasons* ended; None is the reason of an event that was delivered.

    What is stored on disk counts as delivered.
    """
    if not reasons:
        return "nobody"
    if "shutdown" in reasons:
        return "open"
    return "delivered" if {None, STORED}.issuperset(reasons) else "failed"


class Refused(ValueError):  # noqa: N818 the message's fault, not one of the plugin
    """Raised for a message that becomes no event."""

    def __init__(self, reason: str, problem: str) -> None:
        super().__init__(problem)
        self.reason = reason


class Found(NamedTuple):
    """The event of a message."""

    name: str
    params: Any
    carried: Mapping[str, str] | None = None
    """Headers that name the context in which it is raised; None for the current one."""


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
    """Raises the events of one source, whatever its messages are.

    Args:
        context: the context of the plugin.
        log: gets a line for messages that become no event, at a limited rate.
        sentence: of this line.
        extra: further data of this line, such as the name of the source.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self,
        context: PluginContext,
        log: logging.Logger,
        sentence: str,
        extra: dict[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._log = log
        self._sentence = sentence
        self._extra = extra
        self._limiter = LogLimiter(clock=clock)
        self.raised = 0
        """How many messages became events."""
        self.refused: Counter[str] = Counter()
        """How many messages were refused, by the reason."""

    def within(self, headers: Mapping[str, Any] | None) -> AbstractContextManager[Any] | None:
        """Return what raises the event of a message in the context that its *headers* name; None while none is kept.

        See `Raising.tracing` for the headers. Await `prepare_found` within it, too.
        """
        tracing = self._context.raising.tracing
        return None if tracing is None else tracing.within(headers)

    def allow(self, name: str) -> None:
        """Make sure that the event *name* can be raised, or raise `Refused`."""

    def problem_of(self, error: ParameterError) -> str:
        """Return what the log has of parameters that an event does not take."""
        return str(error)

    async def prepare_found(self, find: Find) -> Prepared:
        """Find and encode the event of a large message beside the loop, and return the result for `take_found`.

        Await it before the next message of the source is taken, so that events keep their order.
        """
        try:
            found = await asyncio.to_thread(find)
            self.allow(found.name)
            return Prepared(await asyncio.to_thread(self._encoded, found))
        except Exception as error:  # noqa: BLE001 `take_found` counts the error
            return Prepared(problem=error.with_traceback(None))  # the traceback would keep the frames and their objects

    until: ClassVar[Literal["stored", "kept"]] = "stored"
    """What is waited for before the outcomes are known; see `EventInterface.raise_event_and_tell`."""

    def take_found(self, find: Find, done: Done | None = None, prepared: Prepared | None = None) -> str | None:
        """Raise the event of a message; count a message that becomes no event, and return the reason.

        Args:
            find: finds the event of the message.
            done: called with the outcomes of the event; see `EventInterface.raise_event_and_tell`.
            prepared: the result of `prepare_found` for the message.
        """
        try:
            if prepared is not None:
                self._context.raising.raise_prepared(prepared.unwrap(), done, until=self.until)
            else:
                self._raise(find(), done)
        except Refused as refusal:
            return self.refuse(refusal)
        except ParameterError as error:
            return self.refuse(Refused("parameters", self.problem_of(error)))
        except Exception as error:  # noqa: BLE001 an error of one message must not end its source
            return self.refuse(Refused("error", brief(error)))
        self.raised += 1
        return None

    def _encoded(self, found: Found) -> Event:
        with self._within(found) or nullcontext():
            return self._context.raising.event(found.name).snapshot(found.params, time.monotonic())

    def _raise(self, found: Found, done: Done | None) -> None:
        self.allow(found.name)
        within = self._within(found)
        if within is None:
            self._raise_now(found.name, found.params, done)
        else:
            with within:
                self._raise_now(found.name, found.params, done)

    def _within(self, found: Found) -> AbstractContextManager[Any] | None:
        """Return what raises an event in the context that its message itself names; None for the current context."""
        return None if found.carried is None else self.within(found.carried)

    def _raise_now(self, name: str, params: Any, done: Done | None) -> None:
        if done is None:
            self._context.raise_event(name, params)
        else:
            self._context.raising.raise_event_and_tell(name, params, done, until=self.until)

    def refuse(self, refusal: Refused) -> str:
        """Count and log a message that becomes no event, and return the reason."""
        self.refused[refusal.reason] += 1
        self.warn(refusal.reason, self._sentence, {"reason": refusal.reason, "problem": str(refusal)})
        return refusal.reason

    def warn(self, key: str, sentence: str, extra: dict[str, Any]) -> None:
        """Log *sentence*, at a limited rate for each *key*."""
        repeated = self._limiter.due(key)
        if repeated is not None:
            self._log.warning(sentence, extra={**self._extra, **extra, "repeated": repeated})
