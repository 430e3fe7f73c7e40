"""Probes for as long as a plugin works, with options that may change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import attrs

from evframe.plugin import PluginTasks, Resolver
from evframe_probing.prober import ProbeOptions, Prober, SipOptions
from evframe_probing.rounds import Rounds

T = TypeVar("T", bound=Hashable)
_END_S = 1.0


@attrs.frozen
class Settings:
    """How often, and how; an interval of 0 for never."""

    interval_s: float = 0.0
    options: ProbeOptions = attrs.field(factory=ProbeOptions)
    sip: SipOptions = attrs.field(factory=SipOptions)


class Probing(Generic[T]):
    """Probes what is due, round after round.

    Args:
        due: returns what is to be probed in the round that begins.
        probe: probes one.
        spawn: runs a task.
        resolver: of the interface; without it, each prober has its own.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        due: Callable[[], Sequence[T]],
        probe: Callable[[Prober, T], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[Any]],
        *,
        resolver: Resolver | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._due = due
        self._probe = probe
        self._spawn = spawn
        self._resolver = resolver
        self._sleep = sleep
        self._settings = Settings()
        self._task: asyncio.Task[Any] | None = None

    def follow(self, settings: Settings) -> Callable[[], None]:
        """Probe with *settings* from now on; return what undoes it, before the next turn of the loop.

        With other settings than before, probes that are under way are given up without a reply.

        Raises:
            OSError: if the certificates of the authorities cannot be read.
        """
        before = self._settings, self._task
        if settings == self._settings:
            return lambda: None
        prober = Prober(settings.options, settings.sip, resolver=self._resolver)
        task = self._spawn(self._run(self._task, prober, settings.interval_s))
        self._settings, self._task = settings, task

        def undo() -> None:
            task.cancel()
            self._settings, self._task = before

        return undo

    async def _run(self, before: asyncio.Task[Any] | None, prober: Prober, interval_s: float) -> None:
        if before is not None:
            before.cancel()
            await asyncio.wait({before})  # it may have the port that these probes are sent from
        probes = PluginTasks()
        try:
            if interval_s:
                probe = partial(self._probe, prober)
                await Rounds(interval_s, self._due, probe, probes.spawn, sleep=self._sleep).run()
        finally:
            await probes.stop(_END_S)
            await prober.close()
