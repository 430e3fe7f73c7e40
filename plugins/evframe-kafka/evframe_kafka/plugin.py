"""The plugin: batches of events to batches of records, acknowledgements to outcomes."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from evframe_cloudevents import Formats
from evframe_kafka_clients import secrets

from evframe import Batch, Socket, hookimpl
from evframe.plugin import LateModule, Limits, Ordering, PluginContext, Resolver, Step
from evframe_kafka.address import KafkaSocket, parse
from evframe_kafka.options import Options as KafkaOptions
from evframe_kafka.properties import check
from evframe_kafka.settings import Beyond, settings_of

if TYPE_CHECKING:
    from evframe_kafka.library import Cluster, Sending, TopicSet

log = logging.getLogger("evframe.kafka")


class KafkaTransport:
    """The plugin object."""

    schemes = ("kafka",)
    library_logs = ("aiokafka",)
    Options = KafkaOptions

    def __init__(self, options: KafkaOptions | None = None) -> None:
        self._options = KafkaOptions() if options is None else options
        self.limits = Limits(
            batch_events=8192,
            in_flight=self._options.max_in_flight,
            # The brokers take one batch of a partition after the other: what comes meanwhile goes in one piece.
            in_flight_batches=4,
            percent_safe=",:[]",  # the brokers are not percent-encoded
        )
        self._library = LateModule("evframe_kafka.library")
        self._clusters: dict[tuple[Any, ...], Cluster] = {}
        self._orderings: defaultdict[str, Ordering] = defaultdict(Ordering)
        self._topics: dict[str, TopicSet] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._resolver = Resolver()
        self._context: PluginContext | None = None
        self._networks_beyond: Beyond = lambda _: None
        self._warned: set[str] = set()
        self.formats = Formats(self._options.format, self._options.formats, is_binary=True)
        """The formats of the subscribers."""

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Share what the interface has for all, and have the library log no password."""
        self.formats.use(context)
        self._context = context
        self._resolver = context.resolver
        self._networks_beyond = context.networks_beyond
        secrets.hide()

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``kafka:`` sockets, and check that their properties go together."""
        if scheme != "kafka":
            return None
        socket = parse(rest)
        check(settings_of(socket, self._options))
        self._warn(socket)
        return socket

    def _warn(self, socket: KafkaSocket) -> None:
        """Log properties without an effect, each of them once."""
        new = sorted(set(socket.without_effect) - self._warned)
        if new:
            self._warned.update(new)
            log.warning("properties have no effect", extra={"socket": socket.canonical, "properties": new})

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Send one record per event."""
        if not isinstance(socket, KafkaSocket):
            return None
        return self._deliver(socket, batch, self._orderings[socket.canonical].batch())

    async def _deliver(self, target: KafkaSocket, batch: Batch, way: AbstractContextManager[Step]) -> None:
        library = await self._library.get()
        topics = self._topics_of(library, target) if target.names_topics else None
        cluster = self._cluster(library, target, topics)
        if not batch.events:
            await cluster.probe(target.topic if topics is None else None)
            return
        carried = None if self._context is None else self._context.carried_by(batch.events)
        contents = library.contents_of(target, batch, carried, self.formats)
        sending: Sending = library.Sending(cluster, contents, batch)
        if not sending.contents.indexes:
            return
        with way as step:
            if topics is not None:
                await topics.deliver(sending, step)
                return
            async with step("pack"):
                packed = await sending.pack(target.topic, sending.contents.indexes)
            await sending.send(packed, step)

    def _topics_of(self, library: Any, target: KafkaSocket) -> TopicSet:
        topics = self._topics.get(target.canonical)
        if topics is None:
            topics = library.TopicSet(self._options.max_open_topics, self._options.topic_timeout_ms / 1000)
            self._topics[target.canonical] = topics
        return topics

    def _cluster(self, library: Any, target: KafkaSocket, topics: TopicSet | None) -> Cluster:
        cluster = self._clusters.get(target.cluster)
        if cluster is None:
            cluster = library.Cluster(target, self._options, self._resolver, self._networks_beyond)
            self._clusters[target.cluster] = cluster
        cluster.users[target.canonical] = (target.topic,) if topics is None else topics.open
        return cluster

    @hookimpl
    def addresses_changed(self, host: str) -> None:
        """Exchange the producers of clusters whose brokers to begin with have moved."""
        for cluster in self._clusters.values():
            cluster.moved(host)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """End the producer with the last of its subscribers."""
        if not isinstance(socket, KafkaSocket):
            return
        self._orderings.pop(socket.canonical, None)
        self._topics.pop(socket.canonical, None)
        cluster = self._clusters.get(socket.cluster)
        if cluster is not None:
            cluster.users.pop(socket.canonical, None)
            if not cluster.users:
                del self._clusters[socket.cluster]
                closing = asyncio.get_running_loop().create_task(cluster.close())
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)

    @hookimpl
    def stop(self) -> Awaitable[Any]:
        """Wait for the ends of the producers."""
        return asyncio.gather(*self._closing)
