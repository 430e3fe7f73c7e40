"""Messages that a RabbitMQ refuses, each by itself, among others that it takes."""

import asyncio
import json
import random
import re
import uuid
from contextlib import asynccontextmanager

import aio_pika
import pytest
from brokers.proxy import FaultProxy
from brokers.queues import bodies_in, make_queue, numbers_in
from brokers.rabbitmq import MOST_BYTES
from evframe_rabbitmq import Options, RabbitmqTransport, broker, lane
from numbered import assert_exactly

import evframe
from evframe.testing import until

pytestmark = pytest.mark.timeout(120)
LARGE = "x" * (MOST_BYTES + 1)


@pytest.fixture(autouse=True)
def limited(rabbitmq):
    """Skip where the broker takes messages of another size."""
    if not hasattr(rabbitmq, "evaluate"):
        pytest.skip("the broker that is given has another limit")


@pytest.fixture
async def name(rabbitmq):
    """Return a durable queue of the test's own."""
    name = f"q-{uuid.uuid4().hex[:8]}"
    await make_queue(rabbitmq, name)
    return name


def interface(**options):
    events = evframe.EventInterface(plugins={"rabbitmq": RabbitmqTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


class Exchange:
    """An exchange that comes and goes, bound to a queue."""

    def __init__(self, channel, name):
        self.channel, self.name = channel, name

    async def come(self):
        exchange = await self.channel.declare_exchange(self.name, "fanout")
        await (await self.channel.get_queue(self.name)).bind(exchange)

    async def go(self):
        await self.channel.exchange_delete(self.name)

    async def leave_the_queue(self):
        await (await self.channel.get_queue(self.name)).unbind(self.name)


@asynccontextmanager
async def exchange_of(broker, name):
    """Yield an exchange that exists."""
    async with await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{broker.port}/") as connection:
        exchange = Exchange(await connection.channel(), name)
        await exchange.come()
        yield exchange
        await exchange.channel.exchange_delete(name)


class Raised:
    """Events that were raised with numbers, and the outcome of each."""

    def __init__(self, events):
        self.events, self.reasons, self.count = events, {}, 0

    def put(self, padding=""):
        number, self.count = self.count, self.count + 1

        def take(reasons):
            self.reasons[number] = reasons[0]

        self.events.raise_event_and_tell("E_TEST", [number, padding], take)

    async def settled(self):
        await until(lambda: len(self.reasons) == self.count)

    def failed(self, reason):
        return {number for number, each in self.reasons.items() if each == reason}

    def assert_are(self, numbers, doubtful=frozenset()):
        """Fail unless what is not counted as failed arrived, nothing else but *doubtful*, and the first of each in order."""
        first = list(dict.fromkeys(numbers))
        assert first == sorted(first)
        assert set(first) - doubtful == self.failed(None)


async def test_a_message_over_the_limit_fails_alone(rabbitmq, name):
    """A message over `max_message_size` is counted as too large; all others arrive, once if they were sent behind it."""
    async with interface() as events:
        raised = Raised(events)
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{name}")
        for number in range(6000):
            raised.put(LARGE if number in {0, 2500, 2501, 5999} else "")
            if number % 100 == 0:
                await asyncio.sleep(0)
        await raised.settled()
    assert raised.failed("too_large") == {0, 2500, 2501, 5999}
    raised.assert_are(await numbers_in(rabbitmq, name))


async def test_a_refusal_leaves_the_connection_to_others(rabbitmq, name):
    """A message that is refused, and those behind it, end no connection that other subscribers use."""
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        base = f"rabbitmq:127.0.0.1:{proxy.port}/"
        events.register_event("E_LARGE")
        events.subscribe_event("E_TEST", f"{base}{name}")
        large = events.subscribe_event("E_LARGE", f"{base}persistent?{name}")
        await events.raise_event_and_wait("E_TEST", [0])
        connections = proxy.connections
        for number in range(1, 3000):
            events.raise_event("E_TEST", [number])
            if number % 10 == 0:
                events.raise_event("E_LARGE", [-1, LARGE if number % 1000 == 0 else ""])
                await asyncio.sleep(0)
        await until(lambda: not any(counters.depth for counters in events.statistics))
        assert proxy.connections == connections
        assert large.subscriber.reasons == {"too_large": 2}
    assert_exactly([number for number in await numbers_in(rabbitmq, name) if number >= 0], 3000)


async def test_an_exchange_that_goes_under_load(rabbitmq, name):
    """What was under way when the exchange went waits until it is back; nothing that is in the queue counts as failed."""
    async with exchange_of(rabbitmq, name) as exchange, interface() as events:
        raised = Raised(events)
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/exchange={name}?k")
        for times in range(10):
            for _ in range(300):
                raised.put()
            await asyncio.sleep(0.001 * times)
            await exchange.go()
            for _ in range(50):
                raised.put()
                await asyncio.sleep(0)
            await until(lambda: lease.subscriber.attempts or not lease.subscriber.depth)
            await exchange.come()
        await raised.settled()
    assert set(raised.reasons.values()) <= {None, "not_found", "unroutable"}
    raised.assert_are(await numbers_in(rabbitmq, name), raised.failed("unroutable"))


async def test_an_exchange_that_is_not_there(rabbitmq):
    """Events that were surely never taken fail at once, however many there are."""
    async with interface() as events:
        lease = events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/exchange=no-such-exchange?k")
        for number in range(3000):
            events.raise_event("E_TEST", [number])
        await until(lambda: not lease.subscriber.depth)
        assert lease.subscriber.reasons == {"not_found": 3000}


async def test_channels_of_a_connection_are_bounded(rabbitmq, name, monkeypatch):
    """After so many channels a connection is exchanged, which loses and repeats nothing of the others that use it."""
    monkeypatch.setattr(broker, "_MOST_CHANNELS", 6)
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        events.register_event("E_MISSING")
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{name}")
        missing = events.subscribe_event("E_MISSING", f"rabbitmq:127.0.0.1:{proxy.port}/exchange=no-such-exchange?k")
        for number in range(20):
            events.raise_event("E_TEST", [number])
            await events.raise_event_and_wait("E_MISSING")
        await until(lambda: not any(counters.depth for counters in events.statistics))
        assert missing.subscriber.reasons == {"not_found": 20}
        assert 3 <= proxy.connections <= 6
    assert_exactly(await numbers_in(rabbitmq, name), 20)


async def test_subscribers_do_not_use_up_the_channels_of_a_connection(rabbitmq, name, monkeypatch):
    """More subscribers than a connection may have channels in all its time share it nevertheless."""
    monkeypatch.setattr(broker, "_MOST_CHANNELS", 2)
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        for number in range(5):
            events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/header.n={number}?{name}")
        for number in range(3):
            await events.raise_event_and_wait("E_TEST", [number])
        assert proxy.connections == 1
    assert len(await bodies_in(rabbitmq, name)) == 15


async def test_channels_are_opened_side_by_side(rabbitmq, name):
    """No subscriber waits for the channel of another one."""
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/{name}")
        await events.raise_event_and_wait("E_TEST", [0])
        (server,) = events.plugin("rabbitmq")._brokers.values()
        channels = server._connection.protocol.channels
        before = len(channels)
        proxy.hold_back()
        for number in range(10):
            events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/header.n={number}?{name}")
        events.raise_event("E_TEST", [1])
        await until(lambda: len(channels) == before + 10)
        proxy.release()
        await until(lambda: not any(counters.depth for counters in events.statistics))
    assert len(await bodies_in(rabbitmq, name)) == 12


async def test_subscribers_of_one_turn(rabbitmq, name):
    """More subscribers of a broker than its library queues frames for publish in the same turn of the loop."""
    async with interface() as events:
        for number in range(40):
            events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/header.n={number}?{name}")
        await events.raise_event_and_wait("E_TEST", [0])
        for number in range(1, 20):
            events.raise_event("E_TEST", [number])
            await until(lambda: not any(counters.depth for counters in events.statistics))
        assert not any(counters.reasons for counters in events.statistics)
    assert len(await bodies_in(rabbitmq, name)) == 800


async def test_properties_that_fit_no_frame(rabbitmq, name):
    """Properties larger than a frame fail the events of their subscriber, and end no connection that others use."""
    async with FaultProxy(rabbitmq.port) as proxy, interface() as events:
        base = f"rabbitmq:127.0.0.1:{proxy.port}/"
        events.subscribe_event("E_TEST", f"{base}{name}")
        events.subscribe_event("E_TEST", f"{base}header.x={'y' * 140_000}?{name}")
        for _ in range(3):
            report = await events.raise_event_and_wait("E_TEST", [0])
            assert {outcome.reason for outcome in report} == {None, "too_large"}
        assert proxy.connections <= 2
    assert await numbers_in(rabbitmq, name) == [0, 0, 0]


@pytest.mark.parametrize("seed", range(4))
async def test_random_refusals(rabbitmq, name, seed):
    """Whatever is refused among random events: each arrives in order, or is counted with its reason.

    One that counts as failed did not arrive, unless it was in doubt, and came back when it was sent again.
    """
    chance = random.Random(seed)
    async with (
        exchange_of(rabbitmq, name) as exchange,
        FaultProxy(rabbitmq.port) as proxy,
        interface(max_in_flight=chance.choice([64, 1000, 8192])) as events,
    ):
        raised = Raised(events)
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/exchange={name}?k")

        async def put(count):
            for _ in range(count):
                size = chance.choice([0, 0, 0, 10, 1000, 20_000]) if chance.random() > 0.004 else MOST_BYTES
                raised.put("x" * size)
                if chance.random() < 0.05:
                    await asyncio.sleep(chance.choice([0, 0, 0.001]))

        is_unbound = False
        for _ in range(12):
            await put(chance.randrange(150))
            fault = chance.choice(["go", "go", "unbind", "reset", "none"])
            if fault == "go":
                await exchange.go()
            elif fault == "unbind":
                await exchange.leave_the_queue()
                is_unbound = True
            elif fault == "reset":
                if is_unbound:  # a return that is lost has its event arrive behind others; see the test of that
                    await raised.settled()
                    await put(100)
                    is_unbound = False
                proxy.reset()
            await put(chance.randrange(100))
            await exchange.come()
        await raised.settled()
    assert set(raised.reasons.values()) <= {None, "not_found", "unroutable", "too_large"}
    raised.assert_are(await numbers_in(rabbitmq, name), raised.failed("unroutable"))


async def test_an_event_whose_return_is_lost_arrives_behind_those_that_the_broker_took(rabbitmq, name):
    """What the broker has returned is sent again when the connection ends first; then a queue may be bound for it."""
    address = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/"
    async with await aio_pika.connect(address) as connection, FaultProxy(rabbitmq.port) as proxy, interface() as events:
        channel = await connection.channel()
        exchange = await channel.declare_exchange(name, "direct", auto_delete=True)
        queue = await channel.get_queue(name)
        await queue.bind(exchange, "bound")
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{proxy.port}/exchange={name}?{{key}}")
        await events.raise_event_and_wait("E_TEST", {"n": 0, "key": "bound"})
        reasons = []
        proxy.hold_back()
        for number in range(1, 9):
            params = {"n": number, "key": "bound" if number > 4 else "unbound"}
            events.raise_event_and_tell("E_TEST", params, reasons.extend)
        while (await channel.declare_queue(name, passive=True)).declaration_result.message_count < 5:
            await asyncio.sleep(0.01)
        await queue.bind(exchange, "unbound")
        proxy.reset()
        proxy.release()
        await until(lambda: len(reasons) == 8)
    assert reasons == [None] * 8
    numbers = [json.loads(body)["params"]["n"] for body in await bodies_in(rabbitmq, name)]
    assert numbers == [0, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8]


async def test_another_refusal_is_found_by_halves(rabbitmq, name, monkeypatch):
    """A broker that says nothing of sizes has the refused message found, which alone is counted."""
    monkeypatch.setattr(lane, "_SIZES", re.compile("words that it does not say"))
    async with interface() as events:
        raised = Raised(events)
        events.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/{name}")
        for number in range(2000):
            raised.put(LARGE if number in {700, 703} else "")
        await raised.settled()
    assert raised.failed("precondition_failed") == {700, 703}
    raised.assert_are([json.loads(body)["params"][0] for body in await bodies_in(rabbitmq, name)])
