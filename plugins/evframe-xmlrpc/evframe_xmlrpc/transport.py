"""The plugin: each subscriber has a connection, and its calls follow each other on it."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import Final

from evframe import Batch, ConfigError, Socket, Unavailable, hookimpl
from evframe.context import PluginContext
from evframe.sockets import connection_problem
from evframe_xmlrpc.address import XmlrpcSocket, parse
from evframe_xmlrpc.calls import call, multicall, request, values
from evframe_xmlrpc.connection import Address, ConnectionEnded, HttpConnection
from evframe_xmlrpc.options import Options as XmlrpcOptions
from evframe_xmlrpc.replies import outcome, outcomes

_MULTICALL_EVENTS: Final = 100

Sent = tuple[range, asyncio.Future[tuple[int, bytes]]]


class XmlrpcTransport:
    """The plugin object."""

    schemes = ("xmlrpc", "xmlrpcs")
    reads_params = True
    Options = XmlrpcOptions

    def __init__(self, options: XmlrpcOptions | None = None) -> None:
        self._options = XmlrpcOptions() if options is None else options
        self._connections: dict[str, HttpConnection] = {}
        self._context: PluginContext | None = None
        self._closing: set[str] = set()  # peers that close after each reply
        try:
            self._tls = ssl.create_default_context(cafile=self._options.ca_file)
        except OSError as error:
            raise ConfigError([f"ca_file: expected certificates, got {self._options.ca_file!r}: {error}"]) from None

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what tells of closed connections."""
        self._context = context

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``xmlrpc:`` and ``xmlrpcs:`` sockets."""
        return parse(scheme, rest) if scheme in self.schemes else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Make one call per event."""
        return self._deliver(socket, batch) if isinstance(socket, XmlrpcSocket) else None

    async def _deliver(self, target: XmlrpcSocket, batch: Batch) -> None:
        requests = self._requests(target, batch)
        is_told = any(not event.definition.quiet for event in batch.events)
        waiting: deque[Sent] = deque()
        try:
            connection = await self._connection(target)
            while requests or waiting:
                if requests and len(waiting) <= self._most_in_flight(target) // 2:
                    if not connection.is_open:
                        connection = await self._connection(target)
                    room = min(len(requests), self._most_in_flight(target) - len(waiting))
                    parts = [requests.popleft() for _ in range(room)]
                    connection.is_told |= is_told
                    futures = connection.send([text for _, text in parts])
                    waiting.extend((part, future) for (part, _), future in zip(parts, futures, strict=True))
                await self._take(target, batch, waiting)
        except ConnectionEnded as error:
            await self._give_back(batch, waiting, error.reason)
        except OSError as error:
            await self._give_back(
                batch, waiting, "connect_timeout" if isinstance(error, TimeoutError) else connection_problem(error)
            )
        finally:
            for _, future in waiting:
                future.cancel()

    def _most_in_flight(self, target: XmlrpcSocket) -> int:
        one_by_one = not self._options.keep_alive or target.canonical in self._closing
        return 1 if one_by_one else self._options.max_in_flight

    def _requests(self, target: XmlrpcSocket, batch: Batch) -> deque[tuple[range, bytes]]:
        """Return the requests with the indexes of the events that each is for."""
        options = self._options
        calls = [values(event, as_struct=options.use_struct_param) for event in batch.events]
        size = _MULTICALL_EVENTS if options.multicall else 1
        requests: deque[tuple[range, bytes]] = deque()
        for start in range(0, len(calls), size):
            part = calls[start : start + size]
            body = multicall(target.method, part) if options.multicall else call(target.method, part[0])
            requests.append((range(start, start + len(part)), request(target, body, keep_alive=options.keep_alive)))
        return requests

    async def _take(self, target: XmlrpcSocket, batch: Batch, waiting: deque[Sent]) -> None:
        """Wait for the oldest reply, and record what it says."""
        part, future = waiting[0]
        try:
            if not future.done():
                async with asyncio.timeout(self._options.timeout_ms / 1000):
                    await asyncio.shield(future)
            status, body = future.result()
        except TimeoutError:
            for index in part:
                batch.fail(index, "timeout")
            waiting.popleft()
            self._close(target.canonical)
            raise ConnectionEnded("timeout") from None
        waiting.popleft()
        self._record(batch, part, status, body)
        connection = self._connections.get(target.canonical)
        if connection is not None and not connection.stays_open:
            self._closing.add(target.canonical)
            if waiting:  # they were sent to a peer that had stopped to listen
                raise ConnectionEnded("closed")

    def _record(self, batch: Batch, part: range, status: int, body: bytes) -> None:
        results = outcomes(status, body, len(part)) if self._options.multicall else [outcome(status, body)]
        for index, reason in zip(part, results, strict=True):
            if reason is None:
                batch.confirm(index)
            else:
                batch.fail(index, reason)

    async def _give_back(self, batch: Batch, waiting: deque[Sent], reason: str) -> None:
        """Take the replies that are there already, and have the rest tried again."""
        while waiting and waiting[0][1].done() and waiting[0][1].exception() is None:
            part, future = waiting.popleft()
            self._record(batch, part, *future.result())
        if len(batch.confirmed) + len(batch.failures) < len(batch.events) or not batch.events:
            raise Unavailable(reason)

    async def _connection(self, target: XmlrpcSocket) -> HttpConnection:
        connection = self._connections.get(target.canonical)
        if connection is not None and connection.is_open and connection.stays_open:
            return connection
        tls = self._tls if target.scheme == "xmlrpcs" else None
        async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
            _, connection = await asyncio.get_running_loop().create_connection(
                partial(HttpConnection, partial(self._tell_closed, "http" if tls is None else "https")),
                target.name,
                target.port,
                ssl=tls,
            )
        self._connections[target.canonical] = connection
        return connection

    def _tell_closed(self, protocol: str, peer: Address, own: Address) -> None:
        if self._context is not None:
            self._context.connection_closed(peer, own, protocol)

    def _close(self, canonical: str) -> None:
        connection = self._connections.pop(canonical, None)
        if connection is not None:
            connection.close()

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's connection."""
        self._close(socket.canonical)
        self._closing.discard(socket.canonical)

    @hookimpl
    def stop(self) -> None:
        """Close what is open."""
        for canonical in list(self._connections):
            self._close(canonical)
