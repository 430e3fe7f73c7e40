"""The log consumer ``event``: whether it is muted, and up to which level it gets lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, Final

from evframe.plugin import Command, CommandError, int_param, text_param
from evframe_core_events.logs import LEVELS, EventHandler
from evframe_core_events.options import Options

_CONSUMER: Final = "event"
_LOST_PERIOD_S: Final = 1.0


class LogConsumer:
    """Has a handler at its logger while it is not muted, from the start to the end of the interface.

    Args:
        handler: raises the events.
        muted: whether it begins so.
        sleep: waits so many seconds.
    """

    def __init__(self, handler: EventHandler, *, muted: bool, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._handler = handler
        self._sleep = sleep
        self._spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]] | None = None
        self._task: asyncio.Task[Any] | None = None
        self.muted = muted

    def start(self, spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]) -> None:
        """Begin to take lines, unless it is muted, once the start of everything is over."""
        self._spawn = spawn
        self._follow()

    def stop(self) -> None:
        """Take no more lines."""
        self._spawn = self._task = None

    def mute(self, *, muted: bool) -> None:
        """Stop to take lines, or begin again."""
        self.muted = muted
        self._follow()

    def adopt(self, before: Options, options: Options) -> None:
        """Continue with other options; what a command has set stays, unless that of the options changes."""
        self._handler.adopt(options)
        if options.log_event_enabled != before.log_event_enabled:
            self.mute(muted=not options.log_event_enabled)

    def state(self) -> tuple[bool, int]:
        """Return what commands may have set, for `restore`."""
        return self.muted, self._handler.level_filter

    def restore(self, state: tuple[bool, int]) -> None:
        """Set what `state` has returned."""
        muted, self._handler.level_filter = state
        self.mute(muted=muted)

    def _follow(self) -> None:
        if self.muted:
            self._handler.detach()
            if self._task is not None:
                self._task.cancel()
                self._task = None
        elif self._spawn is not None and self._task is None:
            self._task = self._spawn(self._take_lines())

    async def _take_lines(self) -> None:
        self._handler.attach()
        try:
            while True:
                await self._sleep(_LOST_PERIOD_S)
                self._handler.raise_lost()
        finally:
            self._handler.detach()

    def commands(self) -> Iterator[Command]:
        """Yield the commands."""
        yield Command(
            "core:log_level_filter",
            (("consumer",), ("consumer", "level_filter")),
            self._level_filter,
            "gets or sets up to which level the log consumer event takes lines; 0 for all",
        )
        yield Command(
            "core:log_mute_state",
            (("consumer",), ("consumer", "mute_state")),
            self._mute_state,
            "gets or sets whether the log consumer event is muted, 1 or 0",
        )

    def _level_filter(self, params: Mapping[str, Any]) -> Any:
        _check_consumer(params)
        if "level_filter" not in params:
            return {"Log level filter": self._handler.level_filter}
        level = int_param(params, "level_filter")
        if level and level not in LEVELS:
            raise CommandError(400, "Bad parameter value")
        self._handler.level_filter = level
        return "OK"

    def _mute_state(self, params: Mapping[str, Any]) -> Any:
        _check_consumer(params)
        if "mute_state" not in params:
            return {"Mute state": int(self.muted)}
        state = int_param(params, "mute_state")
        if state not in {0, 1}:
            raise CommandError(400, "Bad parameter value")
        self.mute(muted=bool(state))
        return "OK"


def _check_consumer(params: Mapping[str, Any]) -> None:
    if text_param(params, "consumer") != _CONSUMER:
        raise CommandError(400, "Bad parameter value")
