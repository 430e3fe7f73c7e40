"""Slow operations: deliveries, calls of code, turns of the loop."""

import asyncio
import threading
import time

import pytest
from evframe_core_events import CoreEvents, Options
from evframe_core_events.timing import SlowOperations

import evframe
from evframe.exceptions import Rejected
from evframe.testing import FakeClock, MemorySocket, MemoryTransport, Recorder, until

SLOW = "E_CORE_THRESHOLD"


class CodeSocket(MemorySocket):
    """``code:name``."""

    @property
    def canonical(self):
        return f"code:{self.name}"


class Code:
    """A transport for the tests that runs code for each event, as that of routes does."""

    def __init__(self, call):
        self.call = call

    @evframe.hookimpl
    def loaded(self, context):
        self.context = context

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return CodeSocket(rest) if scheme == "code" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        call = self.context.call_limit.timed(socket.name, self.call)
        for event in batch.events:
            token = evframe.depth.set(event.depth + 1)
            call(event)
            evframe.depth.reset(token)
        return True


async def later(error=None):
    await asyncio.sleep(0.02)
    if error is not None:
        raise error


def future(_):
    done = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.02, done.set_result, None)
    return done


def blocking(error=None):
    time.sleep(0.02)
    if error is not None:
        raise error
    return True


async def slow_events(recorder, extra):
    """Return the parameters of the next E_CORE_THRESHOLD, at least one, with a certain *extra*."""
    found = []
    async with asyncio.timeout(30):
        while not found:
            found = [params for name, params in await recorder.events() if name == SLOW and extra in params["extra"]]
            await asyncio.sleep(0)
    return found


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (lambda _: later(), None),
        (lambda _: asyncio.create_task(later()), None),
        (future, None),
        (lambda _: blocking(), None),
        (lambda _: blocking(Rejected("bad")), "bad"),
        (lambda _: later(Rejected("bad")), "bad"),
    ],
)
async def test_slow_delivery(behaviour, reason):
    """A batch is measured from its delivery to its outcome, whatever the transport returns; its outcome is the same."""
    async with Recorder({"core-events": CoreEvents(Options(delivery_threshold_us=10_000))}) as recorder:
        recorder._memory.when("a", behaviour)
        recorder.interface.register_event("E_TEST")
        recorder.interface.subscribe_event("E_TEST", "memory:a")
        (outcome,) = await recorder.interface.raise_event_and_wait("E_TEST", {"n": 1})
        (params,) = await slow_events(recorder, "memory:a")
    assert outcome.reason == reason
    assert (params["source"], params["extra"]) == ("delivery", "memory:a 1 events, first E_TEST")
    assert params["time"] > 10_000


async def test_quick_delivery_is_not_reported():
    """A batch within the limit is not reported, nor is one that was given up."""
    events = evframe.EventInterface(
        evframe.Config(core=evframe.config.CoreOptions(drain_timeout_s=0.0)),
        plugins={"memory": MemoryTransport(), "core-events": CoreEvents(Options(delivery_threshold_us=60_000_000))},
    )
    async with events:
        events.register_event("E_TEST")
        events.plugin("memory").when("stuck", lambda _: asyncio.get_running_loop().create_future())
        events.subscribe_event(SLOW, "memory:told")
        events.subscribe_event("E_TEST", "memory:a")
        events.subscribe_event("E_TEST", "memory:stuck")
        events.raise_event("E_TEST")
        await until(lambda: "a" in events.plugin("memory").delivered)
    assert "told" not in events.plugin("memory").delivered


async def test_without_a_limit_nothing_is_measured():
    """A limit that is off costs a delivery nothing: no batch is observed, and no call is measured."""
    for options, count in ((Options(), 0), (Options(delivery_threshold_us=1), 1)):
        plugins = {"memory": MemoryTransport(), "core-events": CoreEvents(options)}
        async with evframe.EventInterface(plugins=plugins) as events:
            assert len(events._roster.scheduler._observers) == count
            assert events.composition.call_limit.timed("x", print) is print
        assert events._roster.scheduler._observers == []


async def test_slow_call():
    """A call of code for an event is reported with the event."""
    code = Code(lambda event: time.sleep(event.get("s")))
    plugins = {"core-events": CoreEvents(Options(exec_route_threshold_us=50_000)), "code": code}
    async with Recorder(plugins) as recorder:
        recorder.interface.register_event("E_TEST")
        recorder.interface.subscribe_event("E_TEST", "code:mine")
        recorder.interface.raise_event("E_TEST", {"s": 0.06})
        (params,) = await slow_events(recorder, '"s":0.06')
    assert params["source"] == "event route"
    assert params["extra"] == 'route:mine {"jsonrpc":"2.0","method":"E_TEST","params":{"s":0.06}}'
    assert params["time"] > 50_000


@pytest.mark.parametrize("limit", ["exec_route_threshold_us", "delivery_threshold_us", "loop_lag_threshold_us"])
async def test_slow_handler_of_the_event_itself(limit):
    """What handles the event slowly, and holds the loop up meanwhile, does not bring about the next one."""
    calls = []

    def slow(event):
        calls.append(event.get("source"))
        time.sleep(0.15)

    plugins = {"core-events": CoreEvents(Options(**{limit: 100_000})), "code": Code(slow), "memory": MemoryTransport()}
    async with evframe.EventInterface(plugins=plugins) as events:
        events.subscribe_event(SLOW, "code:mine")
        events.raise_event(SLOW, {"source": "test", "time": 1, "extra": ""})
        await until(lambda: calls)
        await asyncio.sleep(0.6)
        count = len(calls)
    # The loop's own watch reports what held it up first, and then waits for the handler of that.
    assert calls[0] == "test"
    assert count <= 2


async def test_chain_ends_with_nesting():
    """A handler that raises another slow event is stopped at the nesting limit."""
    calls = []

    def slow(event):
        calls.append(event.name)
        if event.name == SLOW:
            events.raise_event("E_TEST")
        else:
            time.sleep(0.002)

    plugins = {"core-events": CoreEvents(Options(exec_route_threshold_us=1_000)), "code": Code(slow)}
    config = evframe.Config(core=evframe.config.CoreOptions(max_nesting=6))
    async with evframe.EventInterface(config, plugins=plugins) as events:
        events.register_event("E_TEST")
        for name in ("E_TEST", SLOW):
            events.subscribe_event(name, "code:mine")
        events.raise_event("E_TEST")
        await until(lambda: any(counters.reasons.get("nesting") for counters in events.statistics))
    assert calls == ["E_TEST", SLOW] * 3


async def test_loop_that_is_held_up():
    """A loop that does something else for longer than the limit is reported."""
    async with Recorder({"core-events": CoreEvents(Options(loop_lag_threshold_us=50_000))}) as recorder:
        await asyncio.sleep(0.03)  # the watch is under way
        time.sleep(0.2)
        params = (await slow_events(recorder, ""))[0]
    assert (params["source"], params["extra"]) == ("event loop", "")
    assert params["time"] > 50_000


async def test_operation_of_somebody_else():
    """Code that measures something can report it, from any thread."""
    async with Recorder({"core-events": CoreEvents()}) as recorder:
        source = recorder.plugin("core-events")
        thread = threading.Thread(target=source.report_slow, args=("pgsql query", 0.25, "select 1"))
        thread.start()
        thread.join()
        (params,) = await slow_events(recorder, "select")
    assert params == {"source": "pgsql query", "time": 250_000, "extra": "select 1"}


def test_log_line_for_each_kind(caplog):
    """Slow operations are logged, one of a kind every ten seconds, and each of them is raised."""
    clock, raised = FakeClock(), []
    slow = SlowOperations(lambda name, params: raised.append(name), clock)
    for source in ("dns", "dns", "query"):
        slow.report(source, 1.0, "")
    clock.advance(10)
    slow.report("dns", 1.0, "")
    assert [record.source for record in caplog.records] == ["dns", "query", "dns"]
    assert raised == [SLOW] * 4
