"""Gateways that bridge each other: events do not go round in a circle."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest
from evframe_client import ManagementError
from evframe_mi import Management
from evframe_mi.testing import management
from evframe_opensips import InstanceOptions, OpensipsBridge, Options
from evframe_opensips.origins import Loop, Origins
from hypothesis import given, settings
from hypothesis import strategies as st

import evframe
from evframe.testing import until


def calls(other, delay=None):
    """Return how the commands of another bridge are called."""

    async def call(method):
        assert method == "opensips:origins"
        if delay is not None:
            await delay()
        answer = {"Origins": other.ids()}
        if delay is not None:
            await delay()
        return answer

    return call


async def test_line():
    """Ids travel along a line of bridges, however long."""
    first, second, third = Origins(), Origins(), Origins()
    assert await second.join("first", calls(first))
    assert await third.join("second", calls(second))
    assert third.ids() == [third.own, *sorted([first.own, second.own])]
    second.leave("first")
    assert await third.join("second", calls(second))
    assert third.ids() == [third.own, second.own]


async def test_itself():
    """A gateway does not bridge itself, by whatever address it is configured."""
    one = Origins()
    with pytest.raises(Loop, match="this gateway"):
        await one.join("itself", calls(one))
    assert one.ids() == [one.own]


async def test_what_is_no_bridge():
    """An OpenSIPS does not know the command, which is no error; another error, or a strange answer, is one."""
    one = Origins()

    def failing(code):
        async def call(method):
            raise ManagementError("Method not found", code)

        return call

    async def strange(method):
        return "OK"

    assert not await one.join("opensips", failing(-32601))
    with pytest.raises(ManagementError):
        await one.join("opensips", failing(None))
    with pytest.raises(ValueError, match="opensips:origins: expected"):
        await one.join("opensips", strange)


def has_circle(attached):
    def reaches(start, goal, seen):
        return any(
            near == goal or (near not in seen and reaches(near, goal, seen | {near})) for near in attached[start]
        )

    return any(reaches(node, node, {node}) for node in attached)


@given(st.integers(2, 4), st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3))), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_no_circle_stays(count, wishes, seed):
    """Whichever attaches to which, and however their questions interleave, no circle of bridges stays; two never make one."""
    chance = random.Random(seed)
    bridges = [Origins() for _ in range(count)]
    attached = {number: set() for number in range(count)}

    async def delay():
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)

    async def look(own, other):
        try:
            await bridges[own].join(str(other), calls(bridges[other], delay))
        except Loop:
            attached[own].discard(other)
        else:
            attached[own].add(other)
        if count == 2:
            assert not has_circle(attached)

    async def run():
        edges = {(own % count, other % count) for own, other in wishes}
        await asyncio.gather(*(look(*edge) for edge in edges))
        for _ in range(count):  # what is attached is looked at again and again
            for own, others in attached.items():
                for other in list(others):
                    await look(own, other)
        assert not has_circle(attached)

    asyncio.run(run())


async def test_two_gateways_that_bridge_each_other(front):
    """Of two gateways that are configured to bridge each other one does; the other is not ready and says why."""
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            made.append(await stack.enter_async_context(front()))
        for own, other in ((0, 1), (1, 0)):
            options = Options(
                [InstanceOptions("other", made[other].url)], events=["E_*"], check_interval_s=0.05, timeout_s=2.0
            )
            events = evframe.EventInterface(plugins={"mi": Management(), "opensips": OpensipsBridge(options)})
            events.register_event("E_X")
            made[own].answer = management(events).handle
            made[own].status = events.status.group("opensips")
            await stack.enter_async_context(events)
        # Neither has a transport here, so that the one that attaches is refused its subscriptions.
        details = [lambda each=each: each.status.find("other").details or "" for each in made]
        circle, refused = "round in a circle", "400: Bad parameter value"
        await until(lambda: sorted([circle in details[0](), circle in details[1]()]) == [False, True])
        await until(lambda: any(refused in text() for text in details))


async def test_gateway_that_bridges_itself(front):
    """A gateway that is configured as its own instance learns that, and takes no lease at itself."""
    async with front() as own:
        options = Options([InstanceOptions("itself", own.url)], events=["E_*"], check_interval_s=0.05)
        events = evframe.EventInterface(plugins={"mi": Management(), "opensips": OpensipsBridge(options)})
        events.register_event("E_X")
        own.answer = management(events).handle
        async with events:
            await until(lambda: "round in a circle" in (events.status.group("opensips").find("itself").details or ""))
            assert events.subscriptions == []
