"""The base of transports whose subscribers have connections to servers."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from evframe_wire.closing import Closing

from evframe import Batch, Socket, hookimpl
from evframe.plugin import HostAddress, LateModule, PluginContext, Resolver

OptionsT = TypeVar("OptionsT")
SocketT = TypeVar("SocketT", bound=Socket)


class Closable(Protocol):
    """The connections of subscribers to one server: a `Server`, or what a library has."""

    def moved(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Be notified that *host* has other *addresses* now."""

    async def close(self) -> None:
        """Close the connections."""


ServerT = TypeVar("ServerT", bound=Closable)


class ConnectingTransport(Generic[OptionsT, SocketT, ServerT]):
    """The base of a plugin object: subscribers and their servers.

    Args:
        options: the table of the plugin; None for its defaults.
    """

    Options: ClassVar[type[Any]]
    socket: ClassVar[type[Any]]
    """The class of its sockets."""
    schemes: ClassVar[tuple[str, ...]]
    library: ClassVar[str]
    """The module with what is imported with the first batch."""

    def __init__(self, options: OptionsT | None = None) -> None:
        self._options: OptionsT = self.Options() if options is None else options
        self._library = LateModule(self.library)
        self._servers: dict[Hashable, ServerT] = {}
        self._keys: dict[str, Hashable] = {}
        """That of the server of each subscriber, by the canonical texts of their sockets."""
        self._users: defaultdict[Hashable, set[str]] = defaultdict(set)
        self._closing = Closing()
        self._resolver = Resolver()
        self._context: PluginContext | None = None

    @abstractmethod
    def _parse(self, scheme: str, rest: str) -> SocketT:
        """Return the socket of a text.

        Raises:
            ValueError: if the text does not fit.
            SocketError: with the text that may be shown.
        """

    @abstractmethod
    def _key(self, target: SocketT) -> Hashable:
        """Return what subscribers share a server by."""

    @abstractmethod
    def _made(self, library: Any, target: SocketT) -> ServerT:
        """Return the server of *target*, of a class that *library* has."""

    @abstractmethod
    def _deliver(self, target: SocketT, batch: Batch) -> Awaitable[None]:
        """Send a batch."""

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins."""
        self._context, self._resolver = context, context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse the sockets of the schemes."""
        return self._parse(scheme, rest) if scheme in self.schemes else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send a batch to a socket of the schemes."""
        return self._deliver(socket, batch) if isinstance(socket, self.socket) else None

    def _carried(self, batch: Batch) -> Sequence[Mapping[str, str] | None] | None:
        """Return the headers of the events, by their indexes; None when none has any."""
        return None if self._context is None else self._context.carried_by(batch.events)

    def _server(self, library: Any, target: SocketT) -> ServerT:
        """Return the server of a subscriber, who leaves another one."""
        key, before = self._key(target), self._keys.get(target.canonical)
        if key != before:  # such as one with another password
            self._leave(target.canonical)
            self._keys[target.canonical] = key
            self._users[key].add(target.canonical)
        server = self._servers.get(key)
        if server is None:
            server = self._servers[key] = self._made(library, target)
        return server

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that a server has no more."""
        for server in self._servers.values():
            server.moved(host, addresses)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the connection with its last subscriber."""
        self._leave(socket.canonical)

    def _leave(self, canonical: str) -> None:
        key = self._keys.pop(canonical, None)
        self._users[key].discard(canonical)
        if not self._users[key]:
            del self._users[key]
            server = self._servers.pop(key, None)
            if server is not None:
                self._closing.add(_closed(server))

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Close what is open."""
        for canonical in list(self._keys):
            self._leave(canonical)
        return self._closing.wait()


async def _closed(server: Closable) -> None:
    with suppress(asyncio.CancelledError):  # of the core, which waits a while and is done
        await server.close()
