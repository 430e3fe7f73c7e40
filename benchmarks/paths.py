"""What is measured: each path from `raise_event` to its outcome, and the loop that limits it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import limits
import peers
from counting import counting
from evframe_datagram import DatagramTransport
from evframe_flatstore import FlatstoreTransport
from evframe_kafka import KafkaTransport
from evframe_mqtt import MqttTransport
from evframe_mqtt_consumer import ConnectionOptions, MqttConsumer
from evframe_mqtt_consumer import Options as ConsumerOptions
from evframe_nats import NatsTransport
from evframe_nats_consumer import ConnectionOptions as NatsStream
from evframe_nats_consumer import NatsConsumer
from evframe_nats_consumer import Options as StreamsOptions
from evframe_rabbitmq import RabbitmqTransport
from evframe_redis import RedisTransport
from evframe_redis_consumer import ConnectionOptions as Stream
from evframe_redis_consumer import Options as RedisConsumerOptions
from evframe_redis_consumer import RedisConsumer
from evframe_route import RouteTransport
from evframe_sqs import Options as SqsOptions
from evframe_sqs import SqsTransport
from evframe_stream import Options as StreamOptions
from evframe_stream import StreamTransport
from evframe_webhook import Options as WebhookOptions
from evframe_webhook import TargetOptions, WebhookTransport
from evframe_xmlrpc import Options as XmlrpcOptions
from evframe_xmlrpc import XmlrpcTransport

import evframe
from evframe.config import Config, CoreOptions

COUNT = 200_000
TURN = 1000  # events between two turns of the loop
TWO = {"ip": "192.168.1.10", "hits": 12345}
TEN = {f"parameter{number}": ("192.168.1.10" if number % 2 else 12345) for number in range(10)}
HEAD = len('{"jsonrpc":"2.0","method":"E_BENCH"}')


@attrs.frozen
class Measurement:
    """Events a second."""

    ours: float
    c: float | None = None
    python: float | None = None
    lost: int = 0


@attrs.frozen
class Path_:  # noqa: N801 not pathlib's
    """One line of the table."""

    name: str
    target: str
    run: Callable[[limits.Limits], Awaitable[Measurement]]


def payload_size(params: Any) -> int:
    """Return the bytes of the notification with *params*."""
    return len(evframe.EventDefinition(0, "E_BENCH").snapshot(params, 0.0).payload)


async def rate(
    plugin: Any, sockets: list[str], make: Callable[[int], Any], count: int = COUNT, *, queue_bytes: int = 0
) -> tuple[float, int]:
    """Return deliveries a second, from the first raise to the last outcome, and how many were lost."""
    config = Config(core=CoreOptions(queue_size=count, queue_bytes=queue_bytes))
    async with evframe.EventInterface(config, plugins={"measured": plugin}) as events:
        events.register_event("E_BENCH")
        for text in sockets:
            events.subscribe_event("E_BENCH", text)
        await events.raise_event_and_wait("E_BENCH", make(0))
        subscribers = events.event("E_BENCH").targets
        raise_event = events.raise_event
        start = time.perf_counter()
        for first in range(0, count, TURN):
            for number in range(first, first + TURN):
                raise_event("E_BENCH", make(number))
            await asyncio.sleep(0)
        while any(subscriber.depth for subscriber in subscribers):
            await asyncio.sleep(0.0005)
        elapsed = time.perf_counter() - start
        lost = sum(subscriber.failed for subscriber in subscribers)
    return count * len(sockets) / elapsed, lost


@contextlib.contextmanager
def udp_receivers(count: int) -> Iterator[list[int]]:
    """Bind sockets that no process reads: the limit and evframe meet the same."""
    receivers = []
    try:
        for _ in range(count):
            receivers.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            receivers[-1].bind(("127.0.0.1", 0))
        yield [receiver.getsockname()[1] for receiver in receivers]
    finally:
        for receiver in receivers:
            receiver.close()


def udp(
    make: Callable[[int], Any], subscribers: int = 1, count: int = COUNT, *, queue_bytes: int = 0
) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of UDP."""

    async def run(bare: limits.Limits) -> Measurement:
        size = payload_size(make(0))
        with udp_receivers(subscribers) as ports:
            c = bare.c("send-udp", ports[0], size, COUNT)
            python = limits.python_udp(ports[0], size, COUNT)
            ours, lost = await rate(
                DatagramTransport(), [f"udp:127.0.0.1:{port}" for port in ports], make, count, queue_bytes=queue_bytes
            )
        return Measurement(ours, c, python, lost)

    return run


async def unix(bare: limits.Limits) -> Measurement:
    """Measure UNIX datagrams to a reader with the kernel's default queue."""
    size = payload_size(TWO)
    path = bare.fresh("datagram")
    with bare.sink("unix", path):
        c = bare.c("send-unix", path, size, COUNT)
        python = limits.python_unix(path, size, COUNT)
        ours, lost = await rate(DatagramTransport(), [f"unix:{path}"], lambda _: TWO)
    return Measurement(ours, c, python, lost)


def flatstore(params: dict[str, Any]) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of lines in a file."""

    async def run(bare: limits.Limits) -> Measurement:
        size = len(",".join(["E_BENCH", *map(str, params.values())])) + 1
        c = bare.c("write", bare.fresh("lines"), size, COUNT)
        python = limits.python_write(bare.fresh("lines"), size, COUNT)
        path = bare.fresh("lines")
        ours, lost = await rate(FlatstoreTransport(), [f"flatstore:{path}"], lambda _: params)
        return Measurement(ours, c, python, lost)

    return run


def free_port() -> int:
    """Return a port that no process uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def tcp(bare: limits.Limits) -> Measurement:
    """Measure a burst over TCP, until all of it is acknowledged."""
    size = payload_size(TWO)
    port = free_port()
    with bare.sink("tcp", port):
        c = bare.c("send-tcp", port, size, COUNT)
        python = limits.python_tcp(port, size, COUNT)
        ours, lost = await rate(StreamTransport(), [f"tcp:127.0.0.1:{port}"], lambda _: TWO)
    return Measurement(ours, c, python, lost)


async def tcp_reliable(_: limits.Limits) -> Measurement:
    """Measure a burst of requests to a peer that answers each, until all of them are answered."""
    with peers.program("answering.py") as port:
        transport = StreamTransport(StreamOptions(reliable_mode=True, newline_framing=True, timeout_ms=30_000))
        ours, lost = await rate(transport, [f"tcp:127.0.0.1:{port}"], lambda _: TWO)
    return Measurement(ours, lost=lost)


def payload(params: Any) -> bytes:
    """Return the notification with *params*."""
    definition = evframe.EventDefinition(0, "E_BENCH")
    return definition.snapshot(params, 0.0).payload


def kafka(loop: str) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of records to a Kafka, beside a loop of aiokafka's own `send()`."""

    async def run(bare: limits.Limits) -> Measurement:
        port = bare.peer(peers.kafka)
        topic = await peers.new_topic(port)
        library = await peers.library(loop, port, topic, payload(TWO), COUNT // 4)
        ours, lost = await rate(KafkaTransport(), [f"kafka:127.0.0.1:{port}/{topic}"], lambda _: TWO)
        return Measurement(ours, None, library, lost)

    return run


async def rabbitmq(bare: limits.Limits) -> Measurement:
    """Measure messages to a RabbitMQ, beside aio-pika's own `publish()` with 100 in flight."""
    port = bare.peer(peers.rabbitmq)
    queue = await peers.new_queue(port)
    library = await peers.library("aio_pika_publish", port, queue, payload(TWO), COUNT // 20)
    ours, lost = await rate(RabbitmqTransport(), [f"rabbitmq:127.0.0.1:{port}/{queue}"], lambda _: TWO, COUNT // 2)
    return Measurement(ours, None, library, lost)


def mqtt(loop: str) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of messages to a Mosquitto, acknowledged, beside a loop of aiomqtt's own `publish()`."""

    async def run(bare: limits.Limits) -> Measurement:
        port = bare.peer(peers.mosquitto).port
        library = await peers.library(loop, port, "bench", payload(TWO), COUNT // 20)
        ours, lost = await rate(MqttTransport(), [f"mqtt://127.0.0.1:{port}/bench"], lambda _: TWO, COUNT // 2)
        return Measurement(ours, None, library, lost)

    return run


def nats(loop: str | None, parameter: str = "") -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of messages to a NATS, beside a loop of nats-py's own."""

    async def run(bare: limits.Limits) -> Measurement:
        broker = bare.peer(peers.nats)
        name = await peers.new_stream(broker, 10_000)
        library = None
        if loop is not None:
            library = await peers.library(loop, broker.port, f"{name}.library", payload(TWO), COUNT // 20)
        sockets = [f"nats://127.0.0.1:{broker.port}/{name}.evframe{parameter}"]
        ours, lost = await rate(NatsTransport(), sockets, lambda _: TWO, COUNT // 2)
        return Measurement(ours, None, library, lost)

    return run


async def nats_consumer(bare: limits.Limits) -> Measurement:
    """Measure messages of a stream until all are acknowledged, beside nats-py, which raises and delivers nothing."""
    broker, count = bare.peer(peers.nats), COUNT // 10
    name = await peers.new_stream(broker, 2 * count)
    await rate(NatsTransport(), [f"nats://127.0.0.1:{broker.port}/{name}.a"], lambda _: TWO, count)
    library = await peers.library("nats_fetch", broker.port, name, b"", count)
    source = NatsConsumer(StreamsOptions([NatsStream(stream=name, url=f"nats://127.0.0.1:{broker.port}")]))
    routes = RouteTransport()
    routes.add("bench", counting("plain"), inline=True)
    events = evframe.EventInterface(plugins={"route": routes, "nats-consumer": source})
    events.register_event("E_BENCH")
    events.subscribe_event("E_BENCH", "route:bench")
    counts = source.consumers[name].counts
    start = time.perf_counter()
    async with events:
        while counts.answers["ack"] < count:
            await asyncio.sleep(0.001)
        ours = count / (time.perf_counter() - start)
    return Measurement(ours, None, library, max(0, count - counts.received))  # the rate has sent one more


def redis(loop: str, count: int) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of entries of a stream of a Redis, beside a loop of redis-py's own."""

    async def run(bare: limits.Limits) -> Measurement:
        port = bare.peer(peers.redis)
        library = await peers.library(loop, port, "library", payload(TWO), count)
        sockets = [f"redis://127.0.0.1:{port}?stream=evframe&maxlen=10000"]
        ours, lost = await rate(RedisTransport(), sockets, lambda _: TWO)
        return Measurement(ours, None, library, lost)

    return run


async def redis_consumer(bare: limits.Limits) -> Measurement:
    """Measure entries of a stream until all are acknowledged, beside redis-py, which raises and delivers nothing."""
    port, count = bare.peer(peers.redis), COUNT // 10
    stream = f"consumed-{time.monotonic_ns()}"
    await rate(RedisTransport(), [f"redis://127.0.0.1:{port}?stream={stream}"], lambda _: TWO, count)
    library = await peers.library("redis_group", port, stream, b"", count)
    source = RedisConsumer(RedisConsumerOptions([Stream(stream, url=f"redis://127.0.0.1:{port}")]))
    routes = RouteTransport()
    routes.add("bench", counting("plain"), inline=True)
    events = evframe.EventInterface(plugins={"route": routes, "redis-consumer": source})
    events.register_event("E_BENCH")
    events.subscribe_event("E_BENCH", "route:bench")
    consumer = source.consumers[stream]
    start = time.perf_counter()
    async with events:
        while consumer.entries.counts.answers["ack"] < count:
            await asyncio.sleep(0.001)
        ours = count / (time.perf_counter() - start)
    return Measurement(ours, None, library, max(0, count - consumer.intake.raised))  # the rate has sent one more


async def mqtt_consumer(bare: limits.Limits) -> Measurement:
    """Measure messages of a session until all are acknowledged, beside aiomqtt, which raises and delivers nothing."""
    broker, count = bare.peer(peers.mosquitto), COUNT // 10
    names = [await peers.new_session(broker, "kept") for _ in range(2)]
    await rate(MqttTransport(), [f"mqtt://127.0.0.1:{broker.port}/kept"], lambda _: TWO, count)
    library = await peers.library("aiomqtt_messages", broker.port, names[0], b"", count)
    options = ConnectionOptions(["kept"], client_id=names[1], uri=f"mqtt://127.0.0.1:{broker.port}")
    source = MqttConsumer(ConsumerOptions([options]))
    routes = RouteTransport()
    routes.add("bench", counting("plain"), inline=True)
    events = evframe.EventInterface(plugins={"route": routes, "mqtt-consumer": source})
    events.register_event("E_BENCH")
    events.subscribe_event("E_BENCH", "route:bench")
    consumer = source.consumers[names[1]]
    start = time.perf_counter()
    async with events:
        while consumer.counts.acknowledged < count:
            await asyncio.sleep(0.001)
        ours = count / (time.perf_counter() - start)
    return Measurement(ours, None, library, max(0, count - consumer.intake.raised))  # the rate has sent one more


def xmlrpc(**options: Any) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of calls, beside the standard library's client on one connection."""

    async def run(_: limits.Limits) -> Measurement:
        with peers.program("calls.py") as port:
            library = await asyncio.to_thread(peers.server_proxy, port, COUNT // 50, TWO)
            transport = XmlrpcTransport(XmlrpcOptions(**options))
            ours, lost = await rate(transport, [f"xmlrpc:127.0.0.1:{port}:m"], lambda _: TWO, COUNT // 4)
        return Measurement(ours, None, library, lost)

    return run


def webhook(**options: Any) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of signed requests, beside aiohttp's own `post()` without a signature."""

    async def run(_: limits.Limits) -> Measurement:
        with peers.program("hooks.py") as port:
            library = await peers.aiohttp_posts(port, COUNT // 40, payload(TWO))
            target = TargetOptions("*", "whsec_" + "c2VjcmV0" * 4)
            transport = WebhookTransport(WebhookOptions(targets=[target], **options))
            ours, lost = await rate(transport, [f"http://127.0.0.1:{port}/hook"], lambda _: TWO, COUNT // 20)
        return Measurement(ours, None, library, lost)

    return run


def sqs(loop: str, **options: Any) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of messages to a peer that answers them, beside a loop of aiobotocore's own."""

    async def run(_: limits.Limits) -> Measurement:
        with peers.program("queues.py") as port:
            library = await peers.library(loop, port, "1/q", payload(TWO), COUNT // 100)
        keys = {"region": "us-east-1", "access_key_id": "key", "secret_access_key": "secret"}
        with peers.program("queues.py") as port:
            transport = SqsTransport(SqsOptions(**keys, **options))
            ours, lost = await rate(transport, [f"sqs:http://127.0.0.1:{port}/1/q"], lambda _: TWO, COUNT // 20)
        return Measurement(ours, None, library, lost)

    return run


def route(kind: str) -> Callable[[limits.Limits], Awaitable[Measurement]]:
    """Return the measurement of a route that counts."""

    async def run(_: limits.Limits) -> Measurement:
        routes = RouteTransport()
        routes.add("bench", counting(kind), inline=kind == "inline")
        ours, lost = await rate(routes, ["route:bench"], lambda _: TWO)
        bare = counting("plain")
        start = time.perf_counter()
        for _ in range(COUNT):
            bare(None)  # type: ignore[arg-type]
        return Measurement(ours, None, COUNT / (time.perf_counter() - start), lost)

    return run


async def idle(_: limits.Limits) -> Measurement:
    """Measure raises without a subscriber."""
    async with evframe.EventInterface(plugins={}) as events:
        events.register_event("E_BENCH")
        raise_event = events.raise_event
        start = time.perf_counter()
        for _ in range(COUNT):
            raise_event("E_BENCH", TWO)
        return Measurement(COUNT / (time.perf_counter() - start))


PATHS = (
    Path_("udp, 2 params, equal sizes", "C ≥ 1.2", udp(lambda _: TWO)),
    Path_("udp, 2 params, a counter", "C ≥ 0.75", udp(lambda number: {"ip": "192.168.1.10", "hits": number})),
    Path_(
        "udp, 2 params, sizes that differ", "", udp(lambda number: {"ip": "192.168.1.10", "hits": 10 ** (number % 5)})
    ),
    Path_("udp, 10 params", "C ≥ 0.50", udp(lambda _: TEN)),
    Path_("udp, 2 params, queue_bytes", "", udp(lambda _: TWO, queue_bytes=1 << 40)),
    Path_("udp, 100 subscribers", "C ≥ 1.7", udp(lambda _: TWO, 100, 5_000)),
    Path_("udp, 1000 subscribers", "C ≥ 1.7", udp(lambda _: TWO, 1_000, 1_000)),
    Path_("unix datagram", "C ≥ 0.50", unix),
    Path_("flatstore, 2 params", "C ≥ 0.40", flatstore(TWO)),
    Path_("flatstore, 10 params", "C ≥ 0.27", flatstore(TEN)),
    Path_("tcp, burst", "C ≥ 0.12", tcp),
    Path_("tcp reliable, burst", "≥ 100,000/s", tcp_reliable),
    Path_("kafka", "library ≥ 5", kafka("aiokafka_send")),
    Path_("kafka, library only flushed", "", kafka("aiokafka_flush")),
    Path_("rabbitmq", "library ≥ 3", rabbitmq),
    Path_("mqtt", "library ≥ 3", mqtt("aiomqtt_publish")),
    Path_("mqtt, library one by one", "", mqtt("aiomqtt_one_by_one")),
    Path_("mqtt-consumer", "library ≥ 2", mqtt_consumer),
    Path_("nats", "library ≥ 3", nats("nats_publish")),
    Path_("nats, library gathers", "library ≥ 3", nats("nats_gather")),
    Path_("nats, library publish_async()", "", nats("nats_publish_async")),
    Path_("nats, core", "", nats(None, "?core")),
    Path_("nats-consumer", "library ≥ 1.2", nats_consumer),
    Path_("redis", "library ≥ 3", redis("redis_xadd", COUNT // 10)),
    Path_("redis-consumer", "library ≥ 3", redis_consumer),
    Path_("redis, library with pipelines", "library ≥ 1.5", redis("redis_pipeline", COUNT // 2)),
    Path_("xmlrpc", "library ≥ 5", xmlrpc()),
    Path_("webhook", "library ≥ 0.6", webhook()),
    Path_("webhook, 8 in flight", "", webhook(max_in_flight=8)),
    Path_("webhook, batches of CloudEvents", "≥ 10,000/s", webhook(format="cloudevents-batch")),
    Path_("sqs, library one by one", "library ≥ 3", sqs("aiobotocore_send")),
    Path_("sqs, library in batches", "library ≥ 0.5", sqs("aiobotocore_batches")),
    Path_("route, inline", "≥ 900,000/s", route("inline")),
    Path_("route, async", "≥ 900,000/s", route("async")),
    Path_("route, thread", "", route("thread")),
    Path_("no subscriber", "≥ 4,000,000/s", idle),
)
