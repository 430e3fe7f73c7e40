"""Leases as the gateway lists them, also those that an earlier process has taken for the same socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

from evframe_client.gateway_leases import GatewayLeases
from evframe_client.protocol import ManagementError


class HeldLeases:
    """The leases of one socket, of which each look lists all that the gateway has.

    `Leases` asks for one of its leases and counts the time of the others itself. That is less work for the gateway, but
    finds no lease of an earlier process, and a single lost one only when its turn comes.

    Args:
        clock: the monotonic clock, in seconds.
    """

    gateway: GatewayLeases
    """Where the leases are, once it was reached."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.socket: str | None = None
        """The subscriber, ``scheme:address``, once the gateway was reached."""
        self.left_s: dict[str, int] = {}
        """The events that are subscribed, each with the seconds that its lease had left at the last look."""
        self._listed_at = 0.0
        self.refused: dict[str, str] = {}
        """The events that are not subscribed although they are wanted, each with the problem."""
        self.lost = 0
        """How many leases were found lost, after a restart of the gateway for example."""

    def reach(self, gateway: GatewayLeases) -> None:
        """Continue at *gateway*, which is another object after each connection."""
        self.gateway, self.socket = gateway, gateway.socket

    @property
    def shortest_s(self) -> int | None:
        """The seconds that the lease which ends first has left; None without leases."""
        passed_s = self._clock() - self._listed_at
        return max(0, round(min(self.left_s.values()) - passed_s)) if self.left_s else None

    async def look(self, wanted: Collection[str]) -> dict[str, int]:
        """End the leases that are not *wanted*; return the seconds left of the others, for `record`."""
        found = await self.gateway.held(wanted)
        unwanted = found.keys() - set(wanted)
        await self.gateway.end_all(unwanted)
        return {name: seconds for name, seconds in found.items() if name not in unwanted}

    def record(self, found: dict[str, int], wanted: Iterable[str]) -> int:
        """Take what `look` has found; return how many of the *wanted* leases were lost.

        Raises:
            ValueError: if one is lost because the gateway takes the socket for another one.
        """
        lost = [name for name in wanted if name in self.left_s and name not in found]
        for name in lost:
            if name in self.gateway.taken_for:
                raise ValueError(
                    f"expected a socket that is not the beginning of another subscriber's,"
                    f" got {self.gateway.socket!r} and {self.gateway.taken_for[name]!r}"
                )
        self.lost += len(lost)
        self.left_s, self._listed_at = found, self._clock()
        return len(lost)

    async def renew(self, wanted: Collection[str], *, every: bool = False) -> None:
        """Take the *wanted* leases that are missing or in their second half, or every one; record what is refused."""
        lease_s = self.gateway.lease_s
        for name in wanted if every else due(wanted, self.left_s, lease_s):
            self.left_s[name] = lease_s  # without an answer it may be there, and is to be left
            try:
                await self.gateway.take(name)
            except ManagementError as error:
                if error.code is None:
                    raise
                del self.left_s[name]
                self.refused[name] = str(error)

    async def end(self, timeout_s: float) -> int:
        """End the leases, and return how many they were; none is known any more, whatever the gateway answers.

        Raises:
            ManagementError: if the gateway does not answer.
            TimeoutError: if it has not ended them in time.
        """
        names, self.left_s = list(self.left_s), {}
        if names:
            # Not asyncio.timeout: in a task that is cancelled its end is no TimeoutError with 3.11.2.
            await asyncio.wait_for(self.gateway.end_all(names), timeout_s)
        return len(names)


def due(wanted: Iterable[str], left_s: Mapping[str, int], lease_s: int) -> list[str]:
    """Return those of the *wanted* events whose lease is not there, or has less than half of *lease_s* left."""
    return [name for name in wanted if left_s.get(name, 0) * 2 <= lease_s]
