"""How much kept events may take: of the file, of its file system, and of memory."""

import asyncio
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest
from evframe_journal import JournalPlugin, Options
from evframe_journal.bounds import Bounds, FileBounds, Kept
from evframe_journal.dead import DeadLetters
from evframe_journal.discard import Discarded
from evframe_journal.file import JournalFile
from evframe_journal.journal import Journal
from evframe_journal.letters import Bounds as DeadBounds
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import EVENT_BYTES, LEAST, Memory
from evframe_journal.settled import Settled
from hypothesis import given
from hypothesis import strategies as st

import evframe
from evframe.config import Config, CoreOptions
from evframe.events.event import EventRegistry
from evframe.plugin import Policy
from evframe.testing import FakeClock, MemoryTransport, until

DEFINITION = EventRegistry().register("E")
MIB = 1 << 20


def interface(peer, path, **options):
    config = Config(core=CoreOptions(queue_size=100))
    return evframe.EventInterface(
        config, plugins={"memory": peer, "journal": JournalPlugin(Options(str(path), **options))}
    )


def kept_bytes(journal):
    """Return how many bytes the frames in the file of *journal* have."""
    with closing(sqlite3.connect(f"file:{journal.file._path}?mode=ro", uri=True)) as database:
        return database.execute("SELECT sum(length(body)) FROM frames").fetchone()[0]


class Opened:
    """A journal on a real file, with a fake clock."""

    def __init__(self, path: Path, memory_bytes: int = 64 * MIB, bounds: FileBounds = FileBounds()):
        self.clock = FakeClock()
        self.file = JournalFile(str(path), bounds)
        self.problems = []
        self.lost: list[tuple[int, str]] = []
        self.orphaned: list[tuple[str, Discarded]] = []
        self.letters = DeadLetters(bounds=DeadBounds(1 << 30, 0), clock=self.clock, wall=self.clock)
        self.journal = Journal(
            file=self.file,
            bounds=Bounds(retry_s=0.0),
            memory=Memory(memory_bytes),
            event_of=DEFINITION.restored,
            report=self.problems.append,
            letters=self.letters,
            orphaned=lambda *each: self.orphaned.append(each),
            clock=self.clock,
            wall=self.clock,
        )
        self.journal.restore(self.file.open())

    def open(self, key, limits=Limits(100_000)):
        return self.journal.open(key, limits, Calls(lost=lambda *each: self.lost.append(each)))

    def put(self, queue, *params):
        event = DEFINITION.snapshot(params, self.clock())
        if len(queue) < queue.room:
            queue.append(event)
            return True
        return queue.spill(event)

    async def commit(self):
        """Write all that waits; a commit that fails is the last one."""
        self.clock.advance(1)
        self.problems.clear()
        while self.journal.tick() and not any(self.problems):
            await asyncio.sleep(0.001)

    def held(self, queues):
        """Return how many bytes *queues* hold in memory."""
        return self.journal.memory.fresh + sum(len(event.payload) + EVENT_BYTES for queue in queues for event in queue)


@pytest.fixture
def opened(tmp_path):
    files = []

    def make(*arguments):
        files.append(Opened(tmp_path / "journal", *arguments))
        return files[-1]

    yield make
    for each in files:
        each.file.close()


async def test_all_queues_share_one_bound(opened):
    """What 300 queues with 1,000 different events each hold in memory is below the bound while commits work."""
    journal = opened(8 * MIB)
    queues = [journal.open(f"udp:127.0.0.1:{number}") for number in range(300)]
    for start in range(0, 1000, 20):
        for queue in queues:
            for number in range(start, start + 20):
                assert journal.put(queue, number)
        assert journal.held(queues) <= 8 * MIB + len(queues) * LEAST * 300
        await journal.commit()
    assert all(len(queue) + queue.stored == 1000 for queue in queues)
    assert journal.held(queues) <= 8 * MIB


async def test_start_reads_a_bounded_number_of_events(opened):
    """Queues with frames of an earlier process bring few events into memory, and none is read before that."""
    journal = opened(4 * MIB)
    queues = [journal.open(f"udp:127.0.0.1:{number}") for number in range(100)]
    for queue in queues:
        for number in range(4000):
            journal.put(queue, number)
        await journal.commit()
    journal.file.close()
    journal = opened(4 * MIB)
    queues = [journal.open(f"udp:127.0.0.1:{number}") for number in range(100)]
    assert not any(map(len, queues))
    await journal.commit()
    await until(lambda: all(map(len, queues)))
    assert journal.held(queues) <= 4 * MIB
    assert sum(len(queue) + queue.stored for queue in queues) == 400_000


async def test_events_find_room_again_when_others_need_less(opened):
    """A queue that nothing is taken from gives its room to others, and all of its events come back in order."""
    journal = opened(MIB)
    first = journal.open("udp:127.0.0.1:1")
    for number in range(2000):
        journal.put(first, number)
    await journal.commit()
    held = len(first)
    others = [journal.open(f"udp:127.0.0.1:{number}") for number in range(2, 12)]
    for queue in others:
        for number in range(200):
            journal.put(queue, number)
    for _ in range(3):
        await journal.commit()
    assert len(first) < held
    assert await drain(journal, first) == list(range(2000))


async def drain(journal, queue):
    came, number = [], 0
    while len(queue) + queue.stored:
        number += 1
        events, _ = queue.take(50, number)
        came += [event.params[0] for event in events]
        queue.settle(number, ())
        await journal.commit()
        await asyncio.sleep(0)
    return came


@pytest.mark.parametrize("when_full", ["drop_newest", "drop_oldest"])
async def test_a_subscriber_has_its_own_bytes(opened, when_full):
    """With `max_bytes`, the newest events are refused, or the oldest on disk dropped and counted."""
    journal = opened(64 * MIB)
    queue = journal.open("udp:127.0.0.1:1", Limits(100, 30_000, when_full))
    other = journal.open("udp:127.0.0.1:2", Limits(100))
    taken = 0
    for number in range(3000):
        taken += journal.put(queue, number)
        assert journal.put(other, number)
        if number % 100 == 0:
            await journal.commit()
    await journal.commit()
    lost = sum(count for count, _ in journal.lost)
    assert {reason for _, reason in journal.lost} <= {"queue_full"}
    assert taken - lost == len(queue) + queue.stored
    assert queue.size <= 2 * 30_000
    came = await drain(journal, queue)
    assert came == sorted(came)
    if when_full == "drop_newest":
        assert came == list(range(len(came)))
        assert not lost
    else:
        assert lost
        assert came[-1] == 2999
    assert await drain(journal, other) == list(range(3000))


async def test_events_are_dropped_from_a_full_file(opened):
    """With `max_bytes` of the file, the oldest frames of a subscriber that says so make room for new ones."""
    journal = opened(2 * MIB, FileBounds(max_bytes=MIB))
    queue = journal.open("udp:127.0.0.1:1", Limits(100, 0, "drop_oldest"))
    for number in range(40_000):
        journal.put(queue, number, "x" * 100)
        if number % 200 == 0:
            await journal.commit()
    for _ in range(5):
        await journal.commit()
    assert Path(journal.file._path).stat().st_size <= MIB
    assert sum(count for count, _ in journal.lost) > 10_000
    came = await drain(journal, queue)
    assert came == sorted(came)
    assert came[-1] > 35_000


async def test_a_policy_bounds_events_of_all_sizes(opened):
    """With `max_bytes` of a policy, as many small frames are dropped as a large one needs, in whatever order."""
    journal = opened()
    queue = journal.open("udp:127.0.0.1:1", Limits(10, 50_000, "drop_oldest"))
    for number in range(400):
        journal.put(queue, number, "x" * 100 if number < 200 else "x" * 5000)
        await journal.commit()
        await journal.commit()
    assert 40_000 < kept_bytes(journal) < 60_000
    assert queue.size < 60_000
    lost = sum(count for count, _ in journal.lost)
    came = await drain(journal, queue)
    assert came == [*range(10), *range(lost + 10, 400)]


async def test_small_frames_make_room_in_a_full_file(opened):
    """With `max_bytes` of the file, as many small frames are dropped at once as the next commit needs."""
    journal = opened(64 * MIB, FileBounds(max_bytes=MIB))
    queue = journal.open("udp:127.0.0.1:1", Limits(10, 0, "drop_oldest"))
    number = 0
    while not journal.journal.is_full:
        journal.put(queue, number, "x" * 1000)
        number += 1
        await journal.commit()
    for _ in range(20):
        journal.put(queue, number, "x" * 20_000)
        number += 1
        for _ in range(3):
            await journal.commit()
        assert journal.problems in ([], [None])
    assert Path(journal.file._path).stat().st_size <= MIB
    came = await drain(journal, queue)
    assert came[-20:] == [*range(number - 20, number)]


async def test_what_is_settled_makes_room_in_a_full_file(opened):
    """A file that is full is written again after some of its events were settled."""
    journal = opened(64 * MIB, FileBounds(max_bytes=MIB))
    queue = journal.open("udp:127.0.0.1:1", Limits(100))
    number = 0
    while not journal.journal.is_full:
        for _ in range(200):
            journal.put(queue, number, "x" * 100)
            number += 1
        await journal.commit()
    assert journal.journal.is_full
    assert await drain(journal, queue) == list(range(number))
    assert not journal.journal.is_full


def test_a_queue_that_blocks_says_so(opened):
    """With `when_full = "block"`, a full queue has no room; with other policies, a raise never waits."""
    journal = opened(64 * MIB)
    event = DEFINITION.snapshot([1], 0.0)
    for when_full in ("block", "drop_newest"):
        queue = journal.open(f"udp:127.0.0.1:{when_full}", Limits(1, len(event.payload), when_full))
        assert queue.has_room_for(event)
        assert journal.put(queue, 1)
        assert journal.put(queue, 1)
        assert queue.has_room_for(event) == (when_full != "block")
        assert not journal.put(queue, 1)


async def test_a_file_system_keeps_free_bytes(tmp_path):
    """With fewer free bytes than `min_free_bytes` nothing is written, and the status says so."""
    peer, path = MemoryTransport(), tmp_path / "journal"
    peer.when("a", away)
    async with interface(peer, path, min_free_bytes=1 << 60) as events:
        status = events.status.group("core")
        events.register_event("E")
        events.subscribe_event("E", "memory:a", policy=Policy(keep="disk"))
        events.raise_event("E", {"number": 1})
        await until(lambda: status.find("journal").status == -1)
        assert f"expected {1 << 60} free bytes" in (status.find("journal").details or "")
        assert events.statistics[0].depth == 1


def away(batch):
    raise evframe.Unavailable("refused")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("max_bytes", 1000, "max_bytes: expected 1048576 or more, got 1000"),
        ("max_bytes", -1, "max_bytes: expected 0 or more, got -1"),
        ("memory_bytes", 0, "memory_bytes: expected 1048576 or more, got 0"),
        ("min_free_bytes", -1, "min_free_bytes: expected 0 or more, got -1"),
    ],
)
def test_options_that_do_not_fit(name, value, problem):
    """A bound that is out of range is refused by name."""
    with pytest.raises(ValueError, match=problem):
        Options(**{name: value})


def test_long_rows_of_settled_positions():
    """Positions that are settled in long rows are passed over, and take no memory one by one."""
    settled = Settled(0)
    settled.close(10, 1_000_000)
    settled.close(2_000_000, 3_000_000)
    settled.close(900_000, 2_500_000)
    settled.add([5])
    assert list(settled.open_from(4, 4)) == [4, 6, 7, 8]
    assert list(settled.open_from(9, 2)) == [9, 3_000_000]
    assert 2_999_999 in settled
    assert 3_000_000 not in settled
    settled.add(range(5))
    settled.add([6, 7, 8, 9])
    assert settled.low == 3_000_000
    assert Kept(0, 0, 0).size == 0


def test_rows_that_are_settled_one_after_the_other():
    """Rows that touch become one, so that what is dropped behind an event that stays open takes no memory."""
    settled = Settled(0)
    tracemalloc.start()
    for start in range(100, 1_000_000, 100):
        settled.close(start, start + 100)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 10_000
    assert list(settled.open_from(99, 2)) == [99, 1_000_000]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 12)), max_size=20))
def test_positions_are_settled_in_any_order(steps):
    """Whatever is settled, in rows or one by one, is settled, and nothing else is."""
    settled, expected = Settled(0), set()
    for is_row, start, count in steps:
        places = range(start, start + count)
        if is_row:
            settled.close(start, start + count)
        else:
            settled.add([place for place in places if place not in expected])
        expected |= set(places)
        places = [place for place in range(70) if place not in expected]
        assert settled.low == places[0]
        assert list(settled.open_from(0, 10)) == places[:10]
        assert [place for place in range(70) if place not in settled] == places


async def put_and_close(opened, *keys, count=1000):
    journal = opened()
    for key in keys:
        queue = journal.open(key)
        for number in range(count):
            journal.put(queue, number)
    await journal.commit()
    await journal.commit()
    journal.file.close()


async def test_events_of_a_subscriber_that_does_not_come_are_dropped(opened):
    """After `orphan_keep_s` seconds the frames of the subscriber are deleted, given away and counted; others stay."""
    await put_and_close(opened, "udp:127.0.0.1:1", "udp:127.0.0.1:2", count=10_000)
    journal = opened()
    journal.journal.bounds = Bounds(retry_s=0.0, orphan_keep_s=3600)
    queue = journal.open("udp:127.0.0.1:2")
    journal.clock.advance(3000)
    for _ in range(5):
        await journal.commit()
    assert not journal.orphaned
    journal.clock.advance(600)
    for _ in range(200):
        await journal.commit()
        await asyncio.sleep(0.001)
    assert {key for key, _ in journal.orphaned} == {"udp:127.0.0.1:1"}
    assert sum(found.count for _, found in journal.orphaned) == 10_000
    journal.file.close()
    journal = opened()
    assert journal.file.open()["udp:127.0.0.1:1"].count == 0
    assert journal.file.open()["udp:127.0.0.1:2"].count == 10_000
    assert len(queue) + queue.stored == 10_000


async def test_a_subscriber_that_comes_in_time_has_its_events(opened):
    """A subscriber that comes just before `orphan_keep_s` is over has all of its events, also after that."""
    await put_and_close(opened, "udp:127.0.0.1:1")
    journal = opened()
    journal.journal.bounds = Bounds(retry_s=0.0, orphan_keep_s=3600)
    journal.clock.advance(3598)
    await journal.commit()
    queue = journal.open("udp:127.0.0.1:1")
    journal.clock.advance(3600)
    assert await drain(journal, queue) == list(range(1000))


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
async def test_a_wall_clock_that_jumps(opened, jump_s):
    """Events on disk are not younger than now when the wall clock was set back, and none is dropped by a jump."""
    await put_and_close(opened, "udp:127.0.0.1:1", count=100)
    journal = opened()
    journal.journal.wall = lambda: journal.clock() + jump_s
    journal.journal.bounds = Bounds(retry_s=0.0, orphan_keep_s=3600)
    await journal.commit()
    queue = journal.open("udp:127.0.0.1:1")
    await journal.commit()
    await until(lambda: len(queue))
    assert all(event.raised_at <= journal.clock() for event in queue)
    assert await drain(journal, queue) == list(range(100))


async def test_what_cannot_be_written_at_the_end_is_counted(tmp_path, caplog):
    """Events that the last commit cannot write are failed with the reason `shutdown`, and logged by subscriber."""
    peer = MemoryTransport()
    peer.when("a", away)
    async with interface(peer, tmp_path / "journal", min_free_bytes=1 << 60) as events:
        events.register_event("E")
        events.subscribe_event("E", "memory:a", policy=Policy(keep="disk"))
        for number in range(300):
            events.raise_event("E", {"number": number})
        await until(lambda: not events.status.group("core").find("journal").ready)
    (counters, *_) = events.statistics
    assert counters.raised == counters.failed + counters.depth == 300
    assert counters.reasons == {"shutdown": counters.failed}
    assert counters.failed >= 200
    (record,) = [record for record in caplog.records if "could not be written" in record.message]
    assert (record.socket, record.lost) == ("memory:a", counters.failed)


async def test_events_under_way_count_for_the_bound(opened):
    journal = opened()
    queue = journal.open("a:1", Limits(1000))
    held = []
    for number in range(20_000):
        journal.put(queue, number)
    await journal.commit()
    for number in range(10):  # each attempt takes what it finds, and gives it back
        events, dones = queue.take(4096, number)
        await journal.commit()
        held.append(len(events) + len(queue))
        queue.settle(number, range(len(events)))
        queue.give_back(number, events, dones)
    assert max(held) == 1000
    assert queue.stored == 19_000


async def test_events_under_way_leave_the_room_that_they_have_not(opened):
    queue = opened().open("a:1", Limits(1000))
    for number in range(600):
        queue.spill(DEFINITION.snapshot((number,), 0.0))
    assert (len(queue), queue.stored) == (600, 0)
    queue.take(600, 1)
    for number in range(600):
        queue.spill(DEFINITION.snapshot((number,), 0.0))
    assert (len(queue), queue.stored) == (400, 200)
    queue.settle(1, ())
    queue.take(400, 2)
    assert (len(queue), queue.stored) == (0, 200)
    queue.settle(2, ())
    assert (len(queue), queue.stored) == (200, 0)
