"""What the plugins have in common: an address, streams, and the hooks of a transport."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from evframe_http import MovingSite, Refused, Serving, Warnings

from evframe import Batch, Rejected, Socket, hookimpl
from evframe.plugin import Address, Channel, Limits, PluginContext, StatisticGroup
from evframe_live.access import Access
from evframe_live.connection import Connection
from evframe_live.leases import Leases
from evframe_live.options import LiveOptions
from evframe_live.sockets import LiveSocket
from evframe_live.stream import ENDED, Stream

OptionsT = TypeVar("OptionsT", bound=LiveOptions)
StreamT = TypeVar("StreamT", bound=Stream)
# A reload has another plugin object parse the sockets of the leases that exist.
_present: Final[WeakValueDictionary[str, Stream]] = WeakValueDictionary()


class LiveTransport(Generic[OptionsT, StreamT]):
    """The base of a plugin object.

    Args:
        options: of the plugin.
        log: of the plugin.
        library: the module of the plugin that imports aiohttp; its `Responder` is a `LiveResponder`.
    """

    schemes: ClassVar[tuple[str, ...]] = ()
    limits = Limits(batch_events=256)

    def __init__(self, options: OptionsT, log: logging.Logger, library: str) -> None:
        self.access = Access(options, log)
        """Who may open a stream."""
        self.options = options
        self.warnings = Warnings(log)
        self._log = log
        self._context: PluginContext | None = None
        self._numbers = itertools.count(1)
        self.streams: dict[str, StreamT] = {}
        """Those that are not over, by name."""
        self.counters = {"opened": 0, "refused": 0, "slow": 0}
        self._site = MovingSite(
            lambda: Serving(library, lambda module: module.Responder.server(self), lambda: self.access.tls),
            log,
            option=f"plugins.{log.name.rpartition('.')[2]}.bind",
            leave=self.close_all,
        )

    @property
    def context(self) -> PluginContext:
        """The context of the plugin."""
        assert self._context is not None
        return self._context

    @property
    def address(self) -> Any:
        """The host and the port, or did last; None where nothing was opened."""
        return self._site.address

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep the context."""
        self._context = context

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        if self.options.target is not None:
            self._site.open(self.options.target)
        context.spawn(self._beats())

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(self.options.beat_s)
            for stream in list(self.streams.values()):
                if stream.connection is not None:
                    self.beat(stream, stream.connection)

    def beat(self, stream: StreamT, connection: Connection) -> None:
        """Send a sign of life to a client, and look for one of it."""
        raise NotImplementedError

    # Streams

    def note(self, refused: Refused, peer: str | None) -> None:
        """Count and log a request that was refused."""
        self.counters["refused"] += 1
        self.warnings.warn("a stream was refused", peer=peer, problem=refused.problem)

    def name_of(self, peer: Any) -> str:
        """Return the name of a further stream of the client at *peer*, its host and port."""
        host, port = peer[:2]
        return f"{f'[{host}]' if ':' in host else host}:{port}/{next(self._numbers)}"

    def make(self, name: str) -> StreamT:
        """Return a stream for a client, which has no lease yet.

        Raises:
            Refused: if there may be no further one.
        """
        if not self.context.host.is_running:
            raise Refused(503, "expected a process that does not end")
        if len(self.streams) >= self.options.max_streams:
            raise Refused(503, f"expected fewer streams, got {len(self.streams)} already")
        self.counters["opened"] += 1
        return self.add(LiveSocket(self.schemes[0], name, self.context.name))

    def stream_of(self, socket: LiveSocket, leases: Leases) -> StreamT:
        """Return a new stream."""
        raise NotImplementedError

    def add(self, socket: LiveSocket) -> StreamT:
        """Return a further stream, whatever their number."""
        context = self.context
        transport = context.transports.get(context.name)
        assert transport is not None
        leases = Leases(context, Address(socket, transport, socket.canonical), is_named=self.is_name(socket.name))
        stream = self.streams[socket.name] = _present[socket.canonical] = self.stream_of(socket, leases)
        return stream

    def end(self, stream: StreamT) -> None:
        """End a stream."""
        if self.streams.get(stream.socket.name) is stream:
            del self.streams[stream.socket.name]
            _present.pop(stream.socket.canonical, None)
            stream.end()
            if self.context.host.is_running:  # leases that exist when the interface is left do not end
                stream.leases.end()

    def close_all(self) -> None:
        """End all connections."""
        for stream in self.streams.values():
            if stream.connection is not None:
                stream.connection.close()

    # The transport

    @staticmethod
    def is_name(text: str) -> bool:  # noqa: ARG004 others have none
        """Return whether *text* is a name, by which a stream continues on another connection."""
        return False

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Return the socket of a stream that is open, or has a name: clients make others by their connections alone."""
        if scheme not in self.schemes:
            return None
        known = _present.get(f"{scheme}:{rest}")
        if known is not None:
            return known.socket
        if not self.is_name(rest):
            raise ValueError("expected a stream that a client has opened and not closed")
        return LiveSocket(scheme, rest, scheme if self._context is None else self._context.name)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Write a batch to the connection of the client."""
        if not isinstance(socket, LiveSocket) or socket.scheme not in self.schemes:
            return None
        stream = self.streams.get(socket.name)
        if stream is None:
            if not self.is_name(socket.name):
                raise Rejected(ENDED)
            stream = self.add(socket)
            if batch.events and not stream.leases.are_needed:  # what waited when the last lease ended
                self.end(stream)
                raise Rejected(ENDED)
        return stream.deliver(batch)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """End a stream whose last lease has ended without it, as by a changed policy."""
        if isinstance(socket, LiveSocket) and socket.scheme in self.schemes:
            stream = self.streams.get(socket.name)
            if stream is None or not self.context.host.is_running:
                return
            if stream.leases.are_gone or (stream.connection is None and not stream.leases.are_needed):
                self.end(stream)

    @hookimpl
    def event_registered(self, event: Channel) -> None:
        """Subscribe the streams whose patterns match."""
        for stream in list(self.streams.values()):
            if stream.leases.add(event):
                self.added(stream)

    def added(self, stream: StreamT) -> None:
        """Be notified that *stream* has a lease on a further event."""

    # The plugin

    @hookimpl
    def reconfigure(self, options: OptionsT) -> Callable[[], None]:
        """Take other options; clients have to connect again, by the rules that hold now.

        Raises:
            OSError: if the address cannot be used.
            ValueError: if a file cannot.
        """
        before, access = (self.options, self.access), Access(options, self._log)
        move_back = self._site.move(options.target) if self.is_started else lambda: None
        self.options, self.access = options, access
        closing = asyncio.get_running_loop().call_soon(self.close_all) if self.is_started else None

        def take_back() -> None:
            self.options, self.access = before
            if closing is not None:
                closing.cancel()
            move_back()

        return take_back

    @property
    def is_started(self) -> bool:
        """Whether the interface is entered."""
        return self._context is not None and self._context.tasks.is_open

    @hookimpl
    def stop(self) -> Awaitable[object]:
        """End all streams, and close the address."""
        for stream in list(self.streams.values()):
            self.end(stream)
        return self._site.close()

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Return how many streams there are, were opened and refused, and ended because they were too slow."""
        connected = sum(stream.connection is not None for stream in self.streams.values())
        gauges = {"streams": len(self.streams), "connected": connected}
        return [StatisticGroup(self.context.name, self.counters, gauges)]
