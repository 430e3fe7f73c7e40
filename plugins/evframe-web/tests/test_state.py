"""What the page shows of the gateway: sums, tables and one subscriber, read once for all pages."""

import asyncio
import json
import sys

import pytest
from evframe_timing import slices
from evframe_web import snapshot as snapshots

import evframe
from evframe.testing import FakeClock, until


def away(_):
    raise evframe.Unavailable("refused")


@pytest.fixture
def clock(monkeypatch):
    """Return the clock of snapshots."""
    return FakeClock()


async def test_the_overview_has_sums_rates_and_what_is_wrong(served):
    """The rates are those since the snapshot before, which is made a second later at the earliest."""
    clock = FakeClock()
    async with served() as each:
        each.web._desk.snapshots._clock = clock
        events, memory = each.events, each.memory
        events.register_event("E_B", summary="when it is b")
        memory.when("bad", away)
        for name, socket in (("E_A", "memory:good"), ("E_B", "memory:good"), ("E_A", "memory:bad")):
            events.subscribe_event(name, socket)
        first = (await each.get("/api/state"))[1]
        assert (first["raised_rate"], first["delivered_rate"]) == (None, None)
        for _ in range(4):
            events.raise_event("E_A")
        await until(lambda: len(memory.delivered.get("good", ())) == 4)
        await until(lambda: [one for one in events.statistics if one.away])
        assert (await each.get("/api/state"))[1] == first, "it is the same second"
        clock.advance(2)
        state = (await each.get("/api/state"))[1]
    assert {name: state[name] for name in ("raised", "raised_rate", "delivered", "delivered_rate", "failed", "failed_rate", "queued")} == {
        "raised": 4, "raised_rate": 2.0, "delivered": 4, "delivered_rate": 2.0, "failed": 0, "failed_rate": 0.0, "queued": 4,
    }  # fmt: skip
    assert (state["subscribers"], state["leases"], state["events"], state["away"]) == (2, 3, 2, 1)
    assert (state["dead_letters"], state["on_disk"], state["groups"]) == (None, None, 0)
    (memory_sum,) = state["transports"]
    assert (memory_sum["name"], memory_sum["subscribers"], memory_sum["away"], memory_sum["queued"]) == (
        "memory",
        2,
        1,
        4,
    )
    assert [(row["name"], row["rate"], row["leases"]) for row in state["top"]] == [("E_A", 2.0, 2), ("E_B", 0.0, 1)]
    assert sorted(state["flows"]) == [["E_A", "memory", 2, 1], ["E_B", "memory", 1, 0]]
    (worst,) = state["worst"]
    assert (worst["socket"], worst["state"], worst["reason"], worst["queued"]) == ("memory:bad", "away", "refused", 4)


async def test_the_picture_has_the_busiest_events_and_the_others_as_one(served):
    """However many events there are, nine have a place."""
    async with served() as each:
        for number in range(30):
            each.events.register_event(f"E_{number:02}")
            each.events.subscribe_event(f"E_{number:02}", "memory:a")
            for _ in range(number):
                each.events.raise_event(f"E_{number:02}")
        state = (await each.get("/api/state"))[1]
    assert [row["name"] for row in state["top"]] == [f"E_{number}" for number in range(29, 21, -1)]
    assert state["others"]["count"] == 23
    assert ["", "memory", 22, 0] in state["flows"]


async def test_a_table_is_sorted_filtered_and_divided_by_the_gateway(served):
    """A page has the rows that are asked for, in their order, whatever portions they were sorted in."""
    async with served() as each:
        for number in range(700):
            each.events.subscribe_event("E_A", f"memory:n{number:03}", 1000 + number)
        await each.events.raise_event_and_wait("E_A")

        async def sockets(query):
            status, found = await each.get(f"/api/table?name=subscribers&{query}")
            assert status == 200
            return [row["socket"].removeprefix("memory:n") for row in found["rows"]], found["matched"], found["of"]

        assert await sockets("sort=socket&limit=2") == (["000", "001"], 700, 700)
        assert await sockets("sort=socket&limit=2&order=descending") == (["699", "698"], 700, 700)
        assert await sockets("sort=socket&limit=3&offset=698") == (["698", "699"], 700, 700)
        assert await sockets("sort=left_s&order=descending&limit=1") == (["699"], 700, 700)
        assert await sockets("sort=delivered&limit=1") == (["000"], 700, 700)
        assert await sockets("sort=socket&text=N69&limit=2") == (["690", "691"], 10, 700)
        assert await sockets("sort=state&text=e_a&limit=1") == (["000"], 700, 700)
        assert await sockets("sort=socket&text=nothing") == ([], 0, 700)
        for query in ("name=subscribers&sort=x", "name=subscribers&sort=socket&limit=0", "name=events&sort=name&limit=201",
                      "name=events&sort=name&offset=-1", "name=events"):  # fmt: skip
            assert (await each.get(f"/api/table?{query}"))[0] == 400, query
        assert (await each.get("/api/table?name=x&sort=name"))[0] == 404


async def test_all_about_one_subscriber(served):
    """Its leases with what is left, why events have failed, its policy, and its members."""
    async with served() as each:
        each.events.register_event("E_B")
        socket = "virtual:FAILOVER memory:a memory:b"
        each.events.subscribe_event("E_A", socket, 100)
        each.events.subscribe_event("E_B", socket)
        each.memory.when("a", lambda batch: batch.fail(0, "odd") or True)
        each.memory.when("b", lambda batch: batch.fail(0, "even") or True)
        await each.events.raise_event_and_wait("E_A")
        status, found = await each.get(f"/api/subscriber?key={socket}")
        rows = (await each.get("/api/table?name=groups&sort=state"))[1]["rows"]
        assert (await each.get("/api/subscriber?key=memory:x"))[0] == 404
    assert status == 200
    (first, second) = found["lease_list"]
    assert (first["event"], first["expire_s"], 90 < first["left_s"] <= 100, first["by"]) == (
        "E_A",
        100,
        True,
        "this process",
    )
    assert (second["event"], second["expire_s"], second["left_s"]) == ("E_B", None, None)
    assert found["reasons"] == {"even": 1}
    assert [member["socket"] for member in found["members"]] == ["memory:a", "memory:b"]
    assert [[(each["socket"], each["state"]) for each in row["members"]] for row in rows] == [
        [("memory:a", "failed"), ("memory:b", "failed")]
    ]
    assert found["state"] == "failing"


async def test_secrets_of_sockets_are_not_shown(served):
    """The page has the text of listings."""

    class Named:
        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return Socket(rest) if scheme == "named" else None

        @evframe.hookimpl
        def deliver(self, socket, batch):
            return True if isinstance(socket, Socket) else None

    class Socket:
        expires = True

        def __init__(self, rest):
            self.canonical = f"named:{rest.rpartition('@')[2]}"

    async with served(named=Named()) as each:
        each.events.subscribe_event("E_A", "named:user:secret@peer")
        texts = [
            (await each.get(path))[1]
            for path in ("/api/state", "/api/table?name=subscribers&sort=socket", "/api/subscriber?key=named:peer")
        ]
    assert "named:peer" in json.dumps(texts)
    assert "secret" not in json.dumps(texts)


async def test_pages_that_ask_the_same_in_a_second_share_the_answer(served):
    """A hundred pages cost what one does, and nothing is kept when no page looks any more."""
    clock = FakeClock()
    async with served() as each:
        desk = each.web._desk
        desk.snapshots._clock = clock
        each.events.subscribe_event("E_A", "memory:a")
        await asyncio.gather(*(each.get("/api/state") for _ in range(20)))
        assert desk.snapshots.made == 1
        clock.advance(snapshots.EVERY_S)
        await each.get("/api/state")
        assert desk.snapshots.made == 2
        subscriber = desk.snapshots._current.subscribers[0].subscriber
        desk.snapshots.forget()
        assert desk.snapshots._current is None
        each.events.unsubscribe_event("E_A", "memory:a")
        await until(lambda: "a" in each.memory.released)
        assert sys.getrefcount(subscriber) <= 3


async def test_a_snapshot_that_takes_long_is_made_less_often(served):
    """The page takes a fifth of the loop at most, however many subscribers there are."""
    clock = FakeClock()
    async with served() as each:
        shots = each.web._desk.snapshots
        shots._clock = clock
        await each.get("/api/state")
        object.__setattr__(shots._current, "lasted_s", 2.0)
        clock.advance(7.9)
        await each.get("/api/state")
        assert shots.made == 1
        clock.advance(0.2)
        await each.get("/api/state")
        assert shots.made == 2


async def test_many_subscribers_are_read_in_slices(served, monkeypatch):
    """The loop serves others while a snapshot is made and a table is sorted; subscribers may end meanwhile."""
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    async with served() as each:
        for number in range(2000):
            each.events.subscribe_event("E_A", f"memory:n{number}")
        turns = 0

        async def disturb():
            nonlocal turns
            while True:
                each.events.unsubscribe_event("E_A", f"memory:n{turns}")
                turns += 1
                await asyncio.sleep(0)

        disturbing = asyncio.create_task(disturb())
        snapshot = await each.web._desk.snapshots.get()
        made = turns
        found = json.loads(await each.web._desk.table("subscribers", each_query()))
        disturbing.cancel()
    assert made >= 60
    assert turns >= made + 7
    assert 1800 < len(snapshot.subscribers) <= 2000
    assert len(found["rows"]) == 50


async def test_many_events_are_read_in_slices(served, monkeypatch):
    """The loop serves others while thousands of events without a lease are read, summed and looked through."""
    monkeypatch.setattr(slices, "SLICE_S", 0.0)
    async with served() as each:
        for number in range(2000):
            each.events.register_event(f"E_{number}")
        each.events.subscribe_event("E_A", "memory:a")
        desk, turns = each.web._desk, 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        seen = []
        for ask in (desk.snapshots.get, desk.overview, lambda: desk.subscriber("memory:a")):
            before = turns
            await ask()
            seen.append(turns - before)
        counting.cancel()
    assert all(number >= 30 for number in seen), seen


def each_query():
    from evframe_web.rows import Query

    return Query(sort="socket")


async def test_texts_that_are_no_unicode_can_be_read(served):
    """A name from a path that is no UTF-8 has an escape, as the listings have."""
    async with served() as each:
        each.events.register_event("E_\udcff")
        status, found = await each.get("/api/table?name=events&sort=name")
        assert (status, [row["name"] for row in found["rows"]]) == (200, ["E_A", "E_\udcff"])
        assert (await each.get("/api/state"))[0] == 200
