"""Three subscribers that misbehave, each in its way, and one that does not."""

import asyncio
import resource
import socket

import pytest
from evframe_datagram import DatagramTransport
from evframe_route import RouteTransport
from evframe_stream import StreamTransport
from evframe_stream.options import Options
from numbered import assert_exactly

import evframe
from evframe.config import Config, CoreOptions

COUNT = 100_000


@pytest.mark.timeout(120)
async def test_one_good_subscriber_among_bad_ones(tmp_path):
    """A peer that never reads, one that refuses and a route that raises cost the fourth nothing: 100,000 in order."""
    received = []
    accepted = []
    blocked = 0
    path = str(tmp_path / "good")
    routes = RouteTransport()

    @routes.route("E_TEST", inline=True)
    def broken(event):
        raise RuntimeError("broken")

    loop = asyncio.get_running_loop()
    plugins = {
        "datagram": DatagramTransport(),
        "route": routes,
        "stream": StreamTransport(Options(user_timeout_ms=120_000)),
    }
    config = Config(core=CoreOptions(drain_timeout_s=0.1))
    with (
        socket.create_server(("127.0.0.1", 0), backlog=8) as black_hole,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as good,
        socket.socket() as closed,
    ):
        closed.bind(("127.0.0.1", 0))  # bound, not listening: it refuses
        good.bind(path)
        black_hole.setblocking(False)
        loop.add_reader(black_hole, lambda: accepted.append(black_hole.accept()[0]))  # and never read
        loop.add_reader(good, lambda: received.append(good.recv(4096)))
        async with evframe.EventInterface(config, plugins=plugins) as events:
            for text in (
                f"unix:{path}",
                "tcp:127.0.0.1:%d" % black_hole.getsockname()[1],
                "tcp:127.0.0.1:%d" % closed.getsockname()[1],
            ):
                events.subscribe_event("E_TEST", text)
            for start in range(0, COUNT, 1000):
                # A call that waits for anything gives the processor away; one that is interrupted does not.
                before = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
                for number in range(start, start + 1000):
                    events.raise_event("E_TEST", {"n": number, "text": "x" * 60})
                blocked += resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - before
                await asyncio.sleep(0)
            async with asyncio.timeout(60):
                while len(received) < COUNT:
                    await asyncio.sleep(0.001)
            statistics = {counters.socket.partition(":")[0]: counters for counters in events.statistics}
            for counters in events.statistics:
                assert counters.raised == counters.delivered + counters.failed + counters.depth, counters
        loop.remove_reader(good)
        loop.remove_reader(black_hole)
        for one in accepted:
            one.close()

    assert_exactly([int(text.split(b'"n":')[1].split(b",")[0]) for text in received], COUNT)
    assert statistics["unix"].delivered == COUNT
    assert statistics["route"].reasons == {"route_error": COUNT}
    assert len(accepted) == 1
    assert blocked < 100  # a few are for the lock of the interpreter, which threads that look names up have too
    for counters in events.statistics:
        assert counters.raised == counters.delivered + counters.failed, counters
