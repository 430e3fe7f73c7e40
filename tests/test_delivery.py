"""Delivery: isolation, order, retries, overflow, and outcomes that add up."""

import asyncio
import random

import pytest
from numbered import assert_exactly

import evframe
from evframe.config import Config, CoreOptions
from evframe.delivery.limits import Limits
from evframe.delivery.nesting import delivering
from evframe.delivery.subscriber import Subscriber
from evframe.testing import FakeClock, MemoryTransport, until
from evframe.testing.transports import MemorySocket


def compose(memory, **core):
    events = evframe.EventInterface(Config(core=CoreOptions(**core)), plugins={"memory": memory})
    events.register_event("E_A")
    return events


def numbers(memory, name):
    return [event[1] for event in memory.delivered.get(name, [])]


def add_up(events):
    for counters in events.statistics:
        assert counters.raised == counters.delivered + counters.failed + counters.depth, counters
        assert counters.failed == sum(counters.reasons.values()), counters


async def test_isolation_of_100_000_events(memory):
    """One subscriber hangs, one refuses, one's plugin raises: the fourth gets every event in order."""

    def refuse(batch):
        raise evframe.Rejected("refused")

    def broken(batch):
        raise ZeroDivisionError

    events = compose(memory, queue_size=200_000, drain_timeout_s=0.05)
    memory.when("hung", lambda batch: asyncio.get_running_loop().create_future())
    memory.when("refusing", refuse)
    memory.when("broken", broken)
    for name in ("good", "hung", "refusing", "broken"):
        events.subscribe_event("E_A", f"memory:{name}")
    async with events:
        for number in range(100_000):
            events.raise_event("E_A", [number])
            if number % 10_000 == 0:
                await asyncio.sleep(0)
        await until(lambda: len(memory.delivered["good"]) == 100_000)
        add_up(events)
    by_name = {counters.socket: counters for counters in events.statistics}

    assert_exactly(numbers(memory, "good"), 100_000)
    assert by_name["memory:refusing"].reasons == {"refused": 100_000}
    assert by_name["memory:broken"].reasons == {"plugin_error": 100_000}
    assert by_name["memory:hung"].reasons == {"shutdown": 100_000}
    add_up(events)


@pytest.mark.parametrize(
    ("overflow", "kept"),
    [("drop_newest", list(range(10))), ("drop_oldest", list(range(15, 25))), ("block", list(range(10)))],
)
async def test_full_queue(memory, overflow, kept):
    """A full queue loses the newest or the oldest events, each counted; raise_event never waits."""
    events = compose(memory, queue_size=10, overflow=overflow)
    events.subscribe_event("E_A", "memory:a")
    for number in range(25):
        events.raise_event("E_A", [number])
    async with events:
        await until(lambda: not events.statistics[0].depth)

    assert numbers(memory, "a") == kept
    assert events.statistics[0].reasons == {"queue_full": 15}
    add_up(events)


async def test_block_makes_awaiting_callers_wait(memory):
    """With `block`, an awaited raise waits for room and nothing is lost."""
    events = compose(memory, queue_size=5, overflow="block")
    gate = asyncio.Event()

    async def slow(batch):
        await gate.wait()
        memory.delivered.setdefault("a", []).extend(batch.events)

    memory.when("a", slow)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        raises = [asyncio.create_task(events.raise_event_and_wait("E_A", [number])) for number in range(50)]
        await asyncio.sleep(0)
        gate.set()
        reports = await asyncio.gather(*raises)

    assert all(report[0].delivered for report in reports)
    assert sorted(numbers(memory, "a")) == list(range(50))


async def test_unavailable_keeps_order(memory):
    """Events that a transport could not send are tried again before those raised later."""
    attempts = 0

    def flaky(batch):
        nonlocal attempts
        attempts += 1
        sent = min(len(batch.events), attempts % 3)
        memory.delivered.setdefault("a", []).extend(batch.events[:sent])
        if sent < len(batch.events):
            raise evframe.Unavailable("away", done=sent)
        return True

    events = compose(memory)
    memory.when("a", flaky)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(12):
            events.raise_event("E_A", [number])
            await asyncio.sleep(0)
        await until(lambda: not events.statistics[0].depth)

    assert numbers(memory, "a") == list(range(12))
    assert events.statistics[0].delivered == 12


async def test_no_more_batches_under_way_than_the_transport_says(memory):
    """With a bound for the batches under way, what is raised meanwhile goes as one piece."""
    memory.limits = Limits(in_flight=100, in_flight_batches=2)
    sizes, open_ = [], []

    def send(batch):
        sizes.append(len(batch.events))
        open_.append(asyncio.get_running_loop().create_future())
        return open_[-1]

    events = compose(memory)
    memory.when("a", send)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(50):
            events.raise_event("E_A", [number])
            await asyncio.sleep(0)
        assert sizes == [1, 1]
        open_[0].set_result(None)
        await until(lambda: sizes == [1, 1, 48])
        for future in open_[1:]:
            future.set_result(None)
        await until(lambda: events.statistics[0].delivered == 50)


@pytest.mark.parametrize("first_ends_last", [False, True])
async def test_a_subscriber_is_away_for_the_reason_of_the_batch_that_failed(memory, caplog, first_ends_last):
    """Batches that come back only because one before them has give no reason, whichever ends last."""
    memory.limits = Limits(in_flight=2)
    ends = [asyncio.Event(), asyncio.Event()]

    async def send(batch):
        which = len(begun)
        begun.append(batch)
        await ends[which % 2].wait()
        raise evframe.Unavailable("behind_another" if which % 2 else "refused")

    begun = []
    events = compose(memory, drain_timeout_s=0.05)
    memory.when("a", send)
    lease = events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(2):
            events.raise_event("E_A", [number])
            await until(lambda number=number: len(begun) > number)
        for end in reversed(ends) if first_ends_last else ends:
            end.set()
            await asyncio.sleep(0)
        await until(lambda: lease.subscriber.attempts)
        assert lease.subscriber.away == "refused"
    assert {record.reason for record in caplog.records if record.message == "a subscriber is away"} == {"refused"}


@pytest.mark.parametrize("seed", range(5))
async def test_batches_under_way_come_back_in_order(memory, seed):
    """With several batches under way, whatever comes back is tried again in order, confirmed ones are not."""
    chance = random.Random(seed)
    confirmed = []
    memory.limits = Limits(in_flight=50)

    async def send(batch):
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        fate = chance.randrange(4)
        if fate == 0:
            done = chance.randrange(len(batch.events) + 1)
            confirmed.extend(batch.events[:done])
            raise evframe.Unavailable("away", done=done)
        if fate == 1:
            for index, event in enumerate(batch.events):
                if chance.randrange(2):
                    batch.confirm(index)
                    confirmed.append(event)
            raise evframe.Unavailable("away")
        confirmed.extend(batch.events)

    events = compose(memory)
    memory.when("a", send)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(60):
            events.raise_event("E_A", [number])
            if chance.randrange(2):
                await asyncio.sleep(0)
            add_up(events)
        await until(lambda: not events.statistics[0].depth)

    assert sorted(event[1] for event in confirmed) == list(range(60))
    assert events.statistics[0].delivered == 60


async def test_failed_events_of_a_batch(memory):
    """Events that the transport marks have their reasons, the others count as delivered."""

    def some(batch):
        for index in range(0, len(batch.events), 3):
            batch.fail(index, "too_large")
        return True

    events = compose(memory)
    memory.when("a", some)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        reports = await asyncio.gather(*(events.raise_event_and_wait("E_A", [number]) for number in range(6)))

    assert [report[0].reason for report in reports] == ["too_large", None, None, "too_large", None, None]
    assert [outcome.delivered for outcome in reports[0]] == [False]


async def test_wrong_result_of_deliver(memory):
    """A plugin that returns neither True nor an awaitable is an error that is counted."""
    events = compose(memory)
    memory.when("a", lambda batch: None)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        report = await events.raise_event_and_wait("E_A")

    assert report[0].reason == "plugin_error"


async def test_waiting_is_bounded(memory):
    """An awaited raise says `pending` when its time is over; the event still arrives."""
    release = asyncio.Event()

    async def slow(batch):
        await release.wait()

    events = compose(memory)
    memory.when("a", slow)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        report = await events.raise_event_and_wait("E_A", timeout_s=0.01)
        release.set()
        await until(lambda: events.statistics[0].delivered == 1)

    assert report[0].reason == "pending"


async def test_no_subscriber(memory):
    """Raising without subscribers is counted and reports nobody."""
    async with compose(memory) as events:
        assert await events.raise_event_and_wait("E_A") == []
        assert events.event("E_A").raised == 1


async def test_unsubscribed_while_away(memory):
    """What a subscriber that has left did not take in time is counted; the sums keep it."""

    def away(batch):
        raise evframe.Unavailable("away")

    events = compose(memory, drain_timeout_s=0.05)
    memory.when("a", away)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(10):
            events.raise_event("E_A", [number])
        await until(lambda: events.statistics[0].depth == 10)
        events.unsubscribe_event("E_A", "memory:a")
        await until(lambda: len(events.statistics) == 1)
        ended = events.statistics[0]

    assert (ended.raised, ended.failed) == (10, 10)
    assert memory.released == ["a"]


async def test_comes_back_while_it_leaves(memory):
    """A subscriber that subscribes again before it is gone goes on, with its counters."""
    gate = asyncio.Event()

    async def slow(batch):
        await gate.wait()

    events = compose(memory)
    memory.when("a", slow)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        events.raise_event("E_A")
        await asyncio.sleep(0)
        events.unsubscribe_event("E_A", "memory:a")
        events.subscribe_event("E_A", "memory:a")
        gate.set()
        assert (await events.raise_event_and_wait("E_A"))[0].delivered
        assert events.statistics[0].delivered == 2
        assert memory.released == []


async def test_shutdown_delivers_what_is_queued(memory):
    """Leaving the interface delivers what was raised."""
    events = compose(memory)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(5000):
            events.raise_event("E_A", [number])

    assert_exactly(numbers(memory, "a"), 5000)
    assert memory.released == ["a"]


async def test_raise_after_the_end_is_counted(memory):
    """An event that is raised after the interface was left is counted as lost."""
    events = compose(memory)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        pass
    events.raise_event("E_A")

    assert events.statistics[0].reasons == {"shutdown": 1}


async def test_failures_do_not_fill_the_log(memory, caplog):
    """Ten thousand lost events of a subscriber are one line."""

    def refuse(batch):
        raise evframe.Rejected("refused")

    events = compose(memory)
    memory.when("a", refuse)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(10_000):
            events.raise_event("E_A", [number])
        await until(lambda: events.statistics[0].failed == 10_000)

    assert len(caplog.records) == 1


async def test_wrapper_round_deliver(memory):
    """A hook wrapper that someone registers round `deliver` takes effect, and its end too."""
    seen = []

    class Watch:
        @evframe.hookimpl(wrapper=True)
        def deliver(self, socket, batch):
            seen.append((socket.canonical, len(batch.events)))
            return (yield)

    events = compose(memory)
    events.subscribe_event("E_A", "memory:a")
    watch = Watch()
    async with events:
        await events.raise_event_and_wait("E_A")
        events.plugins.register(watch)
        await events.raise_event_and_wait("E_A")
        events.plugins.unregister(watch)
        await events.raise_event_and_wait("E_A")

    assert seen == [("memory:a", 1)]
    assert len(memory.delivered["a"]) == 3


async def test_two_transports(memory):
    """Each scheme goes to its own transport."""

    class OtherSocket(MemorySocket):
        canonical = property(lambda self: f"other:{self.name}")

    class Other(MemoryTransport):
        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return OtherSocket(rest) if scheme == "other" else None

    other = Other()
    events = evframe.EventInterface(plugins={"memory": memory, "other": other})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:a")
    events.subscribe_event("E_A", "other:b")
    async with events:
        await events.raise_event_and_wait("E_A")

    assert list(memory.delivered) == ["a"]
    assert list(other.delivered) == ["b"]


async def test_no_batch_overtakes_one_that_comes_back(memory):
    """A batch is not handed over between the failure of the one before and the moment the core hears of it."""
    memory.limits = Limits(in_flight=100)
    order = []
    futures = []

    def deliver(batch):
        order.append([event[1] for event in batch.events])
        futures.append(asyncio.get_running_loop().create_future())
        return futures[-1]

    events = compose(memory)
    memory.when("a", deliver)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        events.raise_event("E_A", [1])
        await until(lambda: futures)
        events.raise_event("E_A", [2])  # the flush is due in the next turn, before the callbacks of the future
        futures[0].set_exception(evframe.Unavailable("away"))
        await until(lambda: len(futures) == 2)
        futures[1].set_result(None)
        await until(lambda: not events.statistics[0].depth)

    assert order == [[1], [1, 2]]


async def test_code_knows_that_it_delivers(memory):
    """What a transport does in `deliver`, and in the tasks that it starts there, is known as such; a raise is not."""
    known = []

    async def deliver():
        known.append(delivering.get())

    def behaviour(batch):
        known.append(delivering.get())
        return asyncio.create_task(deliver())

    memory.when("a", behaviour)
    async with evframe.EventInterface(plugins={"memory": memory}) as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", "memory:a")
        await events.raise_event_and_wait("E_TEST")
    assert known == [True, True]
    assert not delivering.get()


class TestCallback:
    """`raise_event_and_tell`: the outcomes of an event, without a task for it."""

    async def test_every_subscriber_has_one_outcome(self, memory):
        """The outcomes come when the last subscriber has one: a reason for each failure, None for each delivery."""
        gate = asyncio.Event()

        async def slow(batch):
            await gate.wait()
            for index in range(0, len(batch.events), 2):
                batch.fail(index, "odd" if index else "first")

        memory.when("slow", slow)
        told = []
        async with compose(memory) as events:
            for name in ("slow", "quick"):
                events.subscribe_event("E_A", f"memory:{name}")
            for number in range(4):
                events.raise_event_and_tell(
                    "E_A", [number], lambda reasons, number=number: told.append((number, *reasons))
                )
            await until(lambda: events.statistics[1].delivered == 4)
            assert told == []
            gate.set()
            await until(lambda: len(told) == 4)
            assert not any(lease.subscriber.awaited for lease in events.subscriptions)

        assert told == [(0, None, "first"), (1, None, None), (2, None, "odd"), (3, None, None)]

    async def test_no_subscriber_and_no_room(self, memory):
        """Without subscribers, and for what finds no room, the callback runs before the raise returns."""
        told = []
        async with compose(memory, queue_size=1) as events:
            events.raise_event_and_tell("E_A", None, told.append)
            events.subscribe_event("E_A", "memory:a")
            events.raise_event_and_tell("E_A", [1], told.append)
            events.raise_event_and_tell("E_A", [2], told.append)
            assert [list(reasons) for reasons in told] == [[], ["queue_full"]]
            await until(lambda: len(told) == 3)

    async def test_shutdown(self, memory):
        """Events that are not delivered before the interface is left have an outcome, too."""
        memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
        told = []
        async with compose(memory, drain_timeout_s=0.01) as events:
            events.subscribe_event("E_A", "memory:a")
            events.raise_event_and_tell("E_A", [1], told.append)

        assert told == [["shutdown"]]


@pytest.mark.parametrize("ends", ["subscriber", "expiry", "interface"])
async def test_who_waits_for_room_is_released(memory, ends):
    """With `block`, those that wait for a queue are released when its subscriber or the interface ends."""

    def away(batch):
        raise evframe.Unavailable("refused")

    memory.when("dead", away)
    clock = FakeClock()
    core = CoreOptions(overflow="block", queue_size=2, drain_timeout_s=0.0)
    async with evframe.EventInterface(Config(core=core), plugins={"memory": memory}, clock=clock) as events:
        events.register_event("E_A")
        events.subscribe_event("E_A", "memory:dead", 10)
        events.subscribe_event("E_A", "memory:a")
        raises = [asyncio.create_task(events.raise_event_and_wait("E_A", [n], timeout_s=None)) for n in range(9)]
        await until(lambda: numbers(memory, "a") == [0, 1] and events.statistics[0].depth == 2)
        if ends == "subscriber":
            events.unsubscribe_event("E_A", "memory:dead")
        elif ends == "expiry":
            clock.advance(11)
            events.expire()
        if ends != "interface":
            await until(lambda: numbers(memory, "a") == list(range(9)))
    done, waiting = await asyncio.wait(raises, timeout=20)

    assert not waiting
    reasons = {outcome.reason for each in done for outcome in each.result() if outcome.socket == "memory:dead"}
    assert reasons <= ({"shutdown"} if ends == "interface" else {"unsubscribed", "refused"})
    add_up(events)


@pytest.mark.parametrize("change", [{"overflow": "drop_newest"}, {"overflow": "drop_oldest"}, {"queue_size": 20}])
async def test_who_waits_for_room_is_released_by_a_reload(memory, change):
    """With `block`, those that wait are released when the configuration has another policy, or gives more room."""

    def away(batch):
        raise evframe.Unavailable("refused")

    memory.when("dead", away)
    before = {"overflow": "block", "queue_size": 2, "drain_timeout_s": 0.0}
    async with compose(memory, **before) as events:
        events.subscribe_event("E_A", "memory:dead")
        events.subscribe_event("E_A", "memory:a")
        raises = [asyncio.create_task(events.raise_event_and_wait("E_A", [n], timeout_s=None)) for n in range(9)]
        await until(lambda: numbers(memory, "a") == [0, 1] and events.statistics[0].depth == 2)
        await until(lambda: len(events._roster.scheduler.room._turns) == 7)
        events._configure(CoreOptions(**before | change))
        await until(lambda: events.statistics[0].raised == 9, 20)
        depth = events.statistics[0].depth
    await asyncio.gather(*raises)
    assert depth == (9 if "queue_size" in change else 2)
    add_up(events)


def recording(memory, batches):
    """Return a behaviour that keeps each batch's numbers in *batches* and delivers it."""

    def record(batch):
        batches.append([event[1] for event in batch.events])
        return True

    return record


async def test_the_first_event_of_a_turn_goes_at_once_where_the_transport_permits_it(memory):
    """It is delivered within its raise, and what follows in the turn forms one batch."""
    memory.limits = Limits(at_once=True)
    batches = []
    events = compose(memory)
    memory.when("a", recording(memory, batches))
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(3):
            events.raise_event("E_A", [number])
            assert batches[number:] == [[number]]
            await asyncio.sleep(0)
        for number in range(3, 7):
            events.raise_event("E_A", [number])
        assert batches[3:] == [[3]]
        await asyncio.sleep(0)
        assert batches[3:] == [[3], [4, 5, 6]]
    add_up(events)


async def test_no_event_goes_at_once_after_a_turn_with_many(memory):
    """A turn with many is followed by others with many; a turn with one event ends that."""
    memory.limits = Limits(at_once=True)
    batches = []
    events = compose(memory)
    memory.when("a", recording(memory, batches))
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(6):
            events.raise_event("E_A", [number])
            if number % 3 == 2:
                await asyncio.sleep(0)
        assert batches == [[0], [1, 2], [3, 4, 5]]
        events.raise_event("E_A", [6])
        assert batches[3:] == []
        await asyncio.sleep(0)
        events.raise_event("E_A", [7])
        assert batches[3:] == [[6], [7]]
    add_up(events)


async def test_one_delivery_of_a_turn_goes_at_once(memory):
    """With several subscribers the newest gets the first event at once, the others with the pass over all."""
    memory.limits = Limits(at_once=True)
    events = compose(memory)
    for name in ("a", "b", "c"):
        events.subscribe_event("E_A", f"memory:{name}")
    async with events:
        events.raise_event("E_A", [1])
        assert list(memory.delivered) == ["c"]
        await asyncio.sleep(0)
        assert list(memory.delivered) == ["c", "b", "a"]


@pytest.mark.parametrize("result", ["unavailable", "awaitable", "rejected", "broken", "failed", "wrong"])
async def test_what_does_not_work_at_once_is_settled_in_the_next_turn(memory, result, caplog):
    """Whatever `deliver` does but work, the raise returns; order, outcomes and counters are as for any batch."""
    memory.limits = Limits(at_once=True)
    attempts = []

    async def later(batch):
        memory.delivered.setdefault("a", []).extend(batch.events)

    def behave(batch):
        attempts.append(len(batch.events))
        if len(attempts) == 1:
            if result == "unavailable":
                raise evframe.Unavailable("away")
            if result == "rejected":
                raise evframe.Rejected("refused")
            if result == "broken":
                raise ZeroDivisionError
            if result == "failed":
                batch.fail(0, "refused")
                return True
            if result == "wrong":
                return 7
            return later(batch)
        memory.delivered.setdefault("a", []).extend(batch.events)
        return True

    events = compose(memory)
    memory.when("a", behave)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(5):
            events.raise_event("E_A", [number])
        assert attempts == [1]
        assert events.statistics[0].depth == 5
        assert not caplog.messages  # nothing is logged or announced within the raise
        await until(lambda: not events.statistics[0].depth)
        assert numbers(memory, "a") == list(range(0 if result in {"unavailable", "awaitable"} else 1, 5))
        await asyncio.sleep(0)
    add_up(events)


async def test_a_finaliser_within_a_delivery_at_once_raises_an_event(memory):
    """An event that is raised in the middle of a delivery comes behind it."""
    memory.limits = Limits(at_once=True)
    batches = []
    events = compose(memory)

    def behave(batch):
        if batch.events[0][1] == 0:
            events.raise_event("E_A", [1])
        return recording(memory, batches)(batch)

    memory.when("a", behave)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        events.raise_event("E_A", [0])
        events.raise_event("E_A", [2])
        await until(lambda: len(batches) == 2)
    assert batches == [[0], [1, 2]]
    add_up(events)


async def test_nothing_goes_at_once_through_a_wrapper(memory):
    """The code of a wrapper is not that of the transport: it runs in a turn of its own."""

    class Wrapper:
        @evframe.hookimpl(wrapper=True)
        def deliver(self, socket, batch):
            return (yield)

    memory.limits = Limits(at_once=True)
    events = evframe.EventInterface(plugins={"memory": memory, "wrapper": Wrapper()})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:a")
    async with events:
        events.raise_event("E_A", [1])
        assert memory.delivered == {}


async def test_what_goes_at_once_is_counted_when_the_interface_is_left(memory):
    """A delivery that waits for its outcome at the end is lost, and counted."""
    memory.limits = Limits(at_once=True)
    events = compose(memory, drain_timeout_s=0)
    memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
    events.subscribe_event("E_A", "memory:a")
    async with events:
        events.raise_event("E_A", [1])
    assert events.statistics[0].reasons == {"shutdown": 1}


def gathering(memory, batches, monkeypatch):
    """Have the memory gather for as long as the test does not stop it, and return what stops it."""
    waiting = []

    def add(self, subscriber):
        self._subscribers[subscriber] = None
        waiting.append(self)

    monkeypatch.setattr("evframe.delivery.gathering.Gathering.add", add)
    memory.limits = Limits(gathers=True)

    async def taken(batch):
        recording(memory, batches)(batch)

    memory.when("a", taken)
    return lambda: waiting[-1].release()


async def test_events_wait_for_others_after_a_batch_has_begun(memory, monkeypatch):
    """An event after a pause goes at its turn; those that come within the time after it form one batch."""
    batches = []
    release = gathering(memory, batches, monkeypatch)
    events = compose(memory)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(20):
            events.raise_event("E_A", [number])
            await asyncio.sleep(0)
        assert batches == [[0]]
        release()
        await until(lambda: len(batches) == 2)
        assert batches[1] == list(range(1, 20))
        release()
        await asyncio.sleep(0)
        events.raise_event("E_A", [20])
        await until(lambda: len(batches) == 3)
        events.raise_event("E_A", [21])
        release()  # while nothing is under way, and when nothing waits
        release()
        await until(lambda: len(batches) == 4)
    assert [number for batch in batches for number in batch] == list(range(22))
    add_up(events)


async def test_an_event_whose_outcome_is_waited_for_begins_no_wait(memory, monkeypatch):
    """An event that is raised after the outcome of the one before waits for no others."""
    batches = []
    gathering(memory, batches, monkeypatch)
    events = compose(memory)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(5):
            assert (await events.raise_event_and_wait("E_A", [number]))[0].delivered
    assert batches == [[number] for number in range(5)]


async def test_many_events_wait_for_no_others(memory, monkeypatch):
    """As soon as 512 events wait, batches follow each other."""
    batches = []
    gathering(memory, batches, monkeypatch)
    events = compose(memory)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        for number in range(3000):
            events.raise_event("E_A", [number])
        await until(lambda: sum(map(len, batches)) == 1024 * 2 + 952)
    assert_exactly([number for batch in batches for number in batch], 3000)


async def test_a_subscriber_that_gathers_ends(memory, monkeypatch):
    """What waits for others at an unsubscription is delivered, and the subscriber is released."""
    batches = []
    release = gathering(memory, batches, monkeypatch)
    events = compose(memory)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        events.raise_event("E_A", [0])
        await until(lambda: batches)
        await asyncio.sleep(0)
        events.raise_event("E_A", [1])
        events.unsubscribe_event("E_A", "memory:a")
        release()
        await until(lambda: memory.released == ["a"])
        release()
    assert batches == [[0], [1]]
    assert memory.released == ["a"]


async def test_callers_that_wait_for_room_are_woken_for_a_place_each(memory, monkeypatch):
    """With `block`, a place in a queue wakes one caller, the oldest: the work does not grow with the square of them."""
    checks, count = [], 1000
    has_room_for = Subscriber.has_room_for
    monkeypatch.setattr(Subscriber, "has_room_for", lambda *args: (checks.append(args), has_room_for(*args))[1])
    monkeypatch.setattr(memory, "limits", Limits(batch_events=1), raising=False)
    async with asyncio.timeout(30), compose(memory, queue_size=1, overflow="block") as events:
        events.subscribe_event("E_A", "memory:a")
        await asyncio.gather(*(events.raise_event_and_wait("E_A", [n], timeout_s=None) for n in range(count)))
    assert numbers(memory, "a") == list(range(count))
    assert len(checks) <= 5 * count


@pytest.mark.parametrize("how", ["cancelled", "unsubscribed"])
async def test_a_place_that_the_woken_caller_does_not_take_goes_to_the_next(memory, how):
    """With `block`, a caller that leaves, or whose event the subscriber gets no more, holds no other one up."""
    gate = asyncio.Event()
    memory.when("a", lambda batch: gate.wait())
    async with asyncio.timeout(30), compose(memory, queue_size=1, overflow="block") as events:
        subscriber = events.subscribe_event("E_A", "memory:a").subscriber
        events.register_event("E_B")
        events.subscribe_event("E_B", "memory:a")
        for number in range(2):
            events.raise_event("E_A", [number])
            await until(lambda: subscriber.batches)
        names = ["E_B", "E_A"]
        raises = [asyncio.create_task(events.raise_event_and_wait(name, [2], timeout_s=None)) for name in names]
        await until(lambda: len(events._roster.scheduler.room._turns) == 2)
        if how == "cancelled":
            raises.pop(0).cancel()
        else:
            events.unsubscribe_event("E_B", "memory:a")
            assert await raises.pop(0) == []
        gate.set()
        assert [outcome.reason for outcome in await raises[0]] == [None]
