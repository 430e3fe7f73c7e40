"""Numbered events to a server over a way that fails."""

import re
from functools import partial

import pytest
from brokers.load import COUNT, LIMIT_S, Tries, WayFaults, load
from brokers.proxy import FaultProxy
from evframe_xmlrpc import Options, XmlrpcTransport
from numbered import assert_exactly, assert_in_order
from stream_servers import StreamServer

import evframe
from evframe.testing import until

ANSWER = b"<methodResponse><params><param><value><int>1</int></value></param></params></methodResponse>"
NUMBER = re.compile(rb"<int>(\d+)</int>")
END = b"</methodCall>"
pytestmark = pytest.mark.timeout(60 + LIMIT_S)


async def serve(reader, writer, numbers):
    """Answer calls, and keep their numbers."""
    text = b""
    while data := await reader.read(1 << 18):
        calls, end, text = (text + data).rpartition(END)
        found = NUMBER.findall(calls + end)
        numbers += map(int, found)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER) * len(found))
        await writer.drain()


@pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing(fault):
    """All have arrived, the first of each in order, and another one only where it was called again.

    In a black hole the oldest call fails at its time, which is counted; those behind it are made again.
    """
    numbers, tries = [], Tries()
    options = Options(max_in_flight=16, **({"timeout_ms": 300} if fault == "hold" else {}))
    async with StreamServer(partial(serve, numbers=numbers)) as server, FaultProxy(server.port) as proxy:
        events = evframe.EventInterface(plugins={"xmlrpc": XmlrpcTransport(options), "tries": tries})
        events.register_event("E_TEST")
        async with events:
            lease = events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{proxy.port}:m")
            await load(events, getattr(WayFaults(proxy, tries), fault), times=5)
            await until(lambda: not lease.subscriber.depth, LIMIT_S)
            counters = events.statistics[0]

    assert counters.raised == counters.delivered + counters.failed == COUNT
    if fault == "hold":
        assert set(counters.reasons) == {"timeout"}
        assert counters.failed < 100
    else:
        assert counters.failed == 0
    assert_in_order(numbers, COUNT)
    tries.assert_explain(numbers)
    if fault == "delay":
        assert_exactly(numbers, COUNT)
