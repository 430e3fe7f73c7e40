"""The plugin: requests for events, and outcomes from their answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_http.handshake import ask_for_permission
from evframe_http.holders import Holders
from evframe_http.public import permitted_addresses
from evframe_http.retry_after import Later, Pauses
from evframe_http.urls import PORTS, shown
from evframe_wire.closing import Closing
from evframe_wire.path_masking import KnownSockets
from evframe_wire.tls import ClientTls

from evframe import Batch, Rejected, Socket, Unavailable, hookimpl
from evframe.plugin import HostAddress, LateModule, LeaseChange, Limits, PluginContext, Resolver, Subscription
from evframe_webhook.address import WebhookSocket, parse
from evframe_webhook.bodies import Bodies
from evframe_webhook.options import MOST_EVENTS
from evframe_webhook.options import Options as WebhookOptions
from evframe_webhook.sending import Gone, Sending
from evframe_webhook.targets import Target, TargetFormats, targets_of

if TYPE_CHECKING:
    from evframe_http.requests import HttpSession

GONE: Final = "http_410"
log = logging.getLogger("evframe.webhook")


@attrs.define
class _Server:
    """The connections of one subscriber."""

    socket: WebhookSocket
    session: HttpSession
    is_leaving: bool = False
    """Whether the name has other addresses now, so that the next batch needs other connections."""
    may_send: bool = False
    """Whether the server has permitted requests in the handshake of CloudEvents."""


class WebhookTransport:
    """The plugin object."""

    schemes = tuple(PORTS)
    limits = Limits(batch_events=MOST_EVENTS)
    Options = WebhookOptions

    def __init__(self, options: WebhookOptions | None = None) -> None:
        self._options = options = WebhookOptions() if options is None else options
        self._library = LateModule("evframe_http.requests")
        self._target = targets_of(options)
        self._servers: dict[str, _Server] = {}
        self._closing = Closing()
        self._pauses = Pauses()
        self._sockets = KnownSockets(
            partial(parse, mask_paths=options.mask_paths, networks=options.networks),
            partial(shown, mask_paths=options.mask_paths),
        )
        self._resolver = Resolver()
        self.formats = TargetFormats(options, self._target)
        """The formats of the subscribers."""
        self._context: PluginContext | None = None
        self._holders = Holders()
        self._tls = ClientTls(options.ca_file)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and what makes CloudEvents."""
        self.formats.use(context)
        self._context, self._resolver = context, context.resolver

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Look leases up from now on; before, only a check of the configuration delivers, which has none."""
        self._holders.use(context)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``http:`` and ``https:`` sockets."""
        return self._sockets.parsed(scheme, rest) if scheme in PORTS else None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one request for each event, or one for several."""
        return self._deliver(socket, batch) if isinstance(socket, WebhookSocket) else None

    async def _deliver(self, socket: WebhookSocket, batch: Batch) -> None:
        if self._holders.have_ended(socket.canonical):
            raise Rejected(GONE)
        self._pauses.check(socket.canonical)
        library = await self._library.get()
        addresses = await permitted_addresses(socket, self._resolver, self._holders, self._options.networks)
        target = self._target(socket)
        server = self._server(library, socket, target)
        server.session.use(addresses)
        try:
            if batch.events:
                await self._send(server, target, batch)
            else:
                await server.session.probe()
        except Later as error:
            self._pauses.begin(socket.canonical, error)
            raise
        except Gone as error:
            if self._end(socket):
                raise
            raise Unavailable(error.reason) from None  # the member of a group
        except Unavailable:
            self._resolver.forget(socket.endpoints[0][0])
            raise

    async def _send(self, server: _Server, target: Target, batch: Batch) -> None:
        carried = None if self._context is None else self._context.carried_by(batch.events)
        bodies = Bodies(batch, target.format, self.formats.messages(batch, carried), carried)
        if target.origin is not None and not server.may_send:
            await ask_for_permission(server.session, target.origin, target.headers, target.timeout_s)
            server.may_send = True
        await Sending(server.session, target, batch, bodies).run()

    def _server(self, library: Any, socket: WebhookSocket, target: Target) -> _Server:
        server = self._servers.get(socket.canonical)
        if server is not None and not server.is_leaving:
            return server
        self._close(socket.canonical)
        connect_s = self._options.connect_timeout_ms / 1000
        tls = self._tls.context if socket.scheme == "https" else None
        session = library.HttpSession(socket.url, target.max_in_flight, tls, connect_s)
        made = self._servers[socket.canonical] = _Server(socket, session)
        return made

    def _end(self, socket: WebhookSocket) -> bool:
        """End the leases of *socket*, whose server wants no further events; return whether there were any."""
        leases = self._holders.end(socket)
        if leases:
            extra = {"socket": socket.canonical, "events": ",".join(lease.event.name for lease in leases)}
            log.warning("a webhook is gone, and its leases end", extra=extra)
        return bool(leases)

    @hookimpl
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Send events again to a subscriber that has a new lease."""
        self._holders.lease_changed(lease, change)

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:  # noqa: ARG002 all are new
        """Exchange the connections to *host* with the next batch."""
        for server in self._servers.values():
            if server.socket.endpoints[0][0] == host:
                server.is_leaving = True

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's connections."""
        self._close(socket.canonical)
        self._pauses.forget(socket.canonical)
        self._holders.forget(socket.canonical)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Close what is open."""
        for canonical in list(self._servers):
            self._close(canonical)
        return self._closing.wait()

    def _close(self, canonical: str) -> None:
        server = self._servers.pop(canonical, None)
        if server is not None:
            self._closing.add(server.session.close())
