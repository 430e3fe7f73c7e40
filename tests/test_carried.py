"""The headers that go with an event: who gives them, and what an event without them is."""

import asyncio

import pytest
from carried import ByParameter

import evframe
from evframe.events.event import Event
from evframe.subscriptions.channel import Channel
from evframe.testing import until

HEADERS = {"traceparent": "00-1"}


@pytest.fixture
def traced(events):
    events.trace_by(ByParameter())
    events.subscribe_event("E_A", "memory:m")
    return events


async def test_an_event_gets_its_headers_at_its_raise(traced, memory):
    """However an event is raised, and on whatever thread, it has the headers that its raise gives it."""
    async with traced:
        traced.raise_event("E_A", {"n": 1, "headers": HEADERS})
        await traced.raise_event_and_wait("E_A", {"n": 2, "headers": HEADERS})
        traced.raise_event_and_tell("E_A", {"n": 3, "headers": HEADERS}, lambda _: None)
        await asyncio.to_thread(traced.raise_event, "E_A", {"n": 4, "headers": HEADERS})
        traced.raise_event("E_A", {"n": 5})
        await until(lambda: len(memory.delivered.get("m", ())) == 5)

    assert [event.carried for event in memory.delivered["m"]] == [HEADERS] * 4 + [None]
    assert [event["n"] for event in memory.delivered["m"]] == [1, 2, 3, 4, 5]


async def test_an_event_that_is_registered_later_gets_headers(traced, memory):
    """Events that are registered while contexts are kept have headers, and none from the end of that on."""
    traced.register_event("E_LATER")
    traced.subscribe_event("E_LATER", "memory:m")
    async with traced:
        await traced.raise_event_and_wait("E_LATER", {"headers": HEADERS})
        traced.trace_by(None)
        traced.register_event("E_LAST")
        for name in ("E_LATER", "E_A"):
            await traced.raise_event_and_wait(name, {"headers": HEADERS})

    assert [event.carried for event in memory.delivered["m"]] == [HEADERS, None, None]
    assert {type(event) for event in traced.events} == {Channel}


def test_a_copy_has_the_headers_and_the_time():
    """An event that is handed over keeps its headers, and one that gets headers keeps its time."""
    event = evframe.EventDefinition(0, "E_A").snapshot({"n": 1}, 5.0, 2)

    carrying = event.carrying(HEADERS)
    handed_over = carrying.handed_over(9.0)

    assert (carrying.since, handed_over.since, handed_over.carrying({}).since) == (5.0, 9.0, 9.0)
    assert (handed_over.carried, handed_over.raised_at, handed_over.depth) == (HEADERS, 5.0, 2)
    assert (handed_over.params, handed_over.payload) == (event.params, event.payload)
    assert event.handed_over(9.0).carried is None


def test_an_event_without_headers_has_no_place_for_them():
    """While no plugin keeps contexts, an event has no place for one; its six values fill the 80 bytes that it gets."""
    event = evframe.EventDefinition(0, "E_A").snapshot(None, 0.0)

    assert type(event) is Event
    assert Event.__basicsize__ == object.__basicsize__ + 6 * 8
    with pytest.raises(AttributeError):
        event.carried = HEADERS


async def test_a_transport_sees_headers_while_contexts_are_kept():
    """`carried_by` returns the headers of a batch that has some, while a plugin keeps contexts."""

    class Plugin:
        @evframe.hookimpl
        def loaded(self, context):
            self.context = context

    plugin = Plugin()
    events = evframe.EventInterface(plugins={"plugin": plugin})
    with_headers = evframe.EventDefinition(0, "E_A").snapshot(None, 0.0).carrying(HEADERS)
    without = evframe.EventDefinition(0, "E_A").snapshot(None, 0.0)

    assert plugin.context.carried_by([with_headers]) is None
    events.trace_by(ByParameter())
    assert plugin.context.carried_by([with_headers, without]) == [HEADERS, None]
    assert plugin.context.carried_by([without]) is None


async def test_a_raise_that_another_thread_is_in_outlives_the_end_of_tracing(traced):
    """A raise that has begun when contexts are kept no more is an event without headers."""
    channel = traced.event("E_A")
    snapshot = type(channel).snapshot
    traced.trace_by(None)

    assert snapshot(channel, {"headers": HEADERS}, 0.0).carried is None
