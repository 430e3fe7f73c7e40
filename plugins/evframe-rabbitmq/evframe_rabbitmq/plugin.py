"""The plugin: batches to channels, confirmations to outcomes."""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_cloudevents import Formats
from evframe_wire.ids import id_of
from evframe_wire.tls import checked_context

from evframe import Batch, ConfigError, Socket, Unavailable, hookimpl
from evframe.plugin import HostAddress, LateModule, Limits, Ordering, PluginContext, Resolver, Step, UnfitError
from evframe_rabbitmq.address import RabbitSocket, parse
from evframe_rabbitmq.options import Options as RabbitmqOptions
from evframe_rabbitmq.routes import Route

if TYPE_CHECKING:
    from evframe_rabbitmq.library import Broker, Lane, Publication

_URL_FORMS: Final = {"amqp": ("rabbitmq:{rest}",), "amqps": ("rabbitmq:{authority}/tls?{path}",)}


class RabbitmqTransport:
    """The plugin object."""

    schemes = ("rabbitmq",)
    library_logs = ("aio_pika", "aiormq")
    Options = RabbitmqOptions

    def __init__(self, options: RabbitmqOptions | None = None) -> None:
        self._options = RabbitmqOptions() if options is None else options
        self.limits = Limits(gathers=True, in_flight=self._options.max_in_flight, percent_safe="", url_forms=_URL_FORMS)
        self._library = LateModule("evframe_rabbitmq.library")
        self._brokers: dict[tuple[Any, ...], Broker] = {}
        self._orderings: defaultdict[str, Ordering] = defaultdict(Ordering)
        self._lanes: dict[str, Lane] = {}
        self._releases: set[asyncio.Task[None]] = set()
        self._context = _tls(self._options) if self._options.use_tls else None
        self._resolver = Resolver()
        self.formats = Formats(self._options.format, self._options.formats, is_binary=True)
        """The formats of the subscribers."""
        self._plugins: PluginContext | None = None

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share the resolver of all plugins, and what makes CloudEvents."""
        self._plugins = context
        self.formats.use(context)
        self._resolver = context.resolver

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``rabbitmq:`` sockets."""
        if scheme != "rabbitmq":
            return None
        socket = parse(rest)
        if socket.tls and not self._options.use_tls:
            raise ValueError("expected the option use_tls for a socket with tls")
        if socket.external and not (socket.tls and self._options.cert_file):
            raise ValueError("expected tls, and the option cert_file, for a socket with external")
        return socket

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Publish one message per event."""
        if not isinstance(socket, RabbitSocket):
            return None
        return self._deliver(socket, batch, self._orderings[socket.canonical].batch())

    async def _deliver(self, target: RabbitSocket, batch: Batch, way: AbstractContextManager[Step]) -> None:
        library = await self._library.get()
        lane = self._lane(library, target)
        publication = self._publication(library, target, batch)
        first_back = len(batch.events)
        try:
            with way as step:
                async with step("write"):
                    if not batch.events:
                        await lane.open()
                        return
                    if publication.open:
                        await lane.publish(publication)
                await lane.confirmed(publication, step)
                first_back = _first_back(target, publication)
                if first_back < len(batch.events):
                    raise Unavailable(publication.failures[first_back])
        except BaseException:
            for index in range(first_back):
                if index not in publication.open and index not in publication.failures:
                    batch.confirm(index)
            raise
        finally:
            lane.forget(publication)
            for index, reason in publication.failures.items():
                if index not in publication.open and not _is_mendable(target, publication, reason):
                    batch.fail(index, reason)

    def _publication(self, library: Any, target: RabbitSocket, batch: Batch) -> Publication:
        ids = batch.ids
        if ids is None and target.message_id:
            ids = [id_of(event) for event in batch.events]
        publication: Publication = library.Publication([event.payload for event in batch.events], batch.events, ids)
        if not self.formats.is_plain:
            library.make_cloud_events(publication, self.formats, target, batch)
        publication.is_kept = batch.is_kept
        if self._plugins is not None:
            publication.carried = self._plugins.carried_by(batch.events)
        if target.route is not None:
            publication.targets = _targets(target, target.route, publication)
        return publication

    def _lane(self, library: Any, target: RabbitSocket) -> Lane:
        lane = self._lanes.get(target.canonical)
        if lane is None:
            lane = library.Lane(self._broker(library, target), target, self._options.timeout_ms / 1000)
            self._lanes[target.canonical] = lane
        return lane

    def _broker(self, library: Any, target: RabbitSocket) -> Broker:
        broker = self._brokers.get(target.broker)
        if broker is None:
            context = self._context if target.tls else None
            broker = library.Broker(target, self._options, context, self._resolver)
            self._brokers[target.broker] = broker
        broker.users.add(target.canonical)
        return broker

    @hookimpl
    def addresses_changed(self, host: str, addresses: tuple[HostAddress, ...]) -> None:
        """Exchange the connections to addresses that a broker has no more."""
        for broker in self._brokers.values():
            broker.moved(host, addresses)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's channel, and the connection with the last one."""
        if isinstance(socket, RabbitSocket):
            self._orderings.pop(socket.canonical, None)
            self._lanes.pop(socket.canonical, None)
            broker = self._brokers.get(socket.broker)
            if broker is not None:
                release = asyncio.get_running_loop().create_task(self._release(broker, socket))
                self._releases.add(release)
                release.add_done_callback(self._releases.discard)

    async def _release(self, broker: Broker, socket: RabbitSocket) -> None:
        with suppress(asyncio.CancelledError):  # of the core, which waits a while and is done
            await broker.release(socket.canonical)
        if not broker.users and self._brokers.get(socket.broker) is broker:
            del self._brokers[socket.broker]

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Wait for the ends of the connections."""
        return asyncio.gather(*self._releases)


def _targets(target: RabbitSocket, route: Route, publication: Publication) -> list[RabbitSocket]:
    """Return where each message of *publication* goes; one whose event has no routing key fails."""
    targets = []
    for index, event in enumerate(publication.events):
        try:
            key, headers = route.of(event)
        except UnfitError as error:
            publication.settle(index, error.reason)
            targets.append(target)  # which nothing is published to
        else:
            targets.append(attrs.evolve(target, key=key, headers=headers, route=None))
    return targets


def _is_mendable(target: RabbitSocket, publication: Publication, reason: str) -> bool:
    """Return whether a later attempt may be taken, and is to be made.

    A queue may be full, or not there yet; one that the event names never comes because of other events.
    """
    names_queue = target.route is not None and target.route.by_key is not None
    return publication.is_kept and (reason == "nacked" or (reason == "unroutable" and not names_queue))


def _first_back(target: RabbitSocket, publication: Publication) -> int:
    """Return the index of the first message that is published again, with all behind it; their number for none."""
    mendable = (index for index, reason in publication.failures.items() if _is_mendable(target, publication, reason))
    return min(mendable, default=len(publication.bodies))


def _tls(options: RabbitmqOptions) -> ssl.SSLContext:
    """Return what sockets with ``tls`` are reached with.

    Raises:
        ConfigError: if a file is not there, or is not what it should be.
    """
    try:
        return checked_context(options.ca_file, options.cert_file)
    except ValueError as error:
        raise ConfigError([str(error)]) from None
