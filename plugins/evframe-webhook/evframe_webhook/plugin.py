"""The plugin: requests for events, and outcomes from their answers."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_connections import ConnectingTransport
from evframe_http.handshake import ask_for_permission
from evframe_http.holders import Holders
from evframe_http.public import permitted_addresses
from evframe_http.retry_after import Later, Pauses
from evframe_http.urls import PORTS, shown
from evframe_wire.path_masking import KnownSockets
from evframe_wire.tls import ClientTls

from evframe import Batch, Rejected, Socket, Unavailable, hookimpl
from evframe.plugin import HostAddress, LeaseChange, Limits, PluginContext, Subscription
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

    host: str
    session: HttpSession
    is_leaving: bool = False
    """Whether the name has other addresses now, so that the next batch needs other connections."""
    may_send: bool = False
    """Whether the server has permitted requests in the handshake of CloudEvents."""

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:  # noqa: ARG002 all are new
        """Exchange the connections to *host* with the next batch."""
        self.is_leaving |= host == self.host

    async def close(self) -> None:
        """Close the connections."""
        await self.session.close()


class WebhookTransport(ConnectingTransport[WebhookOptions, WebhookSocket, _Server]):
    """The plugin object."""

    schemes = tuple(PORTS)
    limits = Limits(batch_events=MOST_EVENTS)
    Options = WebhookOptions
    socket = WebhookSocket
    library = "evframe_http.requests"

    def __init__(self, options: WebhookOptions | None = None) -> None:
        super().__init__(options)
        options = self._options
        self._target = targets_of(options)
        self._pauses = Pauses()
        self._sockets = KnownSockets(
            self._parsed,
            partial(shown, mask_paths=options.mask_paths),
        )
        self.formats = TargetFormats(options, self._target)
        """The formats of the subscribers."""
        self._holders = Holders()
        self._tls = ClientTls(options.ca_file)

    def _parsed(self, scheme: str, rest: str) -> WebhookSocket:
        socket = parse(scheme, rest, mask_paths=self._options.mask_paths, networks=self._options.networks)
        reserved = socket.reserved or self._target(socket).reserved
        return attrs.evolve(socket, reserved=reserved) if reserved else socket

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and what makes CloudEvents."""
        super().loaded(context)
        self.formats.use(context)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Look leases up from now on; before, only a check of the configuration delivers, which has none."""
        self._holders.use(context)

    def _parse(self, scheme: str, rest: str) -> WebhookSocket:
        return self._sockets.parsed(scheme, rest)

    def _key(self, target: WebhookSocket) -> Hashable:
        return target.canonical

    def _made(self, library: Any, target: WebhookSocket) -> _Server:
        connect_s = self._options.connect_timeout_ms / 1000
        tls = self._tls.context if target.scheme == "https" else None
        session = library.HttpSession(target.url, self._target(target).max_in_flight, tls, connect_s)
        return _Server(target.endpoints[0][0], session)

    async def _deliver(self, target: WebhookSocket, batch: Batch) -> None:
        if self._holders.have_ended(target.canonical):
            raise Rejected(GONE)
        self._pauses.check(target.canonical)
        library = await self._library.get()
        addresses = await permitted_addresses(target, self._resolver, self._holders, self._options.networks)
        server = self._server(library, target)
        if server.is_leaving:
            self._leave(target.canonical)
            server = self._server(library, target)
        server.session.use(addresses)
        try:
            if batch.events:
                await self._send(server, self._target(target), batch)
            else:
                await server.session.probe()
        except Later as error:
            self._pauses.begin(target.canonical, error)
            raise
        except Gone as error:
            if self._end(target):
                raise
            raise Unavailable(error.reason) from None  # the member of a group
        except Unavailable:
            self._resolver.forget(server.host)
            raise

    async def _send(self, server: _Server, target: Target, batch: Batch) -> None:
        carried = self._carried(batch)
        bodies = Bodies(batch, target.format, self.formats.messages(batch, carried), carried)
        if target.origin is not None and not server.may_send:
            await ask_for_permission(server.session, target.origin, target.headers, target.timeout_s)
            server.may_send = True
        await Sending(server.session, target, batch, bodies).run()

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
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's connections."""
        super().unsubscribed(socket)
        self._pauses.forget(socket.canonical)
        self._holders.forget(socket.canonical)
