"""The plugin: requests for events, and outcomes from their answers."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Awaitable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from evframe_wire.path_masking import KnownSockets
from evframe_wire.tls import client_context

from evframe import Batch, ConfigError, Rejected, Socket, SocketError, Unavailable, hookimpl
from evframe.plugin import (
    FORBIDDEN,
    HostAddress,
    LateModule,
    LeaseChange,
    Limits,
    PluginContext,
    Resolver,
    Subscription,
    numeric,
)
from evframe_webhook.address import PORTS, WebhookSocket, is_permitted, parse, shown
from evframe_webhook.bodies import Bodies
from evframe_webhook.holders import Holders
from evframe_webhook.options import MOST_EVENTS
from evframe_webhook.options import Options as WebhookOptions
from evframe_webhook.sending import GONE, Gone, Later, Sending
from evframe_webhook.targets import Target, TargetFormats, targets_of

if TYPE_CHECKING:
    from evframe_webhook.session import Session

log = logging.getLogger("evframe.webhook")


class WebhookTransport:
    """The plugin object."""

    schemes = tuple(PORTS)
    limits = Limits(batch_events=MOST_EVENTS)
    Options = WebhookOptions

    def __init__(self, options: WebhookOptions | None = None) -> None:
        self._options = WebhookOptions() if options is None else options
        self._library = LateModule("evframe_webhook.session")
        self._target = targets_of(self._options)
        self._sessions: dict[str, tuple[WebhookSocket, Session]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._pauses: dict[str, tuple[float, str]] = {}  # until when nothing is sent, and why
        self._gone: set[str] = set()  # subscribers whose leases a server has ended
        self._known: KnownSockets[WebhookSocket] = KnownSockets()
        self._resolver = Resolver()
        self.formats = TargetFormats(self._options, self._target)
        """The formats of the subscribers."""
        self._context: PluginContext | None = None
        self._holders = Holders()
        if self._options.ca_file is not None:
            self._tls  # noqa: B018 a file that cannot be used is an error of the start

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """What certificates are checked with; the default ones take 50 ms to read, which a start need not wait for."""
        try:
            return client_context(self._options.ca_file)
        except OSError as error:
            raise ConfigError([f"ca_file: expected certificates, got {self._options.ca_file!r}: {error}"]) from None

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
        if scheme not in PORTS:
            return None
        mask_paths = self._options.mask_paths
        try:
            found = parse(scheme, rest, mask_paths=mask_paths, networks=self._options.networks)
        except ValueError as error:
            raise SocketError(shown(scheme, rest, mask_paths=mask_paths), str(error)) from None
        try:
            return self._known.resolved(found)
        except ValueError as error:
            raise SocketError(found.canonical, str(error)) from None

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one request for each event, or one for several."""
        return self._deliver(socket, batch) if isinstance(socket, WebhookSocket) else None

    async def _deliver(self, socket: WebhookSocket, batch: Batch) -> None:
        if socket.canonical in self._gone:
            raise Rejected(GONE)
        until_s, reason = self._pauses.get(socket.canonical, (0.0, ""))
        if time.monotonic() < until_s:
            raise Unavailable(reason)
        library = await self._library.get()
        addresses = await self._addresses(socket)
        target = self._target(socket)
        session = self._session(library, socket, target)
        session.use(addresses)
        carried = None if self._context is None else self._context.carried_by(batch.events)
        bodies = Bodies(batch, target.format, self.formats.messages(batch, carried), carried)
        try:
            if batch.events:
                await Sending(session, target, batch, bodies).run()
            else:
                await session.probe(socket.endpoints[0][0])
        except Later as error:
            if error.pause_s:
                self._pauses[socket.canonical] = time.monotonic() + error.pause_s, error.reason
            raise Unavailable(error.reason) from None
        except Gone:
            if not self._end(socket):  # the member of a group
                raise Unavailable(GONE) from None
            raise Rejected(GONE) from None
        except Unavailable:
            self._resolver.forget(socket.endpoints[0][0])
            raise

    async def _addresses(self, socket: WebhookSocket) -> Sequence[HostAddress]:
        """Return the addresses that requests may be sent to.

        Raises:
            Unavailable: if there is none.
        """
        host, port = socket.endpoints[0]
        found = await self._resolver.addresses(host, port)
        if numeric(host, port) is None and self._holders.are_clients(socket):
            networks = self._options.networks
            found = tuple(address for address in found if is_permitted(address.ip, networks))
        if not found:
            raise Unavailable(FORBIDDEN)
        return found

    def _session(self, library: Any, socket: WebhookSocket, target: Target) -> Session:
        _, session = self._sessions.get(socket.canonical, (None, None))
        if session is not None and not session.is_leaving:
            return session
        self._close(socket.canonical)
        connect_s = self._options.connect_timeout_ms / 1000
        tls = self._tls if socket.scheme == "https" else None
        made: Session = library.Session(socket.url, target.max_in_flight, tls, connect_s)
        self._sessions[socket.canonical] = socket, made
        return made

    def _end(self, socket: WebhookSocket) -> bool:
        """End the leases of *socket*, whose server wants no further events; return whether there were any."""
        leases = self._holders.leases(socket)
        if leases:
            self._gone.add(socket.canonical)
            extra = {"socket": socket.canonical, "events": ",".join(lease.event.name for lease in leases)}
            log.warning("a webhook is gone, and its leases end", extra=extra)
        for lease in leases:
            self._holders.end(lease)
        return bool(leases)

    @hookimpl
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Send events again to a subscriber that has a new lease."""
        self._holders.changed()
        if change not in {"ended", "expired"}:
            self._gone.discard(lease.subscriber.socket.canonical)

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:  # noqa: ARG002 all are new
        """Exchange the connections to *host* with the next batch."""
        for socket, session in self._sessions.values():
            if socket.endpoints[0][0] == host:
                session.is_leaving = True

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's connections."""
        self._close(socket.canonical)
        self._pauses.pop(socket.canonical, None)
        self._gone.discard(socket.canonical)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Close what is open."""
        for canonical in list(self._sessions):
            self._close(canonical)
        return asyncio.gather(*self._closing)

    def _close(self, canonical: str) -> None:
        _, session = self._sessions.pop(canonical, (None, None))
        if session is not None:
            task = asyncio.get_running_loop().create_task(session.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
