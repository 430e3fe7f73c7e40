"""Keeping leases: subscribe to what matches, renew in time, notice what is new and what was lost."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from evframe_wire.backoff import delay_s
from evframe_wire.patterns import compile_pattern

from evframe_client.gateway_leases import Call, GatewayLeases
from evframe_client.protocol import ManagementError

log = logging.getLogger("evframe.client")
_RENEWALS: Final = 3  # in one lease, so that two may fail

_NEVER: Final = -math.inf  # a lease that was asked for and is not known to have been given


_EVERYTHING: Final = frozenset({"*", "E_*"})
_ECHO: Final = re.compile("E_CORE_TCP_DISCONNECT$|E_EVFRAME_LEASE_")
"""What subscribing, and looking whether the leases exist, raises at the gateway."""


class Leases:
    """The leases of one subscriber socket at one gateway.

    Args:
        call: calls a management command of the gateway.
        socket: the subscriber, ``scheme:address``.
        patterns: `fnmatch` patterns of event names; ``*`` and ``E_*`` leave out what asking for events
            brings about itself, such as the end of each connection that asks.
        lease_s: what is asked for, in whole seconds.
        look_s: how often new events and lost leases are looked for.
        clock: the time in seconds.
        policy: see `GatewayLeases`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 what leases are made of
        self,
        call: Call,
        socket: str,
        patterns: Iterable[str],
        lease_s: int,
        look_s: float,
        clock: Callable[[], float] = time.monotonic,
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        self._at_gateway = GatewayLeases(call, socket, lease_s, policy)
        patterns = tuple(patterns)
        self._patterns = [compile_pattern(pattern) for pattern in patterns]
        self._chosen = [compile_pattern(pattern) for pattern in patterns if pattern not in _EVERYTHING]
        self._look_s = min(look_s, lease_s / _RENEWALS)
        self._clock = clock
        self._renew_at: dict[str, float] = {}
        self._failures = 0
        self.interruptions = 0
        """How often leases were found lost, after a restart of the gateway for example."""

    @property
    def names(self) -> tuple[str, ...]:
        """The events that are subscribed."""
        return tuple(name for name, renew_at in self._renew_at.copy().items() if renew_at != _NEVER)

    async def look(self) -> None:
        """Subscribe to what is not, or has to be renewed."""
        wanted = [name for name in await self._at_gateway.events() if self._wants(name)]
        if await self._is_lost():
            # Where one lease was lost, as when the gateway was started again, none can be relied on.
            self.interruptions += 1
            self._renew_at = {name: _NEVER for name in wanted if name in self._renew_at}
            log.warning("leases were lost", extra={"socket": self._at_gateway.socket})
        for name in wanted:
            now = self._clock()
            if self._renew_at.setdefault(name, _NEVER) <= now:  # whatever is answered, it is to be left
                await self._at_gateway.take(name)
                self._renew_at[name] = now + self._at_gateway.lease_s / _RENEWALS

    def _wants(self, name: str) -> bool:
        patterns = self._chosen if _ECHO.match(name) else self._patterns
        return any(pattern.match(name) for pattern in patterns)

    async def _is_lost(self) -> bool:
        """Return whether the lease that was looked at least recently is no longer there."""
        if not self.names:
            return False
        name = self.names[0]
        self._renew_at[name] = self._renew_at.pop(name)
        return not await self._at_gateway.left_s(name)

    async def keep(self) -> None:
        """Look again and again; while the gateway is away, less and less often."""
        while True:
            await asyncio.sleep(self.pause_s())
            await self.check()

    def pause_s(self) -> float:
        """Return how long to wait until the next look."""
        return delay_s(self._failures) if self._failures else self._look_s

    async def check(self) -> None:
        """Look, and log that the gateway is away, or back."""
        try:
            await self.look()
        except ManagementError as error:
            if not self._failures:
                log.warning("the gateway is away", extra={"problem": str(error)})
            self._failures += 1
        else:
            if self._failures:
                log.info("the gateway is back", extra={"failures": self._failures})
            self._failures = 0

    async def leave(self) -> None:
        """Unsubscribe from everything, unless the gateway does not answer."""
        while self._renew_at:
            name, _ = self._renew_at.popitem()
            try:
                await self._at_gateway.end(name)
            except ManagementError:
                return
