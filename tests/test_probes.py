"""Probes: a target that cannot be reached is known at the start and while it is idle, and no event pays for it."""

import asyncio
import gc
import logging
import weakref

import pytest

import evframe
from evframe.config import Config, CoreOptions, SubscriptionOptions, parse_config
from evframe.delivery.nesting import delivering
from evframe.delivery.probes import MOST
from evframe.delivery.scheduler import Scheduler
from evframe.testing import MemoryTransport, until


class Asked(MemoryTransport):
    """Keeps what it is given; its peers are as a test has said, and each batch is noted."""

    def __init__(self):
        super().__init__()
        self.problems = {}
        self.batches = []
        self.open = self.most_open = 0
        self.gate = None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        if type(socket).__name__ != "MemorySocket":
            return None
        return self._deliver(socket, batch)

    async def _deliver(self, socket, batch):
        self.batches.append((socket.name, len(batch.events)))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.gate is not None:
                await self.gate.wait()
            problem = self.problems.get(socket.name)
            if problem is not None:
                raise problem
            self.delivered.setdefault(socket.name, []).extend(batch.events)
        finally:
            self.open -= 1


def interface(transport, *names, **core):
    subscriptions = [SubscriptionOptions(event="E_A", socket=f"memory:{name}") for name in names]
    return evframe.EventInterface(
        Config(core=CoreOptions(**core), subscriptions=subscriptions), plugins={"memory": transport}
    )


def states(events):
    return {lease.subscriber.socket.canonical: events.state(lease) for lease in events.subscriptions}


async def test_a_configured_target_that_cannot_be_reached_is_one_line_at_the_start(caplog):
    """Nothing is raised: each problem is a line with its reason, and the listing has the state of each target."""
    transport = Asked()
    transport.problems = {"gone": evframe.Unavailable("refused"), "no": evframe.Rejected("access_refused")}
    events = interface(transport, "here", "gone", "no")
    assert states(events) == {"memory:here": "unknown", "memory:gone": "unknown", "memory:no": "unknown"}
    with caplog.at_level(logging.INFO):
        async with events:
            await until(lambda: "unknown" not in states(events).values())
    assert states(events) == {"memory:here": "connected", "memory:gone": "away", "memory:no": "away"}
    lines = [(line.message, line.socket, line.reason) for line in caplog.records if hasattr(line, "socket")]
    assert lines == [
        ("a subscriber is away", "memory:gone", "refused"),
        ("a subscriber is away", "memory:no", "access_refused"),
    ]
    assert [count for _, count in transport.batches] == [0, 0, 0]
    assert {(each.raised, each.failed) for each in events.statistics} == {(0, 0)}


async def test_an_idle_target_is_probed_and_one_with_events_is_not():
    """What goes away and comes back without an event is known after `probe_idle_s`; a busy subscriber needs no probe."""
    transport = Asked()
    events = interface(transport, "idle", probe_idle_s=0.02)
    async with events:
        await until(lambda: states(events) == {"memory:idle": "connected"})
        transport.problems["idle"] = evframe.Unavailable("reset")
        await until(lambda: states(events) == {"memory:idle": "away"})
        del transport.problems["idle"]
        await until(lambda: states(events) == {"memory:idle": "connected"})
        events.subscribe_event("E_A", "memory:client")
        await until(lambda: ("client", 0) in transport.batches)


async def test_never():
    """With `probe_idle_s = 0` nothing is probed, at the start neither."""
    transport = Asked()
    async with interface(transport, "here", probe_idle_s=0.0) as events:
        await events.raise_event_and_wait("E_A")
    assert transport.batches == [("here", 1)]


async def test_events_raised_during_a_probe_arrive_in_order():
    """They wait for its end, whatever that is; none is lost, none comes twice."""
    transport = Asked()
    transport.gate = asyncio.Event()
    transport.problems["here"] = evframe.Unavailable("refused")
    events = interface(transport, "here")
    async with events:
        await until(lambda: transport.batches)
        for number in range(100):
            events.raise_event("E_A", {"n": number})
        for _ in range(5):
            await asyncio.sleep(0)
        assert transport.batches == [("here", 0)]
        transport.gate.set()
        await until(lambda: len(transport.batches) > 1)
        del transport.problems["here"]
        await until(lambda: events.statistics[0].delivered == 100)
        assert states(events) == {"memory:here": "connected"}
    assert [event["n"] for event in transport.delivered["here"]] == list(range(100))


async def test_a_lease_that_ends_during_its_probe_is_released_at_once():
    """The probe is cancelled: the end of a subscription never waits for a peer that does not answer."""
    transport = Asked()
    transport.gate = asyncio.Event()
    async with interface(transport, "here", drain_timeout_s=60.0) as events:
        await until(lambda: transport.batches)
        events.unsubscribe_event("E_A", "memory:here")
        await until(lambda: transport.released == ["here"], 10.0)


async def test_probes_are_no_burst(monkeypatch):
    """Each takes a turn of the budget of retries, and a bounded number is under way, however many targets there are."""
    turns = []
    probe = Scheduler.probe

    def counted(self, subscriber, question):
        turns.append(self.retries._retries._budget)
        return probe(self, subscriber, question)

    monkeypatch.setattr(Scheduler, "probe", counted)
    transport = Asked()
    transport.gate = asyncio.Event()
    async with interface(transport, *(f"n{number}" for number in range(3 * MOST)), retries_per_s=10_000) as events:
        await until(lambda: transport.open == MOST)
        transport.gate.set()
        await until(lambda: set(states(events).values()) == {"connected"})
    assert transport.most_open == MOST
    assert len(turns) == 3 * MOST
    assert min(turns) >= 0, "a probe was made beyond the budget"


async def test_a_reload_probes_what_it_subscribes(installed, tmp_path):
    """A subscription that a reload brings is probed as one of the start is."""
    from evframe.testing import ConfigFile

    file = ConfigFile(tmp_path / "evframe.toml", "memory")
    async with file.interface() as events:
        file.write("[[subscriptions]]\nevent = 'E_A'\nsocket = 'memory:a'\n")
        events.reload()
        await until(lambda: states(events) == {"memory:a": "connected"})


@pytest.mark.parametrize("socket", ["udp:127.0.0.1:9", "udp:[::1]:9"])
async def test_a_protocol_without_connections_stays_unknown(socket):
    """A datagram tells nothing about its reader, even one that was sent."""
    text = f"[plugins]\ndisable = ['mi-http', 'core-events']\n[[subscriptions]]\nevent = 'E_A'\nsocket = '{socket}'\n"
    async with evframe.EventInterface(parse_config(text)) as events:
        await events.raise_event_and_wait("E_A")
        assert list(states(events).values()) == ["unknown"]


async def test_a_probe_runs_as_a_delivery_does():
    """What a transport keeps of the context at its first call is that of deliveries."""
    seen = []

    class Seeing(Asked):
        @evframe.hookimpl
        def deliver(self, socket, batch):
            seen.append((len(batch.events), delivering.get()))
            return True

    async with interface(Seeing(), "here") as events:
        await until(lambda: seen)
        await events.raise_event_and_wait("E_A")
    assert seen == [(0, True), (1, True)]


async def test_a_subscriber_is_released_when_probes_were_switched_off():
    """With `probe_idle_s` set to 0 by a reload, nothing keeps the subscribers that had been idle before."""
    transport = Asked()
    async with asyncio.timeout(30), interface(transport, "here", probe_idle_s=0.02) as events:
        socket = weakref.ref(events.subscribe_event("E_A", "memory:client").subscriber.socket)
        await until(lambda: ("client", 0) in transport.batches)
        events._configure(CoreOptions(probe_idle_s=0.0))
        events.unsubscribe_event("E_A", "memory:client")
        await until(lambda: transport.released)
        gc.collect()
        assert socket() is None
