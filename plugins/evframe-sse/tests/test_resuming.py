"""Streams with a name continue after a lost connection."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from event_streams import Served

from evframe.testing import ConfigFile, until

CONFIGURED = '[[events]]\nname = "E_B"\n[[subscriptions]]\nevent = "E_B"\nsocket = "sse:desk-3"\n'
KEPT = '[[policies]]\nsocket = "sse:desk-*"\nkeep = "disk"'


async def test_events_that_came_meanwhile_follow(served):
    """The client gets what came while it was away, behind what follows the last event that it has got."""
    async with served() as each:
        async with each.source("E_A", name="desk-3") as source:
            assert (await source.next()).data["socket"] == "sse:desk-3"
            for number in range(3):
                each.events.raise_event("E_A", {"n": number})
            assert await source.numbers(1) == [0]
            last = source.last
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        for number in range(3, 6):
            each.events.raise_event("E_A", {"n": number})
        async with each.source("E_A", name="desk-3", last=last) as source:
            assert (await source.next()).data["complete"] is True
            assert await source.numbers(5) == [1, 2, 3, 4, 5]
    assert each.sse.counters["resumed"] == 1


async def test_events_of_the_same_time(served, monkeypatch):
    """On a machine with a coarse clock, a client that has got the first of several gets the others."""
    monkeypatch.setattr("evframe.subscriptions.raising.monotonic", lambda: 1.0)
    async with served() as each:
        async with each.source("E_A", name="desk-3") as source:
            await source.next()
            for number in range(5):
                each.events.raise_event("E_A", {"n": number // 3})
            assert await source.numbers(1) == [0]
            last = source.last
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        async with each.source("E_A", name="desk-3", last=last) as source:
            assert (await source.next()).data["complete"] is True
            assert await source.numbers(4) == [0, 0, 1, 1]


async def test_twenty_reconnects_lose_nothing(served):
    """Connections that are reset at any moment: each number arrives once, in order."""
    count = 4000
    async with served(timeout_s=60) as each:
        got, last, rounds, raising = [], None, 0, None
        while len(got) < count:
            rounds += 1
            async with each.source("E_A", name="desk-3", last=last, receive_bytes=1 << 15) as source:
                assert (await source.next()).data["complete"] is True
                raising = raising or asyncio.ensure_future(raise_numbers(each.events, count))
                last = source.last or last
                most = count if rounds > 20 else len(got) + count // 25
                while len(got) < most:
                    got += await source.numbers(1)
                    last = source.last
                source.response.connection.transport.abort()
        await raising
    assert rounds == 21
    assert got == list(range(count))


async def raise_numbers(events, count):
    """Raise *count* numbered events, some in each turn."""
    for number in range(count):
        events.raise_event("E_A", {"n": number, "text": "x" * 200})
        if number % 10 == 9:
            await asyncio.sleep(0.001)


async def test_what_is_not_known_may_be_missing(served):
    """An id that is not known, as without a name, says that events may be missing."""
    async with served() as each:
        async with each.source("E_A") as source:
            opened = await source.next()
        async with each.source("E_A", last=opened.id) as source:
            assert (await source.next()).data["complete"] is False
        async with each.source("E_A", name="desk-3", last="another-process-1") as source:
            assert (await source.next()).data["complete"] is False


async def test_bytes_that_are_kept_are_bounded(served):
    """Where more was sent than is kept, the client learns that events may be missing, and gets later ones."""
    async with served(resume_bytes=2000) as each:
        async with each.source("E_A", name="desk-3") as source:
            first = await source.next()
            for number in range(20):
                await each.events.raise_event_and_wait("E_A", {"n": number, "text": "x" * 200})
            await source.numbers(20)
        async with each.source("E_A", name="desk-3", last=first.id) as again:
            assert (await again.next()).data["complete"] is False
        async with each.source("E_A", name="desk-3", last=source.last) as again:
            assert (await again.next()).data["complete"] is True
            each.events.raise_event("E_A", {"n": 20})
            assert await again.numbers(1) == [20]
        assert sum(len(frame) for _, frame in each.sse.streams["desk-3"]._sent) <= 2000


async def test_a_name_that_does_not_come_back_ends(served):
    """After `resume_s`, the leases of the stream end, and what waits fails."""
    async with served(resume_s=0.05) as each:
        async with each.source("E_A", name="desk-3") as source:
            await source.next()
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        each.events.raise_event("E_A", {"n": 1})
        lease = each.events.subscriptions[0]
        assert each.events.plugin("sse").describe(lease.subscriber.socket) == {"connection": "none"}
        await until(lambda: not each.events.subscriptions)
        await until(lambda: each.events.statistics[-1].reasons == {"unsubscribed": 1})
        assert not each.sse.streams


async def test_a_second_connection_takes_the_place_of_the_first(served):
    """A client that comes back before its old connection is known to be lost does not wait; the old one ends."""
    async with served() as each, each.source("E_A", name="desk-3") as first:
        await first.next()
        async with each.source("E_A", name="desk-3") as second:
            await second.next()
            assert (await first.next()).kind == "replaced"
            assert await first.next() is None
            each.events.raise_event("E_A", {"n": 1})
            assert await second.numbers(1) == [1]
            assert len(each.events.subscriptions) == 1


async def test_other_patterns_with_the_same_name(served):
    """The leases are those of the last request."""
    async with served() as each:
        each.events.register_event("E_B")
        async with each.source("E_A", name="desk-3"):
            pass
        async with each.source("E_B", name="desk-3") as source:
            assert (await source.next()).data["events"] == ["E_B"]
            assert [lease.event.name for lease in each.events.subscriptions] == ["E_B"]
            each.events.raise_event("E_B", {"n": 1})
            async with asyncio.timeout(10):
                assert await source.numbers(1) == [1]


async def test_kept_events_outlive_the_process(served, tmp_path):
    """With the journal, what a client has not got before the gateway ended comes once, after the next start."""
    path = tmp_path / "journal"
    async with served(KEPT, path) as each:
        async with each.source("E_A", name="desk-3") as source:
            await source.next()
            each.events.raise_event("E_A", {"n": 0})
            await source.numbers(1)
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        for number in range(1, 4):
            each.events.raise_event("E_A", {"n": number})
        await until(lambda: each.events.plugin("journal").on_disk == 3)
    async with served(KEPT, path) as each:
        async with each.source("E_A", name="desk-3", last=source.last) as source:
            assert (await source.next()).data["complete"] is False, "events of the time in between are not known"
            assert await source.numbers(3) == [1, 2, 3]
        await until(lambda: not each.events.plugin("journal").on_disk)


async def test_an_event_that_came_in_an_earlier_process_is_left_out(served, tmp_path):
    """A process that was killed has not written which events were sent: the client says which one it has got last."""
    path, copied = tmp_path / "journal", tmp_path / "copied"
    async with served(KEPT, path) as each:
        async with each.source("E_A", name="desk-3"):
            pass
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        for number in range(4):
            each.events.raise_event("E_A", {"n": number})
        await until(lambda: each.events.plugin("journal").on_disk == 4)
        with closing(sqlite3.connect(path)) as before, closing(sqlite3.connect(copied)) as after:
            before.backup(after)  # as a process leaves it that is killed now
        async with each.source("E_A", name="desk-3") as source:
            assert await source.numbers(2) == [0, 1]
    async with served(KEPT, copied) as each, each.source("E_A", name="desk-3", last=source.last) as source:
        assert await source.numbers(2) == [2, 3]


async def test_a_filter_does_not_outlive_the_client(served):
    """What a client has asked for holds for the subscription of the configuration until the client has gone."""
    async with served(CONFIGURED, resume_s=0.01) as each:
        async with each.source("E_B", name="desk-3", where="n > 1") as source:
            await source.next()
            each.events.raise_event("E_B", {"n": 1})
            each.events.raise_event("E_B", {"n": 2})
            assert await source.numbers(1) == [2]
        await until(lambda: each.sse.streams["desk-3"].connection is None and not each.sse._ends)
        each.events.raise_event("E_B", {"n": 0})
        async with each.source("E_A", name="desk-3", last=source.last) as source:
            assert await source.numbers(1) == [0]


async def test_a_configured_name_that_nobody_needs_any_more(tmp_path):
    """When its subscription is removed, no stream stays, whether a client has ever opened it or not."""
    config = ConfigFile(tmp_path / "evframe.toml", "mi", "sse")
    head = '[management]\nschemes = ["sse"]\n[plugins.sse]\nbind = "127.0.0.1:0"\nresume_s = 0.01\n'
    events_ = '[[events]]\nname = "E_A"\n'
    lease = '[[subscriptions]]\nevent = "E_A"\nsocket = "sse:desk-%d"\n'
    async with config.interface(head + events_ + lease % 3 + lease % 4) as events:
        each = Served(events, events.plugin("sse"))
        events.raise_event("E_A", {"n": 1})
        await until(lambda: each.sse.streams.keys() == {"desk-3", "desk-4"})
        async with each.source("E_A", name="desk-3") as source:
            assert await source.numbers(1) == [1]
        await until(lambda: len(events.subscriptions) == 2 and not each.sse._ends)
        config.write(head + events_)
        events.reload()
        await until(lambda: not each.sse.streams)


async def test_the_id_of_another_stream_hides_nothing(served):
    """It says nothing about the events that wait for this one."""
    async with served() as each:
        async with each.source("E_A", name="desk-3"):
            pass
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        each.events.raise_event("E_A", {"n": 0})
        async with each.source("E_A") as other:
            await other.next()
            each.events.raise_event("E_A", {"n": 1})
            await other.numbers(1)
        async with each.source("E_A", name="desk-3", last=other.last) as source:
            assert (await source.next()).data["complete"] is False
            assert await source.numbers(2) == [0, 1]


@pytest.mark.parametrize("count", [4, 600], ids=["all", "more than a batch"])
async def test_what_came_in_an_earlier_process_may_be_many_batches(served, tmp_path, count):
    """The client gets none of them again, and the stream continues."""
    path, copied = tmp_path / "journal", tmp_path / "copied"
    async with served(KEPT, path) as each:
        async with each.source("E_A", name="desk-3"):
            pass
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        for number in range(count):
            each.events.raise_event("E_A", {"n": number})
        await until(lambda: each.events.plugin("journal").on_disk == count)
        with closing(sqlite3.connect(path)) as before, closing(sqlite3.connect(copied)) as after:
            before.backup(after)  # as a process leaves it that is killed now
        async with each.source("E_A", name="desk-3") as source:
            await source.numbers(count)
    async with served(KEPT, copied) as each, each.source("E_A", name="desk-3", last=source.last) as source:
        assert (await source.next()).kind == "stream"
        each.events.raise_event("E_A", {"n": count})
        assert await source.numbers(1) == [count]


async def test_events_of_a_group_wait_for_a_name(tmp_path):
    """A member waits for its client, also when it has been away for long; without the group, nothing stays."""
    config = ConfigFile(tmp_path / "evframe.toml", "mi", "sse", "virtual")
    head = '[management]\nschemes = ["sse"]\n[plugins.sse]\nbind = "127.0.0.1:0"\nresume_s = 0.02\n'
    events_ = '[[events]]\nname = "E_A"\n[[events]]\nname = "E_B"\n'
    group = '[[subscriptions]]\nevent = "E_A"\nsocket = "virtual:PARALLEL sse:desk-3 sse:desk-4"\n'
    async with config.interface(head + events_ + group) as events:
        each = Served(events, events.plugin("sse"))
        async with each.source("E_B", name="desk-3") as source:
            await source.next()
        await until(lambda: each.sse.streams["desk-3"].connection is None)
        events.raise_event("E_A", {"n": 1})
        await until(lambda: len(events.subscriptions) == 1 and not each.sse._ends)
        async with each.source("E_B", name="desk-3", last=source.last) as source:
            assert await source.numbers(1) == [1]
        events.raise_event("E_A", {"n": 2})
        config.write(head + events_)
        events.reload()
        await until(lambda: sum(each.failed for each in events.statistics) == 2)
        assert not each.sse.streams
