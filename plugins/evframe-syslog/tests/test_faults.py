"""Numbered events to a real rsyslog that fails, or over a way that does."""

import asyncio
import signal
from itertools import count

import pytest
from brokers import load as loads
from brokers.proxy import FaultProxy
from brokers.rsyslog import Rsyslog
from evframe_syslog import Options, SyslogTransport
from numbered import assert_all, assert_exactly, assert_in_order
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

HOSTS = count()
COUNT = 3000


@pytest.fixture(scope="module")
def broker():
    """Return a rsyslog that no other test uses, whose end and start are of no matter to them."""
    broker = Rsyslog()
    broker.start()
    yield broker
    broker.remove()


def interface(broker, config=None, **options):
    name = f"faults-{next(HOSTS)}"
    made = Options(
        hostname=name, ca_file=str(broker.authority), content="structured", **{"resend_ms": 60_000, **options}
    )
    events = evframe.EventInterface(config, plugins={"syslog": SyslogTransport(made)})
    events.register_event("E_TEST")
    return name, events


def place_of(broker, way):
    return f"syslog:tls:localhost:{broker.tls_port}" if way == "tls" else f"syslog:{way}:127.0.0.1:{broker.port}"


def numbers(broker, name):
    return [int(each["data"]["event@32473"]["1"]) for each in broker.messages(name)]


async def raised(events, numbers, pause_s=0.002):
    """Raise numbered events, with time for others between them."""
    for number in numbers:
        events.raise_event("E_TEST", [number])
        if number % 100 == 0:
            await asyncio.sleep(pause_s)


async def arrived(broker, name, last=COUNT - 1):
    """Return the numbers that rsyslog has written, once the last is among them."""
    found = []
    while last not in found:
        await asyncio.sleep(0.05)
        found = await asyncio.to_thread(numbers, broker, name)
    return found


@pytest.mark.parametrize("way", ["tcp", "tls"])
@pytest.mark.parametrize("fault", ["cut", "delay", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing(broker, way, fault):
    """All have arrived whole, the first of each in order, even when a proxy has read and thrown away some."""
    name, events = interface(broker)
    async with FaultProxy(broker.tls_port if way == "tls" else broker.port) as proxy, events:
        lease = events.subscribe_event("E_TEST", f"syslog:{way}:localhost:{proxy.port}")
        for first in range(0, COUNT, COUNT // 3):
            await raised(events, range(first, first + COUNT // 6))
            async with getattr(loads.WayFaults(proxy, loads.Tries()), fault)():
                await raised(events, range(first + COUNT // 6, first + COUNT // 3))
        await until(lambda: not lease.subscriber.depth)
        found = await arrived(broker, name)
        counters = events.statistics[0]
    assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
    assert_in_order(found, COUNT)
    if fault == "delay":
        assert_exactly(found, COUNT)


@pytest.mark.parametrize("way", ["tcp", "tls"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_an_end_of_the_receiver_loses_nothing(broker, way, how):
    """What rsyslog had read and not written is sent again when it is back, with what was raised meanwhile."""
    name, events = interface(broker)
    async with events:
        lease = events.subscribe_event("E_TEST", place_of(broker, way))
        await raised(events, range(COUNT // 3))
        await asyncio.to_thread(broker.stop, how)
        await raised(events, range(COUNT // 3, 2 * COUNT // 3))
        await asyncio.to_thread(broker.start)
        await raised(events, range(2 * COUNT // 3, COUNT))
        await until(lambda: not lease.subscriber.depth)
        found = await arrived(broker, name)
    assert_in_order(found, COUNT)


async def test_what_was_acknowledged_long_ago_is_not_sent_again(broker):
    """An end of an idle receiver repeats nothing that is older than the option."""
    name, events = interface(broker, resend_ms=0)
    async with events:
        events.subscribe_event("E_TEST", place_of(broker, "tcp"))
        for number in range(3):
            assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
            await arrived(broker, name, number)
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
        found = await asyncio.to_thread(numbers, broker, name)
    assert found == [0, 1, 2]


@pytest.mark.parametrize("way", ["tcp", "tls"])
async def test_a_hang_loses_nothing(broker, way):
    """A receiver that stands still is away once its window is closed; what it has not read is sent again."""
    name, events = interface(broker, user_timeout_ms=300)
    long = "x" * 6000
    async with events:
        lease = events.subscribe_event("E_TEST", place_of(broker, way))
        broker.signal(signal.SIGSTOP)
        try:
            for number in range(2000):
                events.raise_event("E_TEST", [number, long])
            await until(lambda: lease.subscriber.attempts)
        finally:
            broker.signal(signal.SIGCONT)
        await until(lambda: not lease.subscriber.depth)
        found = await arrived(broker, name, 1999)
    assert_all(found, 2000)


async def test_datagrams_are_lost_while_no_process_listens(broker):
    """Over UDP the kernel's report is the only outcome: later events arrive again."""
    name, events = interface(broker)
    async with events:
        lease = events.subscribe_event("E_TEST", place_of(broker, "udp"))
        await asyncio.to_thread(broker.stop)
        await raised(events, range(200))
        await until(lambda: not lease.subscriber.depth)
        await asyncio.to_thread(broker.start)
        events.raise_event("E_TEST", [COUNT - 1])
        found = await arrived(broker, name)
        counters = events.statistics[0]
    assert found == [COUNT - 1]
    assert counters.reasons["refused"] >= 199


@pytest.mark.parametrize("port", ["port", "tls_port"])
async def test_leaving_is_bounded(broker, port):
    """Leaving does not wait for a receiver that says nothing, and what it has not acknowledged is counted."""
    _, events = interface(broker, Config(core=CoreOptions(drain_timeout_s=0.1)), connect_timeout_ms=600_000)
    way = "tls" if port == "tls_port" else "tcp"
    async with FaultProxy(getattr(broker, port)) as proxy:
        proxy.hold()
        async with events:
            lease = events.subscribe_event("E_TEST", f"syslog:{way}:localhost:{proxy.port}")
            for number in range(2000):
                events.raise_event("E_TEST", [number, "x" * 7000])
            await until(lambda: lease.subscriber.in_flight)
        assert lease.subscriber.delivered + sum(lease.subscriber.reasons.values()) == 2000
        assert lease.subscriber.reasons["shutdown"]
        proxy.release()


async def test_a_receiver_that_closes_after_each_message():
    """What such a receiver has read is sent again a few times, and not for ever."""
    read = []

    async def serve(reader, _):
        read.append(await reader.read(65536))

    events = evframe.EventInterface(plugins={"syslog": SyslogTransport(Options(resend_ms=60_000))})
    events.register_event("E_TEST")
    async with StreamServer(serve) as server, events:
        events.subscribe_event("E_TEST", f"syslog:tcp:127.0.0.1:{server.port}")
        for number in range(3):
            assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
            await until(lambda number=number: b"".join(read).count(b'"params":[%d]' % number) == 4)
            # What is written before the end is noticed is lost with the copy before it, and both come again.
            await until(lambda: not any(each.is_open for each in events.plugin("syslog")._connections))
        await server.ended()
        counts = [b"".join(read).count(b'"params":[%d]' % number) for number in range(3)]
    assert counts == [4, 4, 4]


async def test_a_receiver_that_closes_at_once_is_away():
    """A handshake that is not finished is no delivery, and there is no loop without a pause."""

    async def close_at_once(*_):
        pass

    events = evframe.EventInterface(
        Config(core=CoreOptions(drain_timeout_s=0.1)), plugins={"syslog": SyslogTransport()}
    )
    events.register_event("E_TEST")
    async with StreamServer(close_at_once) as server, events:
        lease = events.subscribe_event("E_TEST", f"syslog:tls:127.0.0.1:{server.port}")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.attempts >= 3)
        assert server.accepted <= lease.subscriber.attempts + 1
        assert not lease.subscriber.delivered
