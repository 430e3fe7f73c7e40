"""The plugin: sockets and logins."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Hashable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
from evframe_connections import PublishingTransport
from evframe_mqtt_clients.login import Login
from evframe_mqtt_clients.reasons import ACCESS_REFUSED
from evframe_wire.tls import ClientTls

from evframe import Batch, SocketError, Unavailable
from evframe.plugin import Limits, LogLimiter, read_secret
from evframe_mqtt.address import PORTS, MqttSocket, parse, shown
from evframe_mqtt.options import LoginOptions
from evframe_mqtt.options import Options as MqttOptions

if TYPE_CHECKING:
    from evframe_mqtt.link import Server
    from evframe_mqtt.publication import Publication

log = logging.getLogger("evframe.mqtt")


class MqttTransport(PublishingTransport[MqttOptions, MqttSocket, "Server"]):
    """The plugin object.

    Args:
        options: the table ``[plugins.mqtt]``.
    """

    schemes = tuple(PORTS)
    library = "evframe_mqtt.library"
    Options = MqttOptions
    socket = MqttSocket

    def __init__(self, options: MqttOptions | None = None) -> None:
        super().__init__(options)
        self.limits = Limits(gathers=True, in_flight=self._options.max_in_flight, percent_safe="")
        certificates = {None, *(login.cert_file for login in self._options.logins)}
        self._tls = {cert_file: ClientTls(self._options.ca_file, cert_file) for cert_file in certificates}
        self._limiter = LogLimiter()

    def _parse(self, scheme: str, rest: str) -> MqttSocket:
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

    def _key(self, target: MqttSocket) -> Hashable:
        return target.canonical

    def _made(self, library: Any, target: MqttSocket) -> Server:
        server: Server = library.Server(target, self._options, partial(self._login, target), self._resolver)
        return server

    def _publication(self, library: Any, target: MqttSocket, batch: Batch) -> Publication:
        made: Publication = library.Publication(target, batch, self._carried(batch))
        return made

    def _login(self, target: MqttSocket) -> Login:
        """Return what a connection is made with.

        Raises:
            Unavailable: if a password cannot be read.
        """
        options, own = self._options, self._login_options(target)
        user, password = target.user, None
        if own is not None:
            user, password = own.user, own.password
            if own.password_file is not None:
                password = self._read(own.password_file)
        return Login(
            target.endpoints[0][0],
            f"{options.client_id}-{uuid.uuid4().hex[:16]}" if options.client_id else "",
            user,
            password,
            self._tls[None if own is None else own.cert_file].context if target.scheme == "mqtts" else None,
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
