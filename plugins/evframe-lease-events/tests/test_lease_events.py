"""The source in an interface."""

import asyncio

import pytest
from evframe_lease_events import LeaseEvents, Options
from evframe_lease_events.plugin import ENDED, EXPIRED, EXPIRING, FAILED, FAILING, MADE, MOVED, RECOVERED, REFRESHED
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

import evframe
from evframe.exceptions import Rejected
from evframe.testing import ConfigFile, FakeClock, FakeNames, MemoryTransport, Recorder, SourceContract, until

OWN = [MADE, REFRESHED, EXPIRING, EXPIRED, ENDED, FAILING, FAILED, RECOVERED, MOVED]


def refuse(_):
    raise Rejected("bad")


def recorder_of(clock, **options):
    return Recorder({"lease-events": LeaseEvents(Options(**options), clock=clock)}, clock=clock)


def lease(event, socket, expire, **more):
    return {"event": event, "socket": socket, "expire": expire, **more}


class TestContract(SourceContract):
    """What every source does."""

    name = "lease-events"

    def source(self):
        return LeaseEvents(Options(settle_s=0.0))

    async def provoke(self, recorder):
        events = recorder.interface
        recorder.register_event("E_X")
        events.subscribe_event("E_X", "memory:a")
        events.subscribe_event("E_X", "memory:a", 1)
        recorder.plugin("lease-events").process_due()  # a busy machine may look when the lease has ended
        events.subscribe_event("E_X", "memory:b")
        recorder._memory.when("b", refuse)
        await events.raise_event_and_wait("E_X")
        recorder._memory.when("b", None)
        await events.raise_event_and_wait("E_X")
        fail(recorder, 1)
        events.unsubscribe_event("E_X", "memory:b")
        await move(events.resolver)


def fail(recorder, *numbers, event="E_X", params=None):
    """Fail events for good, as the core does for a subscriber whose policy has `dead_letter`."""
    lease = recorder.interface.subscription("E_X", "memory:b")
    failed = [recorder.interface.event(event).snapshot(params or [number], 0.0) for number in numbers]
    reasons = ["rejected"] * len(failed)
    recorder.interface.plugins.notify(
        "events_failed", subscriber=lease.subscriber, events=failed, reasons=reasons, error=None
    )


async def move(resolver):
    """Have a name in use get another address."""
    with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
        resolver.lookup = names
        resolver.use("peer.example")
        await until(lambda: resolver.known("peer.example", 1))
        names["peer.example"] = ["127.0.0.2", "127.0.0.3"]
        resolver.refresh_all()
        await until(lambda: len(resolver.known("peer.example", 1)) == 2)


async def test_a_name_that_moves():
    """A name that subscribers use and that gets other addresses is an event."""
    async with Recorder({"lease-events": LeaseEvents()}) as recorder:
        await move(recorder.interface.resolver)
        assert await recorder.events() == [(MOVED, {"host": "peer.example", "addresses": ["127.0.0.2", "127.0.0.3"]})]


async def test_a_lease_and_its_life():
    """A lease raises an event when it is made, refreshed, about to end and over."""
    clock = FakeClock()
    async with recorder_of(clock, notice_s=10) as recorder:
        recorder.register_event("E_X")
        await recorder.events()
        source, events = recorder.plugin("lease-events"), recorder.interface
        events.subscribe_event("E_X", "memory:a", 100)
        events.subscribe_event("E_X", "memory:a", 60)
        clock.advance(50)
        source.process_due()
        clock.advance(10)
        events.expire()
        events.subscribe_event("E_X", "memory:b")
        events.unsubscribe_event("E_X", "memory:b")
        assert await recorder.events() == [
            (MADE, lease("E_X", "memory:a", 100)),
            (REFRESHED, lease("E_X", "memory:a", 60)),
            (EXPIRING, lease("E_X", "memory:a", 60, ttl=10)),
            (EXPIRED, lease("E_X", "memory:a", 60)),
            (MADE, lease("E_X", "memory:b", 0)),
            (ENDED, lease("E_X", "memory:b", 0)),
        ]


async def test_other_times():
    """Another `notice_s` and `settle_s` hold for the present leases and failures; no event is raised twice."""
    clock = FakeClock()
    async with recorder_of(clock, notice_s=10, settle_s=5.0) as recorder:
        recorder.register_event("E_X")
        await recorder.events()
        source, events = recorder.plugin("lease-events"), recorder.interface
        for name, expire in (("a", 100), ("b", 130), ("c", 400)):
            events.subscribe_event("E_X", f"memory:{name}", expire)
        clock.advance(91)
        source.process_due()
        recorder._memory.when("c", refuse)
        await events.raise_event_and_wait("E_X")
        recorder._memory.when("c", None)
        await events.raise_event_and_wait("E_X")
        await recorder.events()
        source.reconfigure(Options(notice_s=32, settle_s=2.0))
        source.process_due()
        clock.advance(7)
        source.process_due()
        told = [(name, params["socket"]) for name, params in await recorder.events()]
        assert told == [(EXPIRING, "memory:b"), (RECOVERED, "memory:c")]
        events.unsubscribe_event("E_X", "memory:b")
        source.reconfigure(Options(notice_s=80, settle_s=2.0))
        clock.advance(215)
        source.process_due()
        told = [(name, params["socket"]) for name, params in await recorder.events()]
        assert (EXPIRING, "memory:b") not in told
        assert (EXPIRING, "memory:c") not in told
        clock.advance(10)
        source.process_due()
        assert (EXPIRING, "memory:c") in [(name, params["socket"]) for name, params in await recorder.events()]


async def test_reload(tmp_path):
    """The options are taken by a reload, and the leases stay."""
    file = ConfigFile(tmp_path / "evframe.toml", "lease-events")
    async with file.interface() as events:
        source = events.plugin("lease-events")
        file.write("[plugins.lease-events]\nnotice_s = 5\nsettle_s = 1.5\n")
        assert events.reload().plugins == ["lease-events"]
        assert events.plugin("lease-events") is source
        assert (source._notices.notice_s, source._troubles.settle_s) == (5, 1.5)


async def test_what_is_configured():
    """What exists when the interface is entered raises no event, but its end does."""
    clock = FakeClock()
    recorder = recorder_of(clock, notice_s=10)
    recorder.interface.register_event("E_X")
    recorder.interface.subscribe_event("E_X", "memory:a", 100)
    async with recorder:
        clock.advance(91)
        recorder.plugin("lease-events").process_due()
        assert await recorder.events() == [(EXPIRING, lease("E_X", "memory:a", 100, ttl=9))]


async def test_about_themselves():
    """Leases on these events raise none, however they change."""
    clock = FakeClock()
    async with recorder_of(clock) as recorder:
        for event in OWN:
            recorder.interface.subscribe_event(event, "memory:a", 100)
            recorder.interface.subscribe_event(event, "memory:a", 100)
            recorder.interface.subscribe_event(event, "memory:b", 10)
            recorder.interface.unsubscribe_event(event, "memory:a")
        for _ in range(100):
            clock.advance(1)
            recorder.plugin("lease-events").process_due()
            recorder.interface.expire()
        assert await recorder.events() == []


async def test_a_listener_in_the_process():
    """A consumer without a lease gets them too, without any call."""
    clock = FakeClock()
    plugins = {"memory": MemoryTransport(), "lease-events": LeaseEvents(clock=clock)}
    async with evframe.EventInterface(plugins=plugins, clock=clock) as events, asyncio.timeout(20):
        events.register_event("E_X")
        events.subscribe_event("E_X", "memory:a", 100)
        clock.advance(80)
        event = await events.wait_for_event(EXPIRING)
        assert event.params == lease("E_X", "memory:a", 100, ttl=20)


async def test_nobody_asks():
    """While there is no subscriber nothing is kept, and what was kept goes with the last subscriber."""
    clock = FakeClock()
    source = LeaseEvents(clock=clock)
    memory = MemoryTransport()
    async with evframe.EventInterface(plugins={"memory": memory, "lease-events": source}, clock=clock) as events:
        events.register_event("E_X")
        for number in range(50):
            events.subscribe_event("E_X", f"memory:{number}", 100)
        memory.when("0", refuse)
        await events.raise_event_and_wait("E_X")
        source.process_due()
        assert (len(source._notices), len(source._troubles)) == (0, 0)

        events.subscribe_event(EXPIRING, "memory:boss")
        source.process_due()
        assert len(source._notices) == 50
        events.subscribe_event("E_X", "memory:new", 100)
        events.unsubscribe_event("E_X", "memory:1")
        assert len(source._notices) == 50
        events.unsubscribe_event(EXPIRING, "memory:boss")
        source.process_due()
        assert len(source._notices) == 0


async def test_deliveries():
    """That deliveries fail raises one event, and that they work again another one after a while; a subscriber that is gone does not recover."""
    clock = FakeClock()
    async with recorder_of(clock, settle_s=5.0) as recorder:
        source, events, memory = recorder.plugin("lease-events"), recorder.interface, recorder._memory
        events.register_event("E_X")
        events.subscribe_event("E_X", "memory:a")
        events.subscribe_event("E_X", "memory:b")
        await recorder.events()
        memory.when("a", refuse)
        memory.when("b", refuse)
        await events.raise_event_and_wait("E_X")
        await events.raise_event_and_wait("E_X")
        memory.when("a", None)
        memory.when("b", None)
        events.unsubscribe_event("E_X", "memory:b")
        await events.raise_event_and_wait("E_X")
        clock.advance(4)
        source.process_due()
        clock.advance(1)
        source.process_due()
        told = await recorder.events()
        assert sorted(told[:2], key=str) == [
            (FAILING, {"socket": "memory:a", "reason": "bad"}),
            (FAILING, {"socket": "memory:b", "reason": "bad"}),
        ]
        assert told[2:] == [(ENDED, lease("E_X", "memory:b", 0)), (RECOVERED, {"socket": "memory:a"})]
        assert len(source._troubles) == 0


async def test_the_subscriber_that_fails():
    """A subscriber that fails gets the events about itself like any other, and that feeds nothing."""
    clock = FakeClock()
    memory = MemoryTransport()
    source = LeaseEvents(Options(settle_s=1.0), clock=clock)
    tried = []
    async with evframe.EventInterface(plugins={"memory": memory, "lease-events": source}, clock=clock) as events:
        events.register_event("E_X")
        for name in ("E_X", *OWN):
            events.subscribe_event(name, "memory:a")

        def every_second(batch):
            for index, event in enumerate(batch.events):
                tried.append(event.name)
                if len(tried) % 2:
                    batch.fail(index, "odd")
            return True

        memory.when("a", every_second)
        for _ in range(50):
            await events.raise_event_and_wait("E_X")
            clock.advance(0.5)
            source.process_due()
        counters = events.statistics[0]
        await until(lambda: not events.subscriptions[0].subscriber.depth)
    assert counters.raised == len(tried)
    assert tried.count(FAILING) == 1
    assert tried.count(RECOVERED) == 0
    assert len(tried) == 51


async def test_who_refreshes_on_every_refresh():
    """A subscriber that answers a refresh with a refresh is ended by the bound of nested events."""
    memory = MemoryTransport()
    plugins = {"memory": memory, "lease-events": LeaseEvents()}
    async with evframe.EventInterface(plugins=plugins) as events:
        events.register_event("E_X")
        events.subscribe_event("E_X", "memory:a", 100)
        subscriber = events.subscribe_event(REFRESHED, "memory:eager").subscriber

        async def refresh(batch):
            for event in batch.events:
                evframe.depth.set(event.depth + 1)
                events.subscribe_event("E_X", "memory:a", 100)

        memory.when("eager", refresh)
        events.subscribe_event("E_X", "memory:a", 100)
        await until(lambda: subscriber.reasons)
        await until(lambda: not subscriber.depth)
        assert (subscriber.delivered, subscriber.reasons) == (100, {"nesting": 1})


class LeaseEventsMachine(RuleBasedStateMachine):
    """The events against a model: a table of deadlines, and the next event to be raised."""

    notice_s = 5
    keys = st.tuples(st.sampled_from(["E_A", "E_B", MADE, EXPIRING]), st.sampled_from(["memory:a", "memory:b"]))

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.recorder = recorder_of(self.clock, notice_s=self.notice_s)
        self.model = {}
        self.loop.run_until_complete(self.begin())

    async def begin(self):
        await self.recorder.__aenter__()
        for event in ("E_A", "E_B"):
            self.recorder.register_event(event)
        await self.recorder.events()

    def told(self, *expected):
        raised = self.loop.run_until_complete(self.recorder.events())
        assert sorted(raised, key=str) == sorted(((name, params) for name, params in expected), key=str)

    @rule(key=keys, expire_s=st.integers(0, 30))
    def subscribe(self, key, expire_s):
        self.recorder.interface.subscribe_event(*key, expire_s)
        known = self.model.get(key)
        expire_s = expire_s or (known[1] if known else 0)
        deadline = self.clock() + expire_s if expire_s else float("inf")
        self.model[key] = (deadline, expire_s, deadline - min(self.notice_s, expire_s / 4))
        self.told(*[(REFRESHED if known else MADE, lease(*key, expire_s))] * (key[0] not in OWN))

    @rule(key=keys)
    def unsubscribe(self, key):
        known = self.model.pop(key, None)
        assert self.recorder.interface.unsubscribe_event(*key) == bool(known)
        if known and key[0] not in OWN:
            self.told((ENDED, lease(*key, known[1])))
        else:
            self.told()

    @rule(seconds=st.integers(1, 12))
    def wait(self, seconds):
        for _ in range(seconds):
            self.clock.advance(1)
            now = self.clock()
            self.recorder.plugin("lease-events").process_due()
            self.recorder.interface.expire()
            expected = []
            for key, (deadline, expire_s, notice_at) in list(self.model.items()):
                if deadline <= now:
                    del self.model[key]
                    expected.append((EXPIRED, lease(*key, expire_s)))
                elif notice_at <= now:
                    self.model[key] = (deadline, expire_s, float("inf"))
                    expected.append((EXPIRING, lease(*key, expire_s, ttl=int(deadline - now))))
            self.told(*(event for event in expected if event[1]["event"] not in OWN))

    def teardown(self):
        self.loop.run_until_complete(self.recorder.__aexit__(None, None, None))
        self.loop.close()


LeaseEventsMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestLeaseEventsMachine = LeaseEventsMachine.TestCase


@pytest.mark.parametrize("options", [{"notice_s": 0}, {"settle_s": -1.0}])
def test_bad_options(options):
    """An option outside its range is refused by name."""
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}: expected"):
        Options(**options)


async def test_events_that_have_failed_for_good():
    """Each of them raises an event, up to so many a second; the next one says how many raised none."""
    clock = FakeClock()
    async with recorder_of(clock, failed_per_s=2, with_payload=True) as recorder:
        recorder.register_event("E_X")
        recorder.interface.subscribe_event("E_X", "memory:b")
        await recorder.events()
        fail(recorder, 1, 2, 3)
        fail(recorder, 4)
        clock.advance(1)
        fail(recorder, 5)
        meta = {"socket": "memory:b", "event": "E_X", "reason": "rejected", "unreported": 0}
        fail(recorder, 6, event=FAILED, params=meta)
        told = await recorder.events()
    assert [name for name, _ in told] == [FAILED] * 3
    assert [params["unreported"] for _, params in told] == [0, 0, 2]
    assert told[0][1] == {
        "socket": "memory:b",
        "event": "E_X",
        "reason": "rejected",
        "unreported": 0,
        "payload": '{"jsonrpc":"2.0","method":"E_X","params":[1]}',
    }


async def test_the_first_failure_with_its_payload():
    """With the option, the event of deliveries that begin to fail has the event that failed first."""
    clock = FakeClock()
    async with recorder_of(clock, with_payload=True) as recorder:
        recorder.register_event("E_X")
        recorder.interface.subscribe_event("E_X", "memory:b")
        recorder._memory.when("b", refuse)
        await recorder.events()
        await recorder.interface.raise_event_and_wait("E_X", [1])
        told = [params for name, params in await recorder.events() if name == FAILING]
    payload = '{"jsonrpc":"2.0","method":"E_X","params":[1]}'
    assert told == [{"socket": "memory:b", "reason": "bad", "event": "E_X", "payload": payload}]
