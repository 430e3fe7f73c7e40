"""Routes: what they are called with, in which order, and the outcome of their errors."""

import asyncio
import contextvars
import threading
import time

import pytest
from evframe_route import Options, RouteTransport

import evframe
from evframe.config import parse_config
from evframe.delivery.nesting import delivering
from evframe.testing import until


def compose(**options):
    routes = RouteTransport(Options(**options))
    return evframe.EventInterface(plugins={"route": routes}), routes


async def finished(events):
    while any(counters.depth for counters in events.statistics):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("kind", ["async", "waiting", "plain", "inline"])
async def test_every_kind_in_order(kind):
    """A route gets every event in the order of raising, with parameters by name and 1-based index."""
    events, routes = compose()
    got = []

    async def quick(event):
        got.append((event.get("number"), event.get(1), event.get(2)))

    async def waiting(event):
        await asyncio.sleep(0)
        await quick(event)

    def plain(event):
        got.append((event["number"], event[1], event.get("missing")))

    routes.add("E_R", {"async": quick, "waiting": waiting}.get(kind, plain), inline=kind == "inline")
    async with events:
        for number in range(3000):
            events.raise_event("E_R", {"number": number})
        await finished(events)

    assert got == [(number, number, None) for number in range(3000)]
    assert events.statistics[0].delivered == 3000


@pytest.mark.parametrize("kind", ["async", "waiting", "plain", "inline"])
async def test_error_is_an_outcome(kind, caplog):
    """A route that raises fails that event only, and the log has its traceback once."""
    events, routes = compose()

    def plain(event):
        if event.get("bad"):
            raise RuntimeError("broken route")

    async def quick(event):
        plain(event)

    async def waiting(event):
        await asyncio.sleep(0)
        plain(event)

    routes.add("E_R", {"async": quick, "waiting": waiting}.get(kind, plain), inline=kind == "inline")
    async with events:
        reasons = [(await events.raise_event_and_wait("E_R", {"bad": bad}))[0].reason for bad in (0, 1, 1, 0)]

    assert reasons == [None, "route_error", "route_error", None]
    assert caplog.text.count("broken route") == 2  # the message and its last line: one record


class Own(BaseException):
    """An exception of a route that is no Exception."""


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, Own])
@pytest.mark.parametrize("kind", ["async", "waiting", "plain", "inline"])
async def test_a_route_that_exits_fails_its_event(kind, error):
    """A route that raises SystemExit, or whatever else, fails that event only, in one batch with others too."""
    events, routes = compose()
    got = []

    def plain(event):
        got.append(event.get("n"))
        if event.get("n") == 1:
            raise error("of the route")

    async def quick(event):
        plain(event)

    async def waiting(event):
        await asyncio.sleep(0)
        plain(event)

    routes.add("E_R", {"async": quick, "waiting": waiting}.get(kind, plain), inline=kind == "inline")
    async with events:
        for n in range(4):
            events.raise_event("E_R", {"n": n})
        report = await events.raise_event_and_wait("E_R", {"n": 4})
        assert [outcome.reason for outcome in report] == [None]
        assert events.statistics[0].reasons == {"route_error": 1}

    assert got == list(range(5))


@pytest.mark.parametrize("error", ["SystemExit", "KeyboardInterrupt", "GeneratorExit"])
def test_a_module_that_exits_is_a_problem(tmp_path, monkeypatch, error):
    """A module of a route whose import raises anything is a problem of the configuration."""
    (tmp_path / f"exits_{error.lower()}.py").write_text(f"raise {error}\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(evframe.ConfigError, match=rf"routes.E_R: .*{error}"):
        RouteTransport(RouteTransport.Options({"E_R": f"exits_{error.lower()}:f"}))


async def test_plain_route_does_not_stall_the_loop():
    """While a plain route blocks, the loop runs and other routes get their events."""
    events, routes = compose()
    release = threading.Event()
    quick = []
    routes.add("E_SLOW", lambda event: release.wait(30))
    routes.add("E_QUICK", quick.append)
    async with events:
        events.raise_event("E_SLOW")
        await events.raise_event_and_wait("E_QUICK")
        release.set()
        await finished(events)

    assert len(quick) == 1
    assert [counters.failed for counters in events.statistics] == [0, 0, 0]


@pytest.mark.parametrize("plain", [True, False])
async def test_timeout(plain):
    """A call that takes too long is counted as timeout; the events after it still arrive."""
    events, routes = compose(timeout_s=0.05)
    release = threading.Event()
    got = []

    def block(event):
        if event.get(1) == 0:
            release.wait(30)
        got.append(event.get(1))

    async def wait(event):
        if event.get(1) == 0:
            await asyncio.Event().wait()
        got.append(event.get(1))

    routes.add("E_R", block if plain else wait)
    async with events:
        first = asyncio.create_task(events.raise_event_and_wait("E_R", [0]))
        second = asyncio.create_task(events.raise_event_and_wait("E_R", [1]))
        assert (await first)[0].reason == "timeout"
        release.set()
        assert (await second)[0].delivered

    assert got[-1] == 1


async def test_cancelled_error_of_a_route():
    """A route that ends with CancelledError fails its event and no other."""
    events, routes = compose()

    async def route(event):
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    routes.add("E_R", route)
    async with events:
        assert (await events.raise_event_and_wait("E_R"))[0].reason == "route_error"


@pytest.mark.parametrize("kind", ["async", "plain", "inline"])
async def test_nested_raises_end_q21(kind):
    """A route that raises its own event is stopped at the nesting limit and counted."""
    events, routes = compose()
    calls = []

    def plain(event):
        calls.append(event.depth)
        events.raise_event("E_R")

    async def quick(event):
        plain(event)

    routes.add("E_R", quick if kind == "async" else plain, inline=kind == "inline")
    async with events:
        events.raise_event("E_R")
        while not events.statistics[0].failed:
            await asyncio.sleep(0.001)

    assert calls == list(range(100))
    assert events.statistics[0].reasons == {"nesting": 1}


async def test_subscribe_any_event_to_a_route_q4():
    """Q-4: other events can be subscribed to a route, twice is once, and a lease on a route ends."""
    now = [0.0]
    routes = RouteTransport()
    events = evframe.EventInterface(plugins={"route": routes}, clock=lambda: now[0])
    got = []
    routes.add("my_rt", got.append, inline=True)
    events.register_event("E_A")
    events.subscribe_event("E_A", "route:my_rt", 10)
    events.subscribe_event("E_A", "route:my_rt", 10)
    async with events:
        await events.raise_event_and_wait("E_A", [1])
        now[0] = 11.0
        events.expire()
        assert await events.raise_event_and_wait("E_A", [2]) == []
        assert [lease.event.name for lease in events.subscriptions] == ["my_rt"]
        assert not events.unsubscribe_event("E_A", "route:my_rt")
        assert events.unsubscribe_event("my_rt", "route:my_rt")

    assert got[0].get(1) == 1


@pytest.mark.parametrize("rest", ["nosuch", " my_rt", "MY_RT", ""])
def test_unknown_route(rest):
    """Names that are no route are refused, byte for byte."""
    events, routes = compose()
    routes.add("my_rt", print)
    events.register_event("E_A")

    with pytest.raises(evframe.SocketError, match="expected a route"):
        events.subscribe_event("E_A", f"route:{rest}")


async def test_decorator_after_the_start():
    """A route that is added while the interface runs is subscribed at once."""
    events, routes = compose()
    async with events:

        @routes.route("E_LATE", inline=True)
        def late(event):
            assert event.name == "E_LATE"

        report = await events.raise_event_and_wait("E_LATE")

    assert [(outcome.socket, outcome.reason) for outcome in report] == [("route:E_LATE", None)]


async def test_routes_table(tmp_path, monkeypatch):
    """The table [routes] names the callables, which are subscribed from the start."""
    (tmp_path / "my_routes.py").write_text("got = []\nasync def on_blocked(event):\n    got.append(event.get('ip'))\n")
    monkeypatch.syspath_prepend(tmp_path)
    config = parse_config('[routes]\nE_PIKE_BLOCKED = "my_routes:on_blocked"\n[plugins]\ndisable = ["mi-http"]')
    async with evframe.EventInterface(config) as events:
        report = await events.raise_event_and_wait("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})
    import my_routes

    assert report[0].delivered
    assert my_routes.got == ["192.0.2.1"]


@pytest.mark.parametrize("text", ["nosuch_module_x:f", "os", "os:nosuch", "os:sep", ":f", "os:"])
def test_bad_route_in_the_configuration(text):
    """A callable that cannot be found is a problem with its path."""
    with pytest.raises(evframe.ConfigError, match="^routes.E_X: expected"):
        evframe.EventInterface(parse_config(f'[routes]\nE_X = "{text}"'))


async def test_positions_stay_q28():
    """Q-28: a null parameter keeps its place among the others."""
    events, routes = compose()
    got = []
    routes.add("E_R", lambda event: got.append((event[1], event[2], event[3], event.values)), inline=True)
    async with events:
        await events.raise_event_and_wait("E_R", {"a": 1, "b": None, "c": 3})
        await events.raise_event_and_wait("E_R", [None, None, 3])

    assert got == [(1, None, 3, (1, None, 3)), (None, None, 3, (None, None, 3))]


@pytest.mark.parametrize("kind", ["async", "plain", "inline"])
async def test_state_of_who_raised_q18(kind):
    """Q-18: what a route does to its context does not reach the caller of the raise, and the reverse."""
    state = contextvars.ContextVar("state", default="untouched")
    events, routes = compose()
    seen = []

    def plain(event):
        seen.append(state.get())
        state.set("the route's")

    async def quick(event):
        plain(event)

    routes.add("E_R", quick if kind == "async" else plain, inline=kind == "inline")
    async with events:
        state.set("the caller's")
        await events.raise_event_and_wait("E_R")

    assert state.get() == "the caller's"
    assert evframe.depth.get() == 0
    assert seen == ["untouched"]


async def test_more_routes_than_workers():
    """Routes that need no long share the workers with one that always has something to do, each in its order."""
    events, routes = compose(workers_min=1, workers_max=1)
    got = {"E_BUSY": [], "E_OTHER": []}
    busy = threading.Event()

    def route(event):
        if event.name == "E_BUSY":
            busy.wait(0.002)
        got[event.name].append(event.get(1))

    routes.add("E_BUSY", route)
    routes.add("E_OTHER", route)
    async with events:
        for number in range(1000):
            events.raise_event("E_BUSY", [number])
        await until(lambda: got["E_BUSY"])
        for number in range(10):
            events.raise_event("E_OTHER", [number])
        await until(lambda: len(got["E_OTHER"]) == 10)
        before = len(got["E_BUSY"])
        busy.set()
        await finished(events)

    assert before < 1000
    assert got == {"E_BUSY": list(range(1000)), "E_OTHER": list(range(10))}


async def test_waiting_for_a_worker_is_no_timeout():
    """An event waits for a worker for as long as it takes; a worker that a route holds up for good is replaced."""
    events, routes = compose(workers_min=1, workers_max=1, timeout_s=0.1)
    release, got = threading.Event(), []

    @routes.route("E_QUICK")
    def quick(event):
        got.append(event.get(1))

    routes.add("E_STUCK", lambda event: release.wait(30))
    async with events:
        stuck = asyncio.create_task(events.raise_event_and_wait("E_STUCK"))
        await until(lambda: events.statistics[1].depth or events.statistics[0].depth)
        reports = [await events.raise_event_and_wait("E_QUICK", [number]) for number in range(3)]
        assert (await stuck)[0].reason == "timeout"
        release.set()
        await finished(events)

    assert [report[0].reason for report in reports] == [None, None, None]
    assert got == [0, 1, 2]


async def test_routes_keep_their_contexts_apart_q18():
    """Q-18: what a plain route leaves in its context is present at its next event, and in no other route on its thread."""
    state = contextvars.ContextVar("state", default="untouched")
    events, routes = compose(workers_min=1, workers_max=1)
    seen = []

    def plain(event):
        seen.append((event.name, state.get(), evframe.depth.get(), delivering.get()))
        state.set(event.name)

    routes.add("E_A", plain)
    routes.add("E_B", plain)
    async with events:
        for name in ("E_A", "E_B", "E_A"):
            await events.raise_event_and_wait(name)

    assert seen == [("E_A", "untouched", 1, True), ("E_B", "untouched", 1, True), ("E_A", "E_A", 1, True)]


async def test_workers_are_told_of():
    """The threads of plain routes are a group of workers; without such a route there is none."""
    events, routes = compose(workers_min=2, workers_max=3)
    routes.add("E_INLINE", print, inline=True)
    assert events.plugins.worker_groups() == []
    release = threading.Event()
    routes.add("E_R", lambda event: release.wait(30))
    (group,) = events.plugins.worker_groups()
    async with events:
        group.load_percent()
        events.raise_event("E_R")
        await until(lambda: group.load_percent() > 0)
        assert (group.kind, group.filter, group.size, group.bounds) == ("ROUTE", "none", 2, (2, 3))
        assert group.grow() == 3
        release.set()


@pytest.mark.parametrize(("smallest", "largest"), [(0, 1), (3, 2)])
def test_bad_bounds(smallest, largest):
    """The bounds of the workers are checked."""
    with pytest.raises(ValueError, match="^workers_m.*: expected"):
        Options(workers_min=smallest, workers_max=largest)


@pytest.mark.parametrize("kind", ["async", "plain", "inline"])
async def test_slow_calls_are_told(kind):
    """A call that takes longer than the limit which is set is reported, in its depth."""
    events, routes = compose()
    told = []

    def plain(event):
        time.sleep(event.get(1))

    async def quick(event):
        plain(event)

    routes.add("E_R", quick if kind == "async" else plain, inline=kind == "inline")
    limit = events.composition.call_limit
    limit.set(0.05, lambda name, event, elapsed: told.append((name, event.get(1), elapsed > 0.05, evframe.depth.get())))
    async with events:
        await events.raise_event_and_wait("E_R", [0.06])

    assert told == [("E_R", 0.06, True, 1)]
