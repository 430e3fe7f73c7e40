"""The hooks that tell plugins what happens."""

import asyncio
from types import SimpleNamespace

import attrs
import pytest

import evframe
from evframe.exceptions import Rejected, Unavailable
from evframe.plugin import StatisticGroup
from evframe.testing import FakeClock, MemoryTransport, Recorder, until


class Hears:
    """A plugin for the tests: keeps what it is told."""

    def __init__(self):
        self.leases = []
        self.deliveries = []
        self.statuses = []
        self.connections = []

    @evframe.hookimpl
    def register_events(self, collector):
        collector.add("E_QUIET", {"n": int}, is_meta=True)
        collector.add("E_LOUD", {"n": int})

    @evframe.hookimpl
    def loaded(self, context):
        self.context = context

    @evframe.hookimpl
    def lease_changed(self, lease, change):
        self.leases.append((lease.event.name, lease.subscriber.socket.canonical, change))

    @evframe.hookimpl
    def delivery_changed(self, socket, reason):
        self.deliveries.append((socket.canonical, reason))

    @evframe.hookimpl
    def status_changed(self, change):
        self.statuses.append(change)

    @evframe.hookimpl
    def connection_closed(self, peer, protocol):
        self.connections.append((peer, protocol))


class Workers:
    """A plugin for the tests, with workers."""

    kind = "ROUTE"

    @evframe.hookimpl
    def worker_groups(self):
        return [self]


async def test_leases():
    """A lease is told of when it is made, refreshed, expired and ended."""
    clock, hears = FakeClock(), Hears()
    async with evframe.EventInterface(plugins={"memory": MemoryTransport(), "hears": hears}, clock=clock) as events:
        events.subscribe_event("E_LOUD", "memory:a", 10)
        events.subscribe_event("E_LOUD", "memory:a", 10)
        clock.advance(11)
        events.expire()
        events.subscribe_event("E_LOUD", "memory:b")
        events.unsubscribe_event("E_LOUD", "memory:b")
    assert hears.leases == [
        ("E_LOUD", "memory:a", "made"),
        ("E_LOUD", "memory:a", "refreshed"),
        ("E_LOUD", "memory:a", "expired"),
        ("E_LOUD", "memory:b", "made"),
        ("E_LOUD", "memory:b", "ended"),
    ]


@pytest.mark.parametrize(("error", "reason"), [(Unavailable("refused"), "refused"), (Rejected("bad"), "bad")])
async def test_deliveries(error, reason):
    """That deliveries fail, and work again, is told once each."""
    hears, memory = Hears(), MemoryTransport()

    def fails(_):
        raise error

    async with evframe.EventInterface(plugins={"memory": memory, "hears": hears}) as events:
        events.subscribe_event("E_LOUD", "memory:a")
        memory.when("a", fails)
        for number in range(3):
            events.raise_event("E_LOUD", {"n": number})
            await until(lambda: hears.deliveries)
        memory.when("a", None)
        events.raise_event("E_LOUD", {"n": 3})
        await until(lambda: len(hears.deliveries) == 2)
    assert hears.deliveries == [("memory:a", reason), ("memory:a", None)]


async def test_quiet_events_change_nothing():
    """Events that tell about deliveries are not told about: they cannot feed themselves."""
    hears, memory = Hears(), MemoryTransport()

    def fails(_):
        raise Rejected("bad")

    memory.when("a", fails)
    async with evframe.EventInterface(plugins={"memory": memory, "hears": hears}) as events:
        events.subscribe_event("E_QUIET", "memory:a")
        await events.raise_event_and_wait("E_QUIET", {"n": 1})
    assert hears.deliveries == []


async def test_statuses():
    """A status that changes is told of; the core has one of its own."""
    hears = Hears()
    async with Recorder({"hears": hears}):
        group = hears.context.status.group("hears")
        group.add("Main", status=0)
        group.set_status(1)
        group.set_status(2, "busy")
    assert [attrs.astuple(change) for change in hears.statuses] == [
        ("core", "main", -1, "initializing", -100),
        ("core", "main", 1, "running", -1),
        ("hears", "Main", 2, "busy", 1),
    ]


async def test_workers_and_connections():
    """Groups of workers are found, and a closed connection is told of."""
    hears, workers = Hears(), Workers()
    async with Recorder({"hears": hears, "workers": workers}):
        assert hears.context.plugins.worker_groups() == [workers]
        hears.context.connection_closed(("192.0.2.1", 1), ("192.0.2.2", 2), "tcp")
    hears.context.connection_closed(("192.0.2.1", 3), ("192.0.2.2", 2), "tcp")  # it is left: nobody is told
    assert hears.connections == [(("192.0.2.1", 1), "tcp")]


def test_listener_that_raises_is_logged(caplog):
    """An error of one plugin that is told does not keep it from the others."""

    class Broken:
        @evframe.hookimpl
        def lease_changed(self):
            raise RuntimeError("broken")

    hears = Hears()
    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), "hears": hears, "broken": Broken()})
    events.subscribe_event("E_LOUD", "memory:a")
    assert hears.leases == [("E_LOUD", "memory:a", "made")]
    assert caplog.records[0].plugin == "broken"


@pytest.mark.parametrize("is_old", [False, True])
async def test_wrappers_round_hooks_that_report(caplog, is_old):
    """A wrapper of either kind is round each implementation of a hook that reports or asks, and is not one itself."""

    class Wraps:
        calls = ()

        @evframe.hookimpl(hookwrapper=is_old, wrapper=not is_old)
        def lease_changed(self, change):
            self.calls += (change,)
            return (yield)

        @evframe.hookimpl(hookwrapper=is_old, wrapper=not is_old)
        def worker_groups(self):
            return (yield)

        @evframe.hookimpl(hookwrapper=is_old, wrapper=not is_old)
        def describe(self):
            result = yield
            return result if is_old else {**(result or {}), "wrapped": True}

        @evframe.hookimpl(hookwrapper=is_old, wrapper=not is_old)
        def stop(self):
            self.calls += ("stop",)
            return (yield)

    class Stops(Workers):
        stopped = False

        @evframe.hookimpl
        def describe(self):
            return {"of": "workers"}

        async def _leave(self):
            self.stopped = True

        @evframe.hookimpl
        def stop(self):
            return self._leave()

    hears, wraps, workers = Hears(), Wraps(), Stops()
    plugins = {"memory": MemoryTransport(), "hears": hears, "workers": workers}
    async with evframe.EventInterface(plugins=plugins) as events:
        events.plugins.register(wraps)
        events.subscribe_event("E_LOUD", "memory:a")
        assert events.plugins.worker_groups() == [workers]
        assert events.describe("memory:a") == {"of": "workers"} | ({} if is_old else {"wrapped": True})
    assert hears.leases == [("E_LOUD", "memory:a", "made")]
    assert wraps.calls == ("made", "stop")
    assert workers.stopped
    assert caplog.records == []


def test_tryfirst_is_notified_first():
    """A notification reaches plugins in the order of their loading, those with `tryfirst` before all others."""
    order = []

    def observer(name, **options):
        def lease_changed(change):
            order.append(name)

        return SimpleNamespace(lease_changed=evframe.hookimpl(**options)(lease_changed))

    plugins = {
        "memory": MemoryTransport(),
        "last": observer("last", trylast=True),
        "one": observer("one"),
        "two": observer("two"),
        "first": observer("first", tryfirst=True),
    }
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:a")
    assert order == ["first", "one", "two", "last"]


async def test_a_subscriber_is_released_after_its_last_lease(memory):
    """`subscriber_released` follows `lease_changed` of the last lease, and the hooks of the transport follow it."""
    order = []

    class Observer:
        @evframe.hookimpl
        def lease_changed(self, lease, change):
            order.append((change, lease.subscriber.socket.canonical))

        @evframe.hookimpl
        def subscriber_released(self, subscriber):
            order.append(("released", subscriber.socket.canonical, list(memory.released)))

    async with evframe.EventInterface(plugins={"memory": memory, "observer": Observer()}) as events:
        events.register_event("E_A")
        events.register_event("E_B")
        for name in ("E_A", "E_B"):
            events.subscribe_event(name, "memory:a")
        order.clear()
        for name in ("E_A", "E_B"):
            events.unsubscribe_event(name, "memory:a")
        await until(lambda: memory.released)
    assert order == [("ended", "memory:a"), ("ended", "memory:a"), ("released", "memory:a", [])]


async def test_plugins_stop_in_the_reverse_order_of_their_start():
    """The plugin that was loaded last stops first; counters are listed in the order of loading."""
    order = []

    class Plugin:
        def __init__(self, name):
            self.name = name

        @evframe.hookimpl
        def start(self):
            order.append(f"start {self.name}")

        @evframe.hookimpl
        def stop(self):
            order.append(f"stop {self.name}")

        @evframe.hookimpl
        def statistics(self):
            return [StatisticGroup(self.name, {})]

    async with evframe.EventInterface(plugins={name: Plugin(name) for name in "abc"}) as events:
        assert [group.name for group in events.plugins.statistics()] == ["a", "b", "c"]
    assert order == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


class Prepares:
    """Has something to be waited for before the plugins start."""

    def __init__(self, error=None):
        self.gate = asyncio.Event()
        self.error = error
        self.calls = []

    @evframe.hookimpl
    def prepare(self):
        self.calls.append("prepare")
        return self.wait()

    async def wait(self):
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.calls.append("prepared")

    @evframe.hookimpl
    def start(self):
        self.calls.append("start")

    @evframe.hookimpl
    def stop(self):
        self.calls.append("stop")


async def test_what_is_prepared_is_over_before_any_plugin_starts():
    """The awaitables of `prepare` end before the first `start`, while subscribers are served."""
    first, second, memory = Prepares(), Prepares(), MemoryTransport()
    plugins = {"memory": memory, "first": first, "second": second}
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_T")
    events.subscribe_event("E_T", "memory:a")
    entered = asyncio.ensure_future(events.__aenter__())
    await until(lambda: first.calls == second.calls == ["prepare"])
    first.gate.set()
    events.raise_event("E_T", [1])
    await until(lambda: memory.delivered.get("a") and first.calls == ["prepare", "prepared"])
    assert not entered.done()
    second.gate.set()
    await entered
    await events.__aexit__(None, None, None)
    assert first.calls == second.calls == ["prepare", "prepared", "start", "stop"]


async def test_an_error_of_the_preparation_ends_the_start():
    """What cannot be prepared is an error of the start, after which the plugins are stopped."""
    plugin = Prepares(OSError("no disk"))
    plugin.gate.set()
    with pytest.raises(OSError, match="no disk"):
        async with evframe.EventInterface(plugins={"plugin": plugin}):
            raise AssertionError("it was entered")
    assert plugin.calls == ["prepare", "stop"]
