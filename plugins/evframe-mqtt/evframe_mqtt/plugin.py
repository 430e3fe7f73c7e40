"""The plugin: batches to messages, and acknowledgements to outcomes."""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from evframe_mqtt_clients.login import Login
from evframe_mqtt_clients.reasons import ACCESS_REFUSED
from evframe_wire.tls import checked_context

from evframe import Batch, ConfigError, Socket, SocketError, Unavailable, hookimpl
from evframe.plugin import (
    HostAddress,
    LateModule,
    Limits,
    LogLimiter,
    Ordering,
    PluginContext,
    Resolver,
    Step,
    read_secret,
)
from evframe_mqtt.address import PORTS, MqttSocket, parse, shown
from evframe_mqtt.options import LoginOptions
from evframe_mqtt.options import Options as MqttOptions

if TYPE_CHECKING:
    from evframe_mqtt_clients.connection import Connection

    from evframe_mqtt.library import Lane

log = logging.getLogger("evframe.mqtt")


class MqttTransport:
    """The plugin object."""

    schemes = tuple(PORTS)
    Options = MqttOptions

    def __init__(self, options: MqttOptions | None = None) -> None:
        self._options = MqttOptions() if options is None else options
        self.limits = Limits(gathers=True, in_flight=self._options.max_in_flight, percent_safe="")
        self._library = LateModule("evframe_mqtt.library")
        self._connections = LateModule("evframe_mqtt_clients.connection")
        self._orderings: defaultdict[str, Ordering] = defaultdict(Ordering)
        self._lanes: dict[str, tuple[MqttSocket, Lane]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._contexts: dict[str | None, ssl.SSLContext] = {}
        self._resolver = Resolver()
        self._context: PluginContext | None = None
        self._limiter = LogLimiter()
        if self._options.ca_file is not None:
            self._tls(None)  # a file that cannot be used is an error of the start
        for login in self._options.logins:
            if login.cert_file is not None:
                self._tls(login.cert_file)

    def _tls(self, cert_file: str | None) -> ssl.SSLContext:
        """Return what certificates are checked with, and our own one, if any."""
        context = self._contexts.get(cert_file)
        if context is not None:
            return context
        try:
            context = checked_context(self._options.ca_file, cert_file)
        except ValueError as error:
            raise ConfigError([str(error)]) from None
        self._contexts[cert_file] = context
        return context

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins."""
        self._context, self._resolver = context, context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``mqtt:`` and ``mqtts:`` sockets."""
        if scheme not in PORTS:
            return None
        try:
            socket = parse(scheme, rest)
        except ValueError as error:
            raise SocketError(shown(scheme, rest), str(error)) from None
        login = self._login_options(socket)
        if login is None or login.for_clients:
            return socket
        return attrs.evolve(socket, reserved="a server with a login")

    def _login_options(self, socket: MqttSocket) -> LoginOptions | None:
        """Return the first login that fits."""
        for login in self._options.logins:
            if login.parts == socket.server and (socket.user is None or socket.user == login.user):
                return login
        return None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Publish one message for each event."""
        if not isinstance(socket, MqttSocket):
            return None
        return self._deliver(socket, batch, self._orderings[socket.canonical].batch())

    async def _deliver(self, target: MqttSocket, batch: Batch, way: AbstractContextManager[Step]) -> None:
        library = await self._library.get()
        lane = self._lane(library, target)
        if not batch.events:
            with way as step:
                async with step("write"):
                    await lane.open()
            return
        carried = None if self._context is None else self._context.carried_by(batch.events)
        publication = library.Publication(target, batch, carried)
        try:
            with way as step:
                await lane.publish(publication, step)
        finally:
            publication.report()

    def _lane(self, library: Any, target: MqttSocket) -> Lane:
        _, lane = self._lanes.get(target.canonical, (None, None))
        if lane is None:
            connect = partial(self._connect, target)
            made: Lane = library.Lane(target, connect, self._options.timeout_ms / 1000, self._options.max_in_flight)
            self._lanes[target.canonical] = target, made
            return made
        return lane

    async def _connect(self, target: MqttSocket, lane: Lane) -> Connection:
        """Return a new connection for *lane*.

        Raises:
            Unavailable: if there can be none now.
        """
        library = await self._connections.get()
        host, port = target.endpoints[0]
        login = self._login(target, host)
        addresses = await self._resolver.addresses(host, port)
        try:
            connection: Connection = await library.connect(login, addresses, lane)
        except Unavailable:
            self._resolver.forget(host)
            raise
        return connection

    def _login(self, target: MqttSocket, host: str) -> Login:
        options, own = self._options, self._login_options(target)
        user, password = target.user, None
        if own is not None:
            user, password = own.user, own.password
            if own.password_file is not None:
                password = self._read(own.password_file)
        return Login(
            host,
            f"{options.client_id}-{uuid.uuid4().hex[:16]}" if options.client_id else "",
            user,
            password,
            self._tls(None if own is None else own.cert_file) if target.scheme == "mqtts" else None,
            options.keepalive_s,
            options.connect_timeout_ms / 1000,
            options.login_timeout_ms / 1000,
        )

    def _read(self, path: str) -> str:
        try:
            return read_secret(path)
        except ValueError as error:
            repeated = self._limiter.due(path)
            if repeated is not None:
                log.warning("a password cannot be read", extra={"problem": str(error), "repeated": repeated})
            raise Unavailable(ACCESS_REFUSED) from None

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that a server has no more."""
        for target, lane in self._lanes.values():
            if target.endpoints[0][0] == host:
                lane.moved(addresses)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's connection."""
        self._orderings.pop(socket.canonical, None)
        self._close(socket.canonical)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Close what is open."""
        for canonical in list(self._lanes):
            self._close(canonical)
        return asyncio.gather(*self._closing)

    def _close(self, canonical: str) -> None:
        _, lane = self._lanes.pop(canonical, (None, None))
        if lane is not None:
            task = asyncio.get_running_loop().create_task(_closed(lane))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _closed(lane: Lane) -> None:
    with suppress(asyncio.CancelledError):  # of the core, which waits a while and is done
        await lane.close()
