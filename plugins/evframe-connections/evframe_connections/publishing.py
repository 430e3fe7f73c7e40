"""The base of transports that publish several batches of a subscriber at the same time, in order."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from evframe import Batch, Socket, Unavailable, hookimpl
from evframe.plugin import Ordering, Step
from evframe_connections.links import Link, Server
from evframe_connections.publications import Publication
from evframe_connections.transports import ConnectingTransport, OptionsT, SocketT

ServerT = TypeVar("ServerT", bound=Server[Any])


class PublishingLink(Link):
    """A connection on which batches are published."""

    def __init__(self) -> None:
        self._publications: dict[int, Any] = {}
        self._count = 0

    @property
    def under_way(self) -> Sequence[asyncio.Future[None]]:
        """What has no outcome yet."""
        return [publication.done for publication in self._publications.values()]

    def _add(self, publication: Publication) -> int:
        """Keep *publication* until each of its messages has an outcome, and return its number."""
        number = self._count
        self._count += 1
        self._publications[number] = publication
        publication.done.add_done_callback(lambda _: self._publications.pop(number, None))
        return number

    def lost(self, reason: str) -> None:
        """Have what has no outcome be sent again."""
        for publication in list(self._publications.values()):
            publication.lost(reason)

    @abstractmethod
    async def probe(self, target: Any) -> None:
        """Return when the server can be published to.

        Raises:
            Unavailable: if it cannot for now.
            Rejected: if it does not have what the socket asks for.
        """

    @abstractmethod
    async def publish(self, publication: Any) -> None:
        """Write messages.

        Raises:
            Rejected: if the server does not have what the socket asks for.
        """

    @abstractmethod
    async def confirmed(self, publication: Any) -> None:
        """Wait until each message has its outcome, or is to be sent again."""


class PublishingTransport(ConnectingTransport[OptionsT, SocketT, ServerT]):
    """The base of a plugin object: each message is acknowledged, and batches follow each other without a wait."""

    def __init__(self, options: OptionsT | None = None) -> None:
        super().__init__(options)
        self._orderings: defaultdict[str, Ordering] = defaultdict(Ordering)
        self._under_way: defaultdict[str, dict[Publication, Link]] = defaultdict(dict)

    @abstractmethod
    def _publication(self, library: Any, target: SocketT, batch: Batch) -> Any:
        """Return the messages of *batch*."""

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Publish one message for each event."""
        if not isinstance(socket, self.socket):
            return None
        return self._publish(socket, batch, self._orderings[socket.canonical].batch())

    async def _publish(self, target: SocketT, batch: Batch, way: AbstractContextManager[Step]) -> None:
        library = await self._library.get()
        server = self._server(library, target)
        under_way = self._under_way[target.canonical]
        publication: Any = None
        with way as step:
            try:
                async with step("connect"):
                    link = await server.link()
                    if not batch.events:
                        await link.probe(target)
                        return
                    await _passed(under_way, link)
                async with step("write"):  # a batch may have come back meanwhile
                    if not link.is_usable:
                        raise Unavailable("closed")
                    publication = self._publication(library, target, batch)
                    under_way[publication] = link
                    await link.publish(publication)
                await link.confirmed(publication)
            finally:
                if publication is not None:
                    under_way.pop(publication, None)
                    publication.report()
            if publication.problem is not None:
                raise Unavailable(publication.problem)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the connection with its last subscriber."""
        self._orderings.pop(socket.canonical, None)
        self._under_way.pop(socket.canonical, None)
        super().unsubscribed(socket)


async def _passed(under_way: Mapping[Publication, Link], link: Link) -> None:
    """Wait until what was published on other connections than *link* has its outcomes.

    Raises:
        Unavailable: if some of it is to be sent again: it goes first.
    """
    for publication in [each for each, other in under_way.items() if other is not link]:
        await publication.done
        if publication.problem is not None:
            raise Unavailable(publication.problem)
