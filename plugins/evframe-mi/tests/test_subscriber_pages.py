"""`evi:statistics`: the state of each subscriber, and pages that the gateway sorts and filters."""

import asyncio
import json
import time

import pytest
from evframe_mi.subscriber_pages import in_turns
from evframe_mi.testing import management
from evframe_wire.listing import SLICE

from evframe import Rejected, Unavailable
from evframe.testing import until

ROUNDING_S = 0.001


def ask(management, method, params):
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return json.loads(management.handle(json.dumps(request).encode()))


@pytest.fixture
def page(events, monkeypatch):
    """Return what calls `evi:statistics`, which has its result at once however slow the machine is."""
    monkeypatch.setattr("evframe_mi.subscriber_pages._TURN_S", 60.0)

    def page(**params):
        return ask(management(events), "evi:statistics", params)["result"]

    return page


def sockets(page):
    return [row["socket"].removeprefix("memory:") for row in page["Subscribers"]]


def test_a_page(events, page):
    """A page has its rows, with the first lease that ends, and the sums over all that match."""
    events.subscribe_event("E_A", "memory:a", 60)
    events.subscribe_event("E_B", "memory:a", 30)
    events.subscribe_event("E_A", "memory:b")
    found = page(limit=1)
    (row,) = found["Subscribers"]

    assert row.pop("since") >= 0
    assert row.pop("lease") in {29, 30}
    counters = {"raised": 0, "delivered": 0, "failed": 0, "reasons": {}, "depth": 0}
    assert row == {"socket": "memory:a", **counters, "state": "unknown"}
    sums = {"raised": 0, "delivered": 0, "failed": 0, "depth": 0}
    states = {"connected": 0, "away": 0, "unknown": 2}
    assert found == {"Subscribers": [row], "Total": {"subscribers": 2, "matched": 2, **states, **sums}}
    assert page(limit="2", sort="-lease")["Subscribers"][0]["lease"] == "never"


async def test_sorting_and_filtering(events, memory, page):
    """Rows come in the order of a column, those without a value last; patterns and states choose some."""
    for name in "abc":
        events.subscribe_event(f"E_{'A' if name < 'c' else 'B'}", f"memory:{name}")
    memory.when("a", _fail(Rejected("no_route")))
    async with events:
        await events.raise_event_and_wait("E_A")
        await events.raise_event_and_wait("E_A")

        assert sockets(page(sort="-failed")) == ["a", "c", "b"]
        assert sockets(page(sort="failed")) == ["b", "c", "a"]
        assert sockets(page(sort="last_reason")) == ["a", "b", "c"]
        assert sockets(page(sort="-last_failed", limit=2)) == ["a", "c"]
        assert sockets(page(filter="memory:[bc]", sort="-socket")) == ["c", "b"]
        assert sockets(page(state="connected")) == ["b"]
        total = page(filter="memory:[ab]", limit=0)["Total"]
        assert (total["subscribers"], total["matched"], total["delivered"], total["failed"]) == (3, 2, 2, 2)


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"sort": "size"}, "sort: expected socket, state, since"),
        ({"limit": -1}, "limit: expected 0 or more"),
        ({"limit": "x"}, "Bad type for parameter 'limit'"),
        ({"state": "dead"}, "state: expected connected, away, unknown"),
        ({"filter": []}, "Bad type for parameter 'filter'"),
        ({"page": 1}, "Too few or too many parameters"),
    ],
)
def test_parameters_that_cannot_be_used(events, params, problem):
    """Each is refused with what was expected."""
    error = ask(management(events), "evi:statistics", params)["error"]
    assert error["code"] == -32602
    assert error["data"].startswith(problem)


async def test_state_since_and_last_failure(events, memory):
    """A state has its age from its change on, and the last failure its reason and age."""

    async def answered(**params):
        request = {"jsonrpc": "2.0", "id": 1, "method": "evi:statistics", "params": params}
        answer = await management(events).answer(json.dumps(request).encode(), "client")  # later on a busy machine
        return json.loads(answer)["result"]["Subscribers"]

    async def row():
        (only,) = await answered(limit=1)
        (listed,) = await answered()
        assert only.keys() - listed.keys() == {"lease"}
        return only

    made_at = time.monotonic()
    events.subscribe_event("E_A", "memory:a")
    async with events:
        unknown = await row()
        assert 0 <= unknown["since"] <= time.monotonic() - made_at + ROUNDING_S
        assert "last_reason" not in unknown
        began_at = time.monotonic()
        await events.raise_event_and_wait("E_A")
        connected = await row()
        assert connected["state"] == "connected"
        assert connected["since"] <= time.monotonic() - began_at + ROUNDING_S
        memory.when("a", _fail(Unavailable("refused")))
        began_at = time.monotonic()
        events.raise_event("E_A")
        await until(lambda: events.statistics[0].away)
        away = await row()
        assert (away["state"], away["away"], away["depth"]) == ("away", "refused", 1)
        assert away["since"] <= time.monotonic() - began_at + ROUNDING_S
        memory.when("a", _fail(Rejected("no_route")))
        await until(lambda: events.statistics[0].failed)
        failed = await row()
        assert failed["last_reason"] == "no_route"
        assert 0 <= failed["last_failed"] <= time.monotonic() - began_at + ROUNDING_S


async def test_thousands_of_subscribers_hold_up_nothing(events, page):
    """A page of many is made in turns, in which others run, and has the same rows as one that is made at once."""
    for index in range(20 * SLICE):
        events.subscribe_event("E_A", f"memory:{index:05}", 60 + index)
    at_once = await asyncio.to_thread(page, limit=3, sort="-lease")
    assert sockets(at_once) == [f"{20 * SLICE - number:05}" for number in (1, 2, 3)]
    async with events:
        turns = 0
        request = b'{"jsonrpc":"2.0","id":1,"method":"evi:statistics","params":{"limit":3,"sort":"-lease"}}'
        answer = asyncio.ensure_future(management(events).answer(request, "client"))
        while not answer.done():
            turns += 1
            await asyncio.sleep(0)
        assert b'"matched":5120' in answer.result()
        assert turns > 1


async def test_steps_in_turns():
    """Steps that are done soon have their result at once, others a future, which has their error too."""

    def steps(count, error=None):
        for _ in range(count):
            time.sleep(0.001)
            yield
        if error is not None:
            raise error
        return count

    assert in_turns(steps(0)) == 0
    assert await in_turns(steps(10)) == 10
    with pytest.raises(ValueError, match="broken"):
        await in_turns(steps(10, ValueError("broken")))
    given_up = in_turns(steps(10))
    given_up.cancel()
    await asyncio.sleep(0.01)


def _fail(error):
    def fail(_):
        raise error

    return fail
