"""The connection to a server: made when it is needed, and exchanged for another one without a loss."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from evframe import Unavailable
from evframe.plugin import Age, HostAddress, Resolver


class Link:
    """One connection."""

    is_retired: bool = False
    """Whether another connection is used from now on, and this one only until what is under way has its outcome."""

    @property
    @abstractmethod
    def ip(self) -> str:
        """The address of the server."""

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether something can be sent."""

    @property
    def is_usable(self) -> bool:
        """Whether something may be sent."""
        return self.is_open and not self.is_retired

    @property
    @abstractmethod
    def under_way(self) -> Sequence[asyncio.Future[Any]]:
        """What was sent; each is done when it has its outcome."""

    @abstractmethod
    async def close(self) -> None:
        """End the connection within a bound; what has no outcome is to be sent again."""

    @abstractmethod
    def cut(self) -> None:
        """End the connection at once."""


LinkT = TypeVar("LinkT", bound=Link)


class Server(Generic[LinkT]):
    """Connects to a server, or to one of several, when that is needed.

    Args:
        endpoints: hosts and ports, of which the one that works is used.
        resolver: looks names up.
        timeout_s: how long a connection that another one takes over from waits for outcomes.
        max_age_s: after how long a connection is exchanged; 0 for never.
    """

    def __init__(
        self, endpoints: Sequence[tuple[str, int]], resolver: Resolver, timeout_s: float, max_age_s: float = 0.0
    ) -> None:
        self._hosts = deque(endpoints)
        """The next one to try is the first: the one that works stays there."""
        self._resolver = resolver
        self._timeout_s = timeout_s
        self._max_age_s = max_age_s
        self._age = Age()
        self._connecting = asyncio.Lock()
        self._link: LinkT | None = None
        self._ends: dict[asyncio.Task[None], LinkT] = {}
        """Those that another one has taken over from."""

    @abstractmethod
    async def _connect(self, host: str, addresses: Sequence[HostAddress]) -> LinkT:
        """Return a new connection to the first of *addresses* that accepts one.

        Raises:
            Unavailable: if there can be none.
        """

    async def link(self) -> LinkT:
        """Return the connection, a new one where none can be used.

        Raises:
            Unavailable: if there can be none.
        """
        async with self._connecting:
            if self._link is not None and self._link.is_usable:
                return self._link
            self.retire()
            for left in reversed(range(len(self._hosts))):
                try:
                    self._link = await self._connected(*self._hosts[0])
                    break
                except Unavailable:
                    self._hosts.rotate(-1)
                    if not left:
                        raise
            assert self._link is not None
            self._age.begins(self._max_age_s, self.retire)
            return self._link

    async def _connected(self, host: str, port: int) -> LinkT:
        addresses = await self._resolver.addresses(host, port)
        try:
            return await self._connect(host, addresses)
        except Unavailable:
            self._resolver.forget(host)
            raise

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Use another connection from now on when the one at hand is to an address that *host* has no more."""
        link = self._link
        if link is not None and self._hosts[0][0] == host and all(address.ip != link.ip for address in addresses):
            self.retire()

    def leave(self) -> None:
        """Look the name up again, and use another connection from now on."""
        self._resolver.forget(self._hosts[0][0])
        self.retire()

    def retire(self) -> None:
        """Use another connection from now on; this one ends when what was sent on it has its outcome."""
        link, self._link = self._link, None
        self._age.ends()
        if link is not None:
            link.is_retired = True
            task = asyncio.get_running_loop().create_task(self._finish(link))
            self._ends[task] = link
            task.add_done_callback(self._ends.pop)

    async def _finish(self, link: LinkT) -> None:
        try:
            if link.under_way:
                await asyncio.wait(link.under_way, timeout=self._timeout_s)
            await link.close()
        finally:
            link.cut()

    async def close(self) -> None:
        """End the connection, and those that it has taken over from, without a wait for outcomes."""
        link, self._link = self._link, None
        self._age.ends()
        ends = dict(self._ends)
        for task, other in ends.items():
            task.cancel()
            other.cut()  # the task may not have begun
        try:
            if link is not None:
                await link.close()
        finally:
            if link is not None:
                link.cut()
        await asyncio.gather(*ends, return_exceptions=True)
