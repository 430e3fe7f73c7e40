"""Leases and events that are kept elsewhere: queues without a policy, prolonged and renewed leases."""

import math

import pytest

import evframe
from evframe.delivery.queues import MemoryQueue
from evframe.exceptions import PluginError
from evframe.plugin import Terms
from evframe.testing import FakeClock, MemoryTransport, until


class ElsewhereQueue(MemoryQueue):
    """Has no room in memory: each event waits elsewhere."""

    is_kept = is_own = True

    def __init__(self):
        super().__init__(0)
        self.spilled = []

    def spill(self, event):
        self.spilled.append(event)
        self.stored += 1
        return True

    def configure(self, room, policy):
        pass

    def move(self):
        """Have the events elsewhere be those of another process."""
        self.subscriber.count_found(-self.stored)
        self.stored = 0


class Opener:
    """Opens the queue of each subscriber but those called `local`."""

    kind = "extension"
    opens_all_queues = True

    def __init__(self):
        self.queues = {}

    @evframe.hookimpl
    def open_queue(self, subscriber, wake):
        name = subscriber.socket.name
        if name == "local":
            return None
        queue = self.queues[name] = ElsewhereQueue()
        queue.wake, queue.subscriber = wake, subscriber
        return queue


class Prolonging:
    """Gives each lease so many seconds more, one after the other."""

    def __init__(self, *seconds):
        self.seconds = list(seconds)
        self.asked = []

    @evframe.hookimpl
    def lease_due(self, lease):
        self.asked.append(lease.subscriber.socket.name)
        return self.seconds.pop(0) if self.seconds else None


class Observer:
    def __init__(self):
        self.changes = []

    @evframe.hookimpl
    def lease_changed(self, lease, change):
        self.changes.append((lease.subscriber.socket.name, change))


def interface(**plugins):
    clock = FakeClock()
    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), **plugins}, clock=clock)
    events.register_event("E_A")
    return events, clock


def of(events, name):
    """Return the events that the subscriber called *name* has got."""
    return events.plugin("memory").delivered.get(name, [])


async def test_a_plugin_opens_the_queue_of_each_subscriber():
    """With `opens_all_queues`, a subscriber without a policy has the plugin's queue before its first event."""
    opener = Opener()
    events, _ = interface(opener=opener)
    events.subscribe_event("E_A", "memory:a")
    events.subscribe_event("E_A", "memory:local")
    async with events:
        events.subscribe_event("E_A", "memory:b")
        events.subscribe_event("E_A", "memory:b")
        events.raise_event("E_A", [1])
        await until(lambda: of(events, "local"))
        assert {name: len(queue.spilled) for name, queue in opener.queues.items()} == {"a": 1, "b": 1}
        depths = {each.socket: each.depth for each in events.statistics}
        assert (depths["memory:a"], depths["memory:b"], depths["memory:local"]) == (1, 1, 0)
        for queue in opener.queues.values():
            queue.move()


async def test_one_plugin_is_called_for_a_queue():
    """A plugin whose queue is not used is not called: what an earlier process has left would go into that queue."""

    class First(Opener):
        @evframe.hookimpl(tryfirst=True)
        def open_queue(self, subscriber, wake):
            return super().open_queue(subscriber, wake)

    first, second = First(), Opener()
    events, _ = interface(first=first, second=second)
    events.subscribe_event("E_A", "memory:a")
    events.subscribe_event("E_A", "memory:local")
    assert (first.queues.keys(), second.queues) == ({"a"}, {})


async def test_other_plugins_open_queues_for_policies_alone():
    """Without the attribute, a subscriber without a policy has a queue in memory."""

    class Choosy(Opener):
        opens_all_queues = False

    opener = Choosy()
    events, _ = interface(opener=opener)
    events.subscribe_event("E_A", "memory:a")
    assert opener.queues == {}


def test_a_misspelt_attribute_is_an_error():
    """An attribute that resembles `opens_all_queues` is refused."""

    class Misspelt:
        opens_all_queue = True

    with pytest.raises(PluginError, match="did you mean 'opens_all_queues'"):
        interface(misspelt=Misspelt())


async def test_an_event_that_waits_elsewhere_takes_no_turn():
    """A subscriber whose events wait elsewhere is not asked for a batch until its queue wakes it."""
    opener = Opener()
    events, _ = interface(opener=opener)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        queue = opener.queues["a"]
        taken = []
        take = queue.take

        class Watched(ElsewhereQueue):
            def take(self, most, number):
                taken.append(number)
                return take(most, number)

        queue.__class__ = Watched
        for number in range(3):
            events.raise_event("E_A", [number])
            await events.raise_event_and_wait("E_A", [number], timeout_s=0.001)
        assert taken == []
        queue.stored = 0
        queue.extend(queue.spilled)
        queue.wake()
        await until(lambda: len(of(events, "a")) == 6)


def test_a_lease_is_prolonged_as_long_as_a_plugin_says():
    """A lease whose time is over lives on by the seconds of `lease_due`, and ends when no plugin gives it more."""
    prolonging, observer = Prolonging(5.0, 2.0), Observer()
    events, clock = interface(prolonging=prolonging, observer=observer)
    lease = events.subscribe_event("E_A", "memory:a", 60)
    clock.advance(60)
    assert events.subscriptions == [lease]
    assert events.remaining_s(lease) == 5
    clock.advance(5)
    assert events.subscriptions == [lease]
    clock.advance(2)
    assert events.subscriptions == []
    assert prolonging.asked == ["a"] * 3
    assert observer.changes == [("a", "made"), ("a", "expired")]


@pytest.mark.parametrize("seconds", [0, -1.0, None])
def test_no_time_ends_a_lease(seconds):
    """A result that is not above 0 ends the lease, and holds up no other one."""
    events, clock = interface(prolonging=Prolonging(seconds, seconds))
    events.subscribe_event("E_A", "memory:a", 60)
    events.subscribe_event("E_A", "memory:b", 60)
    clock.advance(60)
    assert events.subscriptions == []


def test_the_longest_time_counts():
    """The longest of several results counts, and a plugin that raises changes nothing."""

    class Broken:
        @evframe.hookimpl
        def lease_due(self, lease):
            raise RuntimeError("broken")

    events, clock = interface(one=Prolonging(1.0), two=Prolonging(3.0), broken=Broken())
    lease = events.subscribe_event("E_A", "memory:a", 60)
    clock.advance(60)
    assert events.subscriptions == [lease]
    assert events.remaining_s(lease) == 3


def test_a_lease_of_another_process_is_renewed():
    """With `renews`, a lease that exists gets the terms and the time of another process; without, it stays."""
    observer = Observer()
    events, _ = interface(observer=observer)
    lease = events.subscribe_event("E_A", "memory:a", 60)
    assert not events.restore_subscription("E_A", "memory:a", Terms(100), 90.5)
    assert events.remaining_s(lease) == 60
    assert events.restore_subscription("E_A", "memory:a", Terms(100), 90.5, renews=True)
    assert (events.remaining_s(lease), lease.expire_s) == (91, 100)
    assert events.restore_subscription("E_A", "memory:a", Terms(0), None, renews=True)
    assert (lease.deadline, lease.expire_s, events.seconds_left(lease)) == (math.inf, 0, None)
    assert events.restore_subscription("E_A", "memory:b", Terms(10), 5.0, renews=True)
    assert observer.changes == [("a", "made"), ("a", "refreshed"), ("a", "refreshed"), ("b", "restored")]


def test_a_configured_lease_is_not_renewed_by_another_process():
    """What the configuration says of a lease holds, whatever another process has."""
    events, _ = interface()
    lease = events.subscribe_event("E_A", "memory:a", 0, configured=True)
    assert not events.restore_subscription("E_A", "memory:a", Terms(100), 90.5, renews=True)
    assert lease.deadline == math.inf
