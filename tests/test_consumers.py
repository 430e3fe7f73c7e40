"""Consumption in the process: patterns, filters, and what happens to a slow consumer."""

import asyncio

import pytest

import evframe
from evframe.subscriptions.consumers import matches
from evframe.testing import until


@pytest.fixture
def event(events):
    def make(params):
        return events.event("E_A").snapshot(params, 0.0)

    return make


@pytest.mark.parametrize(
    ("params", "where", "result"),
    [
        ({"aor": "bob@example.com"}, {"aor": "bob@*"}, True),
        ({"aor": "bob@example.com"}, {"AOR": "bob@*"}, True),
        ({"aor": "bob@example.com"}, {"aor": "BOB@*"}, False),
        ({"aor": "bob@example.com"}, {"aor": "bob"}, False),
        ({"aor": "a/b"}, {"aor": "a*"}, True),
        ({"aor": ".x"}, {"aor": "?x"}, True),
        ({"aor": "x"}, {"aor": "[!a-c]"}, True),
        ({"aor": "*"}, {"aor": r"\*"}, True),
        ({"aor": "x"}, {"aor": r"\*"}, False),
        ({"n": -7}, {"n": "-7"}, True),
        ({"n": 42}, {"n": "4?"}, True),
        ({"n": 10**5000}, {"n": "10*"}, True),
        ({"n": True}, {"n": "true"}, True),
        ({"n": None}, {"n": "*"}, False),
        ({"a": 1}, {"absent": "x"}, True),
        ({"a": "1", "b": "2"}, {"a": "1", "b": "3"}, False),
        (["x"], {"a": "y"}, True),
        (None, {"a": "y"}, True),
        ({"a": "x"}, {}, True),
    ],
)
def test_filter_q12(event, params, where, result):
    """Q-12: patterns by name, numbers by their signed text, events without parameters, absent names pass."""
    assert matches(event(params), where) is result


async def test_listen(events):
    """Events that match are yielded in order, those of events registered later too."""
    async with events, events.listen("E_UL_*", where={"aor": "bob@*"}) as stream:
        events.register_event("E_UL_INSERT")
        events.register_event("E_OTHER")
        for aor in ("bob@a", "alice@a", "bob@b"):
            events.raise_event("E_UL_INSERT", {"aor": aor})
            events.raise_event("E_OTHER", {"aor": aor})
        async with asyncio.timeout(10):
            got = [await anext(stream) for _ in range(2)]
        assert [event["aor"] for event in got] == ["bob@a", "bob@b"]

    assert events.event("E_UL_INSERT").targets == ()


async def test_async_for_ends_with_close(events):
    """An `async for` ends when the stream is closed, and when the interface is left."""
    got = []

    async def consume(stream):
        async for event in stream:
            got.append(event[1])

    async with events:
        stream = events.listen("E_A")
        first = asyncio.create_task(consume(stream))
        second = asyncio.create_task(consume(events.listen("E_*")))
        await events.raise_event_and_wait("E_A", [1])
        stream.close()
        async with asyncio.timeout(10):
            await first
        events.raise_event("E_B", [2])
    async with asyncio.timeout(10):
        await second

    assert got == [1, 1, 2]


async def test_async_for_that_is_left(events):
    """A stream whose `async for` was left is closed; the queued events are counted."""
    async with events:
        events.raise_event("E_A", [0])
        for _ in range(2):
            raising = asyncio.create_task(events.raise_event_and_wait("E_A", [1]))
            async for event in events.listen("E_A"):
                assert event[1] == 1
                events.raise_event("E_A", [2])
                break
            await raising
            await until(lambda: len(events.statistics) == 1)
        assert events.event("E_A").targets == ()
        ended = events.statistics[0]

    assert (ended.raised, ended.delivered, ended.failed) == (4, 2, 2)
    assert events._roster.ended.outcomes == {("listen", None): 2, ("listen", "unsubscribed"): 2}


async def test_what_a_consumer_leaves_is_counted(events, caplog):
    """What a consumer has not taken when it stops is counted, and nobody is warned of it."""
    async with events:
        async with events.listen("E_A") as stream:
            for number in range(5):
                events.raise_event("E_A", [number])
            assert (await anext(stream))[1] == 0
        while len(events.statistics) > 1:
            await asyncio.sleep(0.001)
        ended = events.statistics[0]

    assert (ended.raised, ended.delivered, ended.reasons) == (5, 1, {"unsubscribed": 4})
    assert not caplog.records


async def test_wait_for_event(events):
    """The next event that matches is returned; those before it are passed over."""
    async with events:
        waiting = asyncio.create_task(events.wait_for_event("E_A", where={"aor": "bob@*"}, timeout_s=10))
        await asyncio.sleep(0)
        events.raise_event("E_A", {"aor": "alice@a"})
        events.raise_event("E_A", {"aor": "bob@a"})
        assert (await waiting)["aor"] == "bob@a"


async def test_wait_for_event_ends(events):
    """Without the event, the wait ends with TimeoutError and leaves nothing behind; an unknown name is an error."""
    async with events:
        with pytest.raises(TimeoutError):
            await events.wait_for_event("E_A", timeout_s=0.01)
        with pytest.raises(evframe.UnknownEventError):
            await events.wait_for_event("E_NONE", timeout_s=1)
        assert events.event("E_A").targets == ()


async def test_raised_by_a_consumer(events):
    """A consumer may raise events itself."""
    async with events, events.listen("E_B") as results:
        async with events.listen("E_A") as stream:
            events.raise_event("E_A", [1])
            event = await anext(stream)
            events.raise_event("E_B", [event[1] + 1])
        assert (await anext(results))[1] == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"pattern": 5}, "pattern: expected a pattern of event names, such as 'E_UL_*', got 5"),
        ({"where": 5}, "where: expected patterns by parameter name, such as {'aor': 'bob@*'}, got 5"),
        ({"where": {"aor": 5}}, "where: expected patterns by parameter name, such as {'aor': 'bob@*'}, got {'aor': 5}"),
        ({"where": {5: "x"}}, "where: expected patterns by parameter name, such as {'aor': 'bob@*'}, got {5: 'x'}"),
    ],
)
async def test_bad_streams(events, arguments, problem):
    """A pattern or a filter that is no text is one error with the argument's name, and makes no consumer."""
    async with events:
        with pytest.raises(TypeError) as caught:
            events.listen(**arguments)
        assert str(caught.value) == problem
        assert len(events.statistics) == 1


@pytest.mark.parametrize("name", [5, None, ["E_A"]])
async def test_wait_for_a_name_that_is_no_text(events, name):
    """A name that is no text is an unknown event."""
    async with events:
        with pytest.raises(evframe.UnknownEventError, match="expected a registered event, got"):
            await events.wait_for_event(name, timeout_s=1)
