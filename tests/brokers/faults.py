"""What no fault of a broker, or of the way to it, loses: the properties that each transport to a broker has."""

import asyncio
import uuid
from collections import Counter

import pytest
from brokers.load import COUNT, LIMIT_S, BrokerFaults, Tries, WayFaults, load, outcomes
from brokers.proxy import FaultProxy
from numbered import assert_exactly, assert_in_order

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until


@pytest.mark.timeout(60 + LIMIT_S)
class FaultContract:
    """Numbered events through a broker that fails, or a way to it that does.

    A subclass has a fixture `broker`, a fixture `name` of the test's own queue, and the methods that raise here.
    """

    is_exact = False
    """Whether the broker recognises what it has, so that nothing is there twice."""
    breaks_on_the_way = 0
    """How often the client may send again by itself, without another attempt of ours."""
    breaks_of_the_broker = 0
    """The same when the broker fails."""

    def transport(self, **options):
        """Return the plugin with *options*, by its name."""
        raise NotImplementedError

    def socket(self, port, name, *, lasting=False):
        """Return the text of the socket; with *lasting*, what it sends outlives the process of the broker."""
        raise NotImplementedError

    async def numbers(self, broker, name):
        """Return the numbers of the events that have arrived, in their order."""
        raise NotImplementedError

    def limits(self, limit_ms):
        """Return the options by which a broker that says nothing is given up so soon."""
        return {"timeout_ms": limit_ms, "login_timeout_ms": limit_ms}

    def proxy(self, broker):
        """Return the way to the broker."""
        return FaultProxy(broker.port)

    def broker_faults(self, broker, tries, lease):
        """Return what can happen to the broker."""
        del lease
        return BrokerFaults(broker, tries)

    @pytest.fixture
    def own(self, broker):
        """Return a broker that can be stopped."""
        if not hasattr(broker, "start"):
            pytest.skip("the broker that is given cannot be stopped")
        return broker

    @pytest.fixture
    def name(self):
        """Return the name of a queue of the test's own."""
        return f"q-{uuid.uuid4().hex[:8]}"

    def interface(self, tries, config=None, **options):
        events = evframe.EventInterface(config, plugins={**self.transport(**options), "tries": tries})
        events.register_event("E_TEST")
        return events

    def assert_all(self, counters, tries, numbers, breaks):
        """Fail unless each event is delivered, the first of each in order, and again only where it was sent again."""
        assert (counters.raised, counters.delivered, counters.failed) == (COUNT, COUNT, 0)
        if self.is_exact:
            assert_exactly(numbers, COUNT)
        assert_in_order(numbers, COUNT)
        tries.assert_explain(numbers, breaks)

    async def lose_nothing_on_the_way(self, broker, name, fault, breaks, **options):
        tries = Tries()
        limits = self.limits(300) if fault == "hold" else {}
        async with self.proxy(broker) as proxy, self.interface(tries, **limits, **options) as events:
            lease = events.subscribe_event("E_TEST", self.socket(proxy.port, name))
            await load(events, getattr(WayFaults(proxy, tries), fault), times=5)
            await until(lambda: not lease.subscriber.depth, LIMIT_S)
            counters = events.statistics[0]
        numbers = await self.numbers(broker, name)

        self.assert_all(counters, tries, numbers, breaks)
        if fault == "delay":
            assert not tries.again
            assert_exactly(numbers, COUNT)
        elif not self.breaks_on_the_way:
            assert tries.again or (self.is_exact and fault == "reset")  # which may come when nothing is under way

    @pytest.mark.parametrize("fault", ["cut", "delay", "hold", "refuse", "reset"])
    async def test_faults_on_the_way_lose_nothing(self, broker, name, fault):
        """All have arrived, the first of each in order, and another one only where it was tried again."""
        await self.lose_nothing_on_the_way(broker, name, fault, self.breaks_on_the_way)

    @pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
    async def test_faults_of_the_broker_lose_nothing(self, own, name, fault):
        """What a broker has acknowledged is there when it is back; the rest has waited, and follows in order."""
        tries = Tries()
        limits = self.limits(500) if fault == "hang" else {}
        async with self.interface(tries, **limits) as events:
            lease = events.subscribe_event("E_TEST", self.socket(own.port, name, lasting=True))
            await load(events, getattr(self.broker_faults(own, tries, lease), fault), times=1)
            await until(lambda: not lease.subscriber.depth, LIMIT_S)
            counters = events.statistics[0]
        self.assert_all(counters, tries, await self.numbers(own, name), self.breaks_of_the_broker)

    async def test_what_is_not_delivered_is_counted_r3(self, broker, name):
        """With a queue too small for an outage, each event is acknowledged and there, or counted with its reason."""
        tries = Tries()
        config = Config(core=CoreOptions(queue_size=3000))
        async with self.proxy(broker) as proxy, self.interface(tries, config) as events:
            events.subscribe_event("E_TEST", self.socket(proxy.port, name))
            reasons = await outcomes(events, range(1000))
            async with WayFaults(proxy, tries).refuse():
                reported = asyncio.create_task(outcomes(events, range(1000, COUNT)))
                await until(lambda: events.statistics[0].failed)
            reasons |= await reported
            counters = events.statistics[0]
        there = set(await self.numbers(broker, name))
        lost = Counter(reason for reason in reasons.values() if reason is not None)

        assert dict(lost) == counters.reasons
        assert set(lost) == {"queue_full"}
        assert (counters.raised, counters.delivered) == (COUNT, COUNT - lost.total())
        assert not {number for number, reason in reasons.items() if reason is None} - there


class IdleContract(FaultContract):
    """The same for brokers that start so fast that a test can wait for it, and for what is under way at the end."""

    fewest_in_flight = 99
    """How many of 99 events are under way at least, when a broker answers none."""
    tasks = ""
    """What the tasks of the library have in their texts; empty for a library without."""

    async def test_broker_is_restarted_while_idle(self, own, name):
        """The first event after a restart without a notice is not lost."""
        async with self.interface(Tries()) as events:
            lease = events.subscribe_event("E_TEST", self.socket(own.port, name, lasting=True))
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            await asyncio.to_thread(own.stop)
            await asyncio.to_thread(own.start)
            assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
            assert lease.subscriber.failed == 0
        assert await self.numbers(own, name) == [0, 1]

    async def leaving_is_bounded(self, broker, name, hold, release):
        """Leave while the broker says nothing from *hold* on, until *release*; both get the way."""
        quick_end = Config(core=CoreOptions(drain_timeout_s=0.1))
        async with self.proxy(broker) as proxy:
            before = asyncio.all_tasks()
            try:
                # A wait for an acknowledgement would last until the end of the test.
                async with self.interface(Tries(), quick_end, timeout_ms=600_000) as events:
                    lease = events.subscribe_event("E_TEST", self.socket(proxy.port, name))
                    assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
                    await hold(proxy)
                    for number in range(1, 100):
                        events.raise_event("E_TEST", [number])
                    await until(lambda: lease.subscriber.in_flight >= self.fewest_in_flight)
                assert lease.subscriber.reasons == {"shutdown": 99}
            finally:
                await release(proxy)
            if self.tasks:
                await until(lambda: not {task for task in asyncio.all_tasks() - before if self.tasks in repr(task)})

    async def test_leaving_is_bounded(self, broker, name):
        """Leaving does not wait for a broker that says nothing, and what it has not acknowledged is counted."""

        async def hold(proxy):
            proxy.hold()

        async def release(proxy):
            proxy.release()

        await self.leaving_is_bounded(broker, name, hold, release)
