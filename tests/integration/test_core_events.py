"""The core events of a gateway, from the plugins that bring them about to a subscriber."""

import asyncio
import json
import logging
import os
import socket
import threading

from evframe_client import Client
from evframe_core_events import CoreEvents
from evframe_core_events import Options as CoreOptions
from evframe_datagram import DatagramTransport
from evframe_mi import Management
from evframe_mi_http import HttpManagement
from evframe_mi_http import Options as HttpOptions
from evframe_route import Options as RouteOptions
from evframe_route import RouteTransport
from evframe_stream import StreamTransport
from stream_servers import StreamServer, connection_to

import evframe
from evframe.testing import until


class Subscriber:
    """A datagram socket, and the events that have come to it."""

    def __init__(self):
        self.kernel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.kernel.bind(("127.0.0.1", 0))
        self.kernel.settimeout(30)
        self.socket = "udp:127.0.0.1:%d" % self.kernel.getsockname()[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kernel.close()

    def receive(self):
        """Return name and parameters of the next event."""
        message = json.loads(self.kernel.recv(65536))
        return message["method"], message.get("params")


async def test_peer_that_closes():
    """A TCP peer that closes its connection, and a client of the management interface, are told to a UDP subscriber."""
    readable = asyncio.Queue()

    async def serve(reader, writer):
        await reader.readuntil(b"}")
        readable.put_nowait(writer)
        await reader.read()

    http = HttpManagement(HttpOptions(bind="127.0.0.1:0"))
    plugins = {
        "core-events": CoreEvents(),
        "datagram": DatagramTransport(),
        "mi": Management(),
        "mi-http": http,
        "stream": StreamTransport(),
    }
    with Subscriber() as subscriber:
        async with StreamServer(serve) as server, evframe.EventInterface(plugins=plugins) as events:
            events.register_event("E_TEST")
            events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{server.port}")
            events.subscribe_event("E_CORE_TCP_DISCONNECT", subscriber.socket)
            await events.raise_event_and_wait("E_TEST")
            writer = await readable.get()
            own = writer.get_extra_info("peername")
            writer.close()
            first = await asyncio.to_thread(subscriber.receive)
            async with connection_to(http.address) as (_, client):
                peer = client.get_extra_info("sockname")
            second = await asyncio.to_thread(subscriber.receive)
    assert first == (
        "E_CORE_TCP_DISCONNECT",
        {"src_ip": "127.0.0.1", "src_port": server.port, "dst_ip": "127.0.0.1", "dst_port": own[1], "proto": "tcp"},
    )
    assert second == (
        "E_CORE_TCP_DISCONNECT",
        {"src_ip": peer[0], "src_port": peer[1], "dst_ip": "127.0.0.1", "dst_port": http.address[1], "proto": "http"},
    )


async def test_peer_that_closes_after_each_event():
    """A TCP peer that is told of closed connections, and closes its own after each, ends it there."""
    events_seen = 0

    async def serve(reader, writer):
        nonlocal events_seen
        await reader.readuntil(b"}}")
        events_seen += 1

    plugins = {"core-events": CoreEvents(), "stream": StreamTransport()}
    async with StreamServer(serve) as server, evframe.EventInterface(plugins=plugins) as events:
        lease = events.subscribe_event("E_CORE_TCP_DISCONNECT", f"tcp:127.0.0.1:{server.port}")
        context = events.plugin("core-events")._context
        context.connection_closed(("192.0.2.1", 1), ("192.0.2.2", 2), "tcp")
        await until(lambda: events_seen == 1 and not lease.subscriber.depth)
        await asyncio.sleep(0.1)
        assert lease.subscriber.raised == 1


async def test_routes_get_as_many_workers_as_they_need():
    """Under load the threads of routes become more, up to their bound, and fewer again when it is over."""
    options = CoreOptions(
        auto_scaling_cycle_s=0.02,
        scale_up_percent=70,
        scale_up_cycles=2,
        scale_down_percent=20,
        scale_down_cycles=2,
    )
    routes = RouteTransport(RouteOptions(workers_min=1, workers_max=3))
    release, told = threading.Event(), []
    for name in ("E_A", "E_B", "E_C"):
        routes.add(name, lambda event: release.wait(30))
    routes.add("E_CORE_PROC_AUTO_SCALE", told.append, inline=True)
    threads = threading.active_count()
    async with evframe.EventInterface(plugins={"core-events": CoreEvents(options), "route": routes}) as events:
        (group,) = events.plugins.worker_groups()
        for name in ("E_A", "E_B", "E_C"):
            events.raise_event(name)
        await until(lambda: len(told) == 2)
        assert (group.size, threading.active_count() - threads) == (3, 3)
        release.set()
        await until(lambda: len(told) == 4)
        await until(lambda: threading.active_count() - threads == 1)
        assert group.size == 1
    found = [(event["scale"], event["process_id"], event["group_type"], event["pid"]) for event in told]
    assert found == [
        (scale, number, "ROUTE", os.getpid()) for scale, number in (("up", 2), ("up", 3), ("down", 3), ("down", 2))
    ]


async def test_slow_routes_and_their_log():
    """A slow route of each kind is told of; what routes log raises no event, and what others log does."""
    routes = RouteTransport()
    told, lines = [], []
    routes.add("E_CORE_THRESHOLD", told.append, inline=True)
    routes.add("E_CORE_LOG", lines.append)
    release = threading.Event()
    options = CoreOptions(exec_route_threshold_us=50_000, log_event_enabled=True, logger="evframe.test")
    log = logging.getLogger("evframe.test")

    async def waits(event):
        log.error("async")
        await asyncio.sleep(0.06)

    def blocks(event):
        log.error("thread")
        release.wait(0.06)

    routes.add("E_ASYNC", waits)
    routes.add("E_THREAD", blocks)
    routes.add("E_INLINE", blocks, inline=True)
    async with evframe.EventInterface(plugins={"core-events": CoreEvents(options), "route": routes}) as events:
        await until(lambda: log.handlers)
        for name in ("E_ASYNC", "E_THREAD", "E_INLINE"):
            await events.raise_event_and_wait(name, {"n": 1})
        log.error("not in a route")
        await until(lambda: lines and len(told) == 3)
    assert [event["source"] for event in told] == ["event route"] * 3
    assert [event["extra"].split()[0] for event in told] == ["route:E_ASYNC", "route:E_THREAD", "route:E_INLINE"]
    assert [event["message"] for event in lines] == ["not in a route"]


def test_gateway(gateway):
    """In the gateway: statuses, closed connections and the commands, over the wire."""
    with Subscriber() as subscriber:
        subscriptions = "".join(
            f'[[subscriptions]]\nevent = "{name}"\nsocket = "{subscriber.socket}"\n'
            for name in ("E_CORE_SR_STATUS_CHANGED", "E_CORE_TCP_DISCONNECT")
        )
        running = gateway(f"[plugins.core-events]\nevent_shm_threshold = 90\n{subscriptions}")
        for status, details, old in ((-1, "initializing", -100), (1, "running", -1)):
            assert subscriber.receive() == (
                "E_CORE_SR_STATUS_CHANGED",
                {"group": "core", "identifier": "main", "status": status, "details": details, "old_status": old},
            )
        assert Client(running.url).call("sr_get_status", ["core"]) == {
            "Readiness": True,
            "Status": 1,
            "Details": "running",
        }
        name = ""
        while name != "E_CORE_TCP_DISCONNECT":  # other plugins tell of their statuses meanwhile
            name, params = subscriber.receive()
        assert (params["proto"], params["dst_port"]) == ("http", running.port)
        assert running.stop() == 0
