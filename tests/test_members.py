"""Members: subscribers that a combining transport feeds."""

import asyncio

import evframe
from evframe.delivery.limits import Limits
from evframe.testing import until


async def test_withdrawn_member_ends_what_is_under_way(memory):
    """A member that is withdrawn begins no other batch, and says so when those under way are over; the rest waits."""
    memory.limits = Limits(in_flight=2)
    open_, away, taken, outcomes = [], [], [], {}

    async def send(batch):
        open_.append(asyncio.get_running_loop().create_future())
        if await open_[-1] == "fail":
            batch.fail(0, "refused")

    memory.when("a", send)
    events = evframe.EventInterface(plugins={"memory": memory})
    events.register_event("E_A")
    async with events:

        def on_away(reason):
            away.append(reason)
            taken.append(member.take_back())  # what is left in the queue begins in the next turn otherwise

        member = events._roster.open_member(events.parse_socket("memory:a"), on_away)

        def done(number, reason):
            outcomes[number] = reason
            if reason == "refused":
                member.withdraw()

        for number in range(4):
            event = events.event("E_A").snapshot([number], 0.0)
            member.put(event, lambda reason, number=number: done(number, reason))
            if number < 2:
                await until(lambda number=number: len(open_) > number)
        open_[1].set_result("fail")
        await until(lambda: outcomes)
        assert (outcomes, away, member.depth) == ({1: "refused"}, [], 3)
        open_[0].set_result("deliver")
        await until(lambda: away)
        assert outcomes == {1: "refused", 0: None}
        events_of_queue, dones = taken[0].take(10, 0)
        assert [event.params for event in events_of_queue] == [(2,), (3,)]
        for index in dones:
            dones[index]("elsewhere")
        assert outcomes == {1: "refused", 0: None, 2: "elsewhere", 3: "elsewhere"}
        counters = member.counters
        assert (counters.raised, counters.delivered, counters.failed, member.handed_over) == (4, 1, 1, 2)
        events._roster.close_member(member)
    assert len(open_) == 2


async def test_describe_by_text(events):
    """What a transport tells about a socket is there by its text, too; a text that is none is an error."""
    assert events.describe("memory:a") == {}
    try:
        events.describe("nosuch:a")
    except evframe.SocketError as error:
        assert "nosuch" in str(error)
    else:
        raise AssertionError("expected an error")
