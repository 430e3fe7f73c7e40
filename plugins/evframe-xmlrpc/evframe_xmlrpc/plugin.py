"""The plugin: each subscriber has a connection, and its calls follow each other on it."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Awaitable
from functools import partial
from typing import Final

from evframe_wire.addresses import connection_problem
from evframe_wire.path_masking import KnownSockets
from evframe_wire.tls import ClientTls

from evframe import Batch, Socket, Unavailable, hookimpl
from evframe.plugin import FORBIDDEN, HostAddress, LateModule, Limits, PluginContext, Resolver, first_reached
from evframe_xmlrpc.address import XmlrpcSocket, parse, shown
from evframe_xmlrpc.calls import Carried, call, common_headers, multicall, request, values
from evframe_xmlrpc.connection import Address, ConnectionEnded, HttpConnection, Reply
from evframe_xmlrpc.options import Options as XmlrpcOptions
from evframe_xmlrpc.replies import is_refused, outcome, outcomes

_MULTICALL_EVENTS: Final = 100
_MENDABLE: Final = {401, 403, 404, 407, 408, 429, 502, 503, 504}
"""The HTTP status of a server that is not itself, or not there: whatever the event, a later attempt may be taken."""

Part = list[tuple[int, list[str]]]
"""The indexes of events, and the parameters of their calls."""
Sent = tuple[Part, asyncio.Future[Reply | ConnectionEnded]]


class XmlrpcTransport:
    """The plugin object."""

    schemes = ("xmlrpc", "xmlrpcs")
    limits = Limits(
        reads_params=True,
        url_forms={
            "http": ("xmlrpc:{authority}/{path}:METHOD", "xmlrpc:{authority}:80/{path}:METHOD"),
            "https": ("xmlrpcs:{authority}/{path}:METHOD", "xmlrpcs:{authority}:443/{path}:METHOD"),
        },
    )
    Options = XmlrpcOptions

    def __init__(self, options: XmlrpcOptions | None = None) -> None:
        self._options = XmlrpcOptions() if options is None else options
        self._connections: dict[str, tuple[XmlrpcSocket, HttpConnection]] = {}
        mask_paths = self._options.mask_paths
        self._sockets = KnownSockets(partial(parse, mask_paths=mask_paths), partial(shown, mask_paths=mask_paths))
        self._tls = ClientTls(self._options.ca_file)
        self._parser = LateModule("lxml.etree")  # for `replies`
        self._resolver = Resolver()
        self._context: PluginContext | None = None
        self._closing: set[str] = set()  # peers that close after each reply

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and report closed connections."""
        self._context = context
        self._resolver = context.resolver

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that *host* does not have any more."""
        current = {address.ip for address in addresses}
        for target, connection in self._connections.values():
            if target.endpoints[0][0] == host and connection.address.ip not in current:
                connection.leave()

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``xmlrpc:`` and ``xmlrpcs:`` sockets."""
        return self._sockets.parsed(scheme, rest) if scheme in self.schemes else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Make one call per event."""
        return self._deliver(socket, batch) if isinstance(socket, XmlrpcSocket) else None

    async def _deliver(self, target: XmlrpcSocket, batch: Batch) -> None:
        pending = self._parts(batch)
        carried = None if self._context is None else self._context.carried_by(batch.events)
        is_reported = any(not event.definition.is_meta for event in batch.events)
        waiting: deque[Sent] = deque()
        try:
            connection = await self._connection(target)
            while pending or waiting:
                if pending and len(waiting) <= self._most_in_flight(target) // 2:
                    # What an ended connection has not answered comes first on the next one.
                    if not waiting and (connection.is_leaving or not connection.is_open):
                        connection = await self._connection(target)
                    if connection.is_open and not connection.is_leaving:
                        connection.is_reported |= is_reported
                        self._send(target, connection, pending, waiting, carried)
                await self._take(target, batch, waiting, pending)
        except (ConnectionEnded, Unavailable) as error:
            await self._give_back(batch, waiting, error.reason)
        except OSError as error:
            self._resolver.forget(target.endpoints[0][0])
            reason = "connect_timeout" if isinstance(error, TimeoutError) else connection_problem(error)
            await self._give_back(batch, waiting, reason)
        finally:
            for _, future in waiting:
                future.cancel()

    def _send(
        self,
        target: XmlrpcSocket,
        connection: HttpConnection,
        pending: deque[Part],
        waiting: deque[Sent],
        carried: Carried,
    ) -> None:
        """Send as many requests as may be under way."""
        room = min(len(pending), self._most_in_flight(target) - len(waiting))
        parts = [pending.popleft() for _ in range(room)]
        futures = connection.send([self._request(target, part, carried) for part in parts])
        waiting.extend(zip(parts, futures, strict=True))

    def _most_in_flight(self, target: XmlrpcSocket) -> int:
        one_by_one = not self._options.keep_alive or self._options.multicall or target.canonical in self._closing
        return 1 if one_by_one else self._options.max_in_flight

    def _parts(self, batch: Batch) -> deque[Part]:
        """Return what each request is for; an event that cannot be encoded fails alone."""
        calls: Part = []
        for index, event in enumerate(batch.events):
            try:
                calls.append((index, values(event, as_struct=self._options.use_struct_param)))
            except Exception as error:  # noqa: BLE001 whatever its values raise, the others are sent
                batch.fail(index, "encoding", error)
        size = _MULTICALL_EVENTS if self._options.multicall else 1
        return deque(calls[start : start + size] for start in range(0, len(calls), size))

    def _request(self, target: XmlrpcSocket, part: Part, carried: Carried) -> bytes:
        calls = [params for _, params in part]
        body = multicall(target.method, calls) if self._options.multicall else call(target.method, calls[0])
        headers = common_headers(carried, (index for index, _ in part))
        return request(target, body, headers, keep_alive=self._options.keep_alive)

    async def _take(self, target: XmlrpcSocket, batch: Batch, waiting: deque[Sent], pending: deque[Part]) -> None:
        """Wait for the oldest reply, and record what it says."""
        part, future = waiting[0]
        try:
            if not future.done():
                async with asyncio.timeout(self._options.timeout_ms / 1000):
                    await asyncio.shield(future)
            answer = future.result()
        except TimeoutError:
            if not batch.is_kept:
                for index, _ in part:
                    batch.fail(index, "timeout")
                waiting.popleft()
            self._close(target.canonical)
            raise ConnectionEnded("timeout") from None
        if isinstance(answer, ConnectionEnded):
            raise ConnectionEnded(answer.reason)
        waiting.popleft()
        if _is_away(batch, answer):
            waiting.clear()  # a later call may have been made: it is made again, behind this one
            self._close(target.canonical)
            raise ConnectionEnded(f"http_{answer[0]}")
        self._record(batch, part, *answer, pending)
        _, connection = self._connections.get(target.canonical, (None, None))
        if connection is not None and not connection.stays_open:
            self._closing.add(target.canonical)
            if waiting:  # they were sent to a peer that had stopped to listen
                raise ConnectionEnded("closed")

    def _record(self, batch: Batch, part: Part, status: int, body: bytes, pending: deque[Part]) -> None:
        """Give each event of *part* its outcome; of a multicall that was refused, each half is another one."""
        if self._options.multicall:
            if len(part) > 1 and is_refused(outcome(status, body)):
                half = len(part) // 2
                pending.extendleft((part[half:], part[:half]))
                return
            results = outcomes(status, body, len(part))
        else:
            results = [outcome(status, body)]
        for (index, _), reason in zip(part, results, strict=True):
            if reason is None:
                batch.confirm(index)
            else:
                batch.fail(index, reason)

    async def _give_back(self, batch: Batch, waiting: deque[Sent], reason: str) -> None:
        """Take the replies that have arrived already, and have the rest tried again."""
        while waiting and waiting[0][1].done() and not isinstance(answer := waiting[0][1].result(), ConnectionEnded):
            if _is_away(batch, answer):
                break
            part, _ = waiting.popleft()
            self._record(batch, part, *answer, deque())
        if len(batch.confirmed) + len(batch.failures) < len(batch.events) or not batch.events:
            raise Unavailable(reason)

    async def _connection(self, target: XmlrpcSocket) -> HttpConnection:
        _, connection = self._connections.get(target.canonical, (None, None))
        if connection is not None and connection.is_open and connection.stays_open and not connection.is_leaving:
            return connection
        self._close(target.canonical)
        connection = await self._reach(target)
        self._connections[target.canonical] = target, connection
        return connection

    async def _reach(self, target: XmlrpcSocket) -> HttpConnection:
        """Return a connection to an address that the host still has when it is made."""
        await self._parser.get()
        while True:
            addresses = await self._resolver.addresses(*target.endpoints[0])
            connect = partial(self._reach_one, target)
            connection = await first_reached(addresses, connect, self._options.connect_timeout_ms / 1000)
            if self._is_current(target, connection.address):
                return connection
            connection.close()

    def _is_current(self, target: XmlrpcSocket, address: HostAddress) -> bool:
        host, port = target.endpoints[0]
        current = self._resolver.known(host, port)
        return self._resolver.problem(host, port) != FORBIDDEN if current is None else address in current

    async def _reach_one(self, target: XmlrpcSocket, address: HostAddress) -> HttpConnection:
        loop = asyncio.get_running_loop()
        is_tls = target.scheme == "xmlrpcs"
        on_closed = partial(self._report_closed, "https" if is_tls else "http")
        kernel = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await loop.sock_connect(kernel, address.sockaddr)
            _, connection = await loop.create_connection(
                partial(HttpConnection, address, on_closed, self._options.max_connection_age_s),
                sock=kernel,
                ssl=self._tls.context if is_tls else None,
                server_hostname=target.endpoints[0][0] if is_tls else None,
            )
        except BaseException:
            kernel.close()
            raise
        return connection

    def _report_closed(self, protocol: str, peer: Address, own: Address) -> None:
        if self._context is not None:
            self._context.connection_closed(peer, own, protocol)

    def _close(self, canonical: str) -> None:
        _, connection = self._connections.pop(canonical, (None, None))
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


def _is_away(batch: Batch, answer: Reply) -> bool:
    """Return whether a later attempt may be answered otherwise, and is to be made."""
    return batch.is_kept and answer[0] in _MENDABLE
