"""The plugin: batches to pipelines of commands, replies to outcomes."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evframe_redis_clients.addresses import SCHEMES
from evframe_wire.tls import checked_context

from evframe import Batch, ConfigError, Socket, Unavailable, hookimpl
from evframe.plugin import HostAddress, LateModule, Limits, PluginContext, Resolver
from evframe_redis.address import RedisSocket, parse
from evframe_redis.entries import commands, parts
from evframe_redis.options import Options as RedisOptions
from evframe_redis.replies import Refusal

if TYPE_CHECKING:
    from evframe_redis.server import Server


class RedisTransport:
    """The plugin object.

    Args:
        options: the table ``[plugins.redis]``.
    """

    schemes = SCHEMES
    limits = Limits(gathers=True, percent_safe="")
    Options = RedisOptions

    def __init__(self, options: RedisOptions | None = None) -> None:
        self._options = RedisOptions() if options is None else options
        self._library = LateModule("evframe_redis.library")
        self._servers: dict[str, Server] = {}
        self._resolver = Resolver()
        self._context: PluginContext | None = None
        if self._options.ca_file is not None or self._options.cert_file is not None:
            self._tls  # noqa: B018 a file that cannot be used is an error of the start

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """What certificates are checked with; the default ones take 50 ms to read, which a start need not wait for."""
        try:
            return checked_context(self._options.ca_file, self._options.cert_file)
        except ValueError as error:
            raise ConfigError([str(error)]) from None

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins."""
        self._context, self._resolver = context, context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``redis:`` and ``rediss:`` sockets."""
        return parse(scheme, rest) if scheme in SCHEMES else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Add an entry to a stream for each event."""
        return self._deliver(socket, batch) if isinstance(socket, RedisSocket) else None

    async def _deliver(self, target: RedisSocket, batch: Batch) -> None:
        server = self._server(await self._library.get(), target)
        if not batch.events:
            await server.probe()
            return
        carried = None if self._context is None else self._context.carried_by(batch.events)
        added: list[int] = []
        try:
            for part in parts(commands(target, batch, carried), first_alone=server.is_careful):
                replies: list[Refusal | None] = []
                try:
                    await server.exchange(b"".join([each for _, each in part]), len(part), replies)
                finally:
                    later = _take(target, batch, [index for index, _ in part], replies, added)
                server.is_careful = later is not None
                if later is not None:
                    if later.is_of_the_server:
                        server.leave()
                    raise Unavailable(later.reason)
        except BaseException:
            for index in added:
                batch.confirm(index)
            raise

    def _server(self, library: Any, target: RedisSocket) -> Server:
        server = self._servers.get(target.canonical)
        if server is None or server.target != target:  # with another password
            if server is not None:
                server.cut()
            tls = self._tls if target.address.is_encrypted else None
            server = library.Server(target, self._options, tls, self._resolver)
            self._servers[target.canonical] = server
        return server

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that a server has no more."""
        for server in self._servers.values():
            server.moved(host, addresses)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """End the subscriber's connection."""
        server = self._servers.pop(socket.canonical, None)
        if server is not None:
            server.cut()

    @hookimpl
    def stop(self) -> None:
        """End what is open."""
        for server in self._servers.values():
            server.cut()


def _take(
    target: RedisSocket, batch: Batch, indexes: list[int], replies: list[Refusal | None], added: list[int]
) -> Refusal | None:
    """Fail the events that are refused for good, and return the first refusal that a later attempt may mend.

    The indexes of those that have their entries go into *added*.
    """
    later = None
    for index, refusal in zip(indexes, replies, strict=False):
        if refusal is None:
            added.append(index)
        elif refusal.is_later or (batch.is_kept and target.template is None and not refusal.is_of_the_event):
            later = later or refusal
        else:
            batch.fail(index, refusal.reason)
    return later
