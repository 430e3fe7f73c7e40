"""Events that fail for good while they are on disk alone: each is a dead letter, or waits, and never both."""

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest
from evframe_journal import JournalPlugin, Options
from evframe_journal.bounds import Bounds, Commit, FileBounds
from evframe_journal.dead import DeadLetters
from evframe_journal.discard import Discard, name_of
from evframe_journal.file import JournalFile
from evframe_journal.frames import Frame
from evframe_journal.journal import Journal
from evframe_journal.letters import OVERHEAD, Filter
from evframe_journal.letters import Bounds as DeadBounds
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from evframe_journal.settled import Settled

import evframe
from evframe.config import parse_config
from evframe.events.event import EventRegistry
from evframe.testing import FakeClock, MemoryTransport, until

DEFINITION = EventRegistry().register("E_DEAD")
KEY = "udp:127.0.0.1:1"
LARGE = DeadBounds(1 << 30, 0)
EVENTS = 300


def interface(path, policy="dead_letter = true", is_subscribed=True, **options):
    """Return an interface with a subscriber that answers no batch."""
    memory = MemoryTransport()
    memory.when("peer", lambda _: asyncio.get_running_loop().create_future())
    config = parse_config(f"""
[core]
queue_size = 10
drain_timeout_s = 0.1
[[policies]]
socket = "*"
keep = "disk"
{policy}
""")
    journal = JournalPlugin(Options(path=str(path), memory_bytes=1_048_576, **options))
    events = evframe.EventInterface(config, plugins={"memory": memory, "journal": journal})
    events.register_event("E_DEAD")
    if is_subscribed:
        events.subscribe_event("E_DEAD", "memory:peer")
    return events, journal


async def raise_all(events, journal, start=0):
    """Raise events in several commits."""
    for first in range(start, start + EVENTS, 50):
        before = journal.written
        for number in range(first, first + 50):
            events.raise_event("E_DEAD", [number])
        await until(lambda before=before: journal.written > before)


def number_of(payload):
    return json.loads(payload)["params"][0]


def letters_in(path):
    """Return the number and the reason of each letter, in the order of their ids."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT payload, reason FROM dead ORDER BY id").fetchall()
    return [(number_of(payload), reason) for payload, reason in rows]


def waiting_in(path):
    """Return the numbers of the events in frames that are not settled."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        statement = "SELECT f.first, f.body, s.low FROM frames f JOIN subscribers s ON f.key = s.key ORDER BY f.last"
        rows = database.execute(statement).fetchall()
    return [
        number_of(payload) for first, body, low in rows for payload in Frame.decoded(KEY, first, body, low).payloads
    ]


def assert_whole(counters):
    assert counters.raised == counters.delivered + counters.failed + counters.depth


async def test_events_of_a_subscriber_that_ends(tmp_path):
    """What a subscriber has on disk when its time is over becomes letters; each event is counted as failed once."""
    path = tmp_path / "journal"
    events, journal = interface(path)
    async with events:
        await raise_all(events, journal)
        events.unsubscribe_event("E_DEAD", "memory:peer")
        await until(lambda: journal.letters.count == EVENTS)
        totals = events.statistics[-1]
        assert (totals.raised, totals.failed, totals.reasons) == (EVENTS, EVENTS, {"unsubscribed": EVENTS})
        assert (journal.letters.added, journal.letters.not_kept) == (EVENTS, 0)
        await until(lambda: not waiting_in(path))
        assert journal.on_disk == 0
    assert sorted(letters_in(path)) == [(number, "unsubscribed") for number in range(EVENTS)]


async def test_events_that_make_room(tmp_path):
    """The oldest events on disk that newer ones take the room of are letters, as many as are counted."""
    path = tmp_path / "journal"
    events, journal = interface(path, 'dead_letter = true\nwhen_full = "drop_oldest"\nmax_bytes = 1000')
    async with events:
        await raise_all(events, journal)
        await until(lambda: journal.letters.count == events.statistics[0].failed)
        counters = events.statistics[0]
        assert counters.reasons == {"queue_full": journal.letters.count}
        assert journal.letters.count > 100
        assert_whole(counters)
    lost, waiting = letters_in(path), waiting_in(path)
    assert {reason for _, reason in lost} == {"queue_full"}
    assert sorted([*(number for number, _ in lost), *waiting]) == list(range(EVENTS))


@pytest.mark.parametrize("policy", ["dead_letter = true", ""])
async def test_events_of_a_subscriber_that_does_not_come_back(tmp_path, policy):
    """After `orphan_keep_s` the events are letters where the subscriber's policy said so, and counted in any case."""
    path = tmp_path / "journal"
    events, journal = interface(path, policy)
    async with events:
        await raise_all(events, journal)
        assert journal.on_disk == EVENTS
    events, journal = interface(path, "", is_subscribed=False, orphan_keep_s=0)
    async with events:
        events.subscribe_event("E_DEAD", "memory:other")
        await until(lambda: journal.orphaned == EVENTS)
        await until(lambda: not waiting_in(path))
    assert letters_in(path) == ([(number, "orphaned") for number in range(EVENTS)] if policy else [])


async def test_a_policy_that_changes(tmp_path):
    """What the file says about a subscriber is what its policy says now, also for the events that it has already."""
    path = tmp_path / "journal"
    for policy, expected in (
        ("dead_letter = true", "dead_letter"),
        ("", "count"),
        ("dead_letter = true", "dead_letter"),
    ):
        events, journal = interface(path, policy)
        async with events:
            if not journal.on_disk:
                await raise_all(events, journal)
            await asyncio.sleep(0)
        with closing(sqlite3.connect(path)) as database:
            assert database.execute("SELECT on_failure FROM subscribers").fetchall() == [(expected,)]


async def test_events_that_are_not_written_yet(tmp_path):
    """Events that wait for a commit when their subscriber ends are letters, too."""
    path = tmp_path / "journal"
    events, journal = interface(path, min_free_bytes=1 << 60)
    async with events:
        for number in range(EVENTS):
            events.raise_event("E_DEAD", [number])
        events.unsubscribe_event("E_DEAD", "memory:peer")
        await until(lambda: journal.letters.count == EVENTS)
    assert sorted(letters_in(path)) == [(number, "unsubscribed") for number in range(EVENTS)]


PROGRAM = """
import asyncio, sys
sys.path.insert(0, sys.argv[2])
from test_disk_letters import raise_all, interface

async def main():
    events, journal = interface(sys.argv[1])
    async with events:
        await raise_all(events, journal)
        await raise_all(events, journal, 300)
        events.unsubscribe_event("E_DEAD", "memory:peer")
        while not events.statistics[-1].failed:
            await asyncio.sleep(0)
        print("ended", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("after_s", [0.0, 0.001, 0.003, 0.01])
def test_a_kill_in_the_middle(tmp_path, request, after_s):
    """Each event is a letter or waits, and none is both, whenever the process is killed."""
    path = tmp_path / "journal"
    words = [sys.executable, "-c", PROGRAM, path, request.path.parent]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ended\n"
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(after_s)
        running.kill()
    found = Counter([*(number for number, _ in letters_in(path)), *waiting_in(path)])
    assert found == Counter(range(2 * EVENTS))


class Opened:
    """A journal on a real file, whose ticks the test calls."""

    def __init__(self, path, letters=LARGE, bounds=FileBounds(), memory_bytes=4 << 20):
        self.clock = FakeClock()
        self.lost = Counter()
        self.damaged = []
        self.file = JournalFile(str(path), bounds)
        self.letters = DeadLetters(bounds=letters, clock=self.clock, wall=self.clock)
        self.problems = []
        self.journal = Journal(
            file=self.file,
            bounds=Bounds(retry_s=0.0, frame_events=10),
            memory=Memory(memory_bytes),
            event_of=DEFINITION.restored,
            report=self.problems.append,
            on_damaged=lambda *each: self.damaged.append(each),
            letters=self.letters,
            clock=self.clock,
            wall=self.clock,
        )
        self.journal.restore(self.file.open())

    def open(self, **limits):
        calls = Calls(lost=self.count, failed=lambda events, _, reason: self.count(len(events), reason))
        return self.journal.open(KEY, Limits(64, has_letters=True, **limits), calls)

    def count(self, number, reason):
        self.lost[reason] += number

    def put(self, queue, *params):
        event = DEFINITION.snapshot(params, self.clock())
        if len(queue) >= queue.room:
            return queue.spill(event)
        queue.append(event)
        return True

    async def fill(self, queue, numbers):
        for number in numbers:
            assert self.put(queue, number)
        await self.commit()

    def end(self, queue):
        """End the subscriber, as its time is over; return the numbers of the events that are in memory."""
        events, _ = queue.take(len(queue), 1)
        queue.settle(1, ())
        queue.drop_stored("unsubscribed")
        self.journal.release(KEY)
        return [event.params[0] for event in events]

    async def commit(self):
        """Write all that waits, and remove what has failed; a commit that fails is the last one."""
        self.clock.advance(1)
        self.problems.clear()
        while self.journal.tick() and not any(self.problems):
            await asyncio.sleep(0.001)


@pytest.fixture
async def opened(tmp_path):
    files = []

    def make(**options):
        files.append(Opened(tmp_path / "journal", **options))
        return files[-1]

    yield make
    for each in files:
        each.file.close()


async def drain(opened, queue):
    came, number = [], 1
    while len(queue) + queue.stored:
        number += 1
        events, _ = queue.take(50, number)
        came += [event.params[0] for event in events]
        queue.settle(number, ())
        await opened.commit()
    return came


async def test_what_was_in_memory_is_settled_with_its_letters(opened, tmp_path):
    """Events in memory that fail leave the file in the commit with their letters, before those behind them on disk do."""
    path = tmp_path / "journal"
    journal = opened()
    queue = journal.open()
    await journal.fill(queue, range(500))
    events, _ = queue.take(len(queue), 1)
    queue.drop_stored("unsubscribed")
    queue.settle(1, ())
    journal.letters.add(KEY, events, ["unsubscribed"] * len(events))
    journal.journal.release(KEY)
    journal.file.discard = lambda what, done: None
    journal.clock.advance(1)
    journal.journal.tick()
    await until(lambda: len(letters_in(path)) == len(events))
    journal.file.close()
    kept = opened().file.open()[KEY]
    assert kept.count == 500 - len(events)
    assert kept.low == len(events)


async def test_a_subscriber_comes_again_before_its_letters_are_made(opened, tmp_path):
    """The events of the lease before are letters, those of the next one are delivered, and none is lost for the other."""
    journal = opened()
    queue = journal.open()
    await journal.fill(queue, range(500))
    in_memory = journal.end(queue)
    queue = journal.open()
    await journal.fill(queue, range(500, 1000))
    assert await drain(journal, queue) == list(range(500, 1000))
    on_disk = [number for number in range(500) if number not in in_memory]
    assert on_disk
    assert [number for number, _ in letters_in(tmp_path / "journal")] == on_disk
    assert journal.lost == {"unsubscribed": len(on_disk)}
    await journal.commit()
    assert not waiting_in(tmp_path / "journal")


async def test_a_subscriber_comes_while_its_events_are_removed(opened, tmp_path):
    """What is a letter already when the subscriber comes is counted as failed; the rest is delivered."""
    path = tmp_path / "journal"
    journal = opened()
    await journal.fill(journal.open(), range(2000))
    journal.file.close()
    journal = opened()
    journal.journal.bounds = Bounds(orphan_keep_s=0)
    journal.clock.advance(1)
    journal.journal.tick()
    queue = journal.open()
    assert queue.stored == 2000
    came = await drain(journal, queue)
    letters = [number for number, _ in letters_in(path)]
    assert letters == list(range(640))
    assert came == list(range(640, 2000))
    assert journal.lost == {"orphaned": 640}


@pytest.mark.parametrize("comes_again", [False, True])
async def test_the_file_is_made_again_before_the_letters_are_made(opened, tmp_path, comes_again):
    """A file that is deleted in the middle is made again with the events that are still to become letters."""
    path = tmp_path / "journal"
    journal = opened()
    queue = journal.open()
    await journal.fill(queue, range(500))
    in_memory = journal.end(queue)
    path.unlink()
    journal.journal._attempts.failed(OSError(), journal.journal.bounds)
    journal.journal._attempts.is_broken = True
    if comes_again:
        await journal.fill(journal.open(), range(500, 510))
    await journal.commit()
    assert sorted(number for number, _ in letters_in(path)) == [n for n in range(500) if n not in in_memory]
    assert waiting_in(path) == (list(range(500, 510)) if comes_again else [])
    assert journal.letters.not_kept == 0


async def test_a_damaged_frame_among_them(opened, tmp_path):
    """The events of a damaged frame are no letters, and are counted as that; those of the others are."""
    path = tmp_path / "journal"
    journal = opened()
    queue = journal.open()
    await journal.fill(queue, range(500))
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("UPDATE frames SET body = zeroblob(100) WHERE last = 499")
    in_memory = journal.end(queue)
    await journal.commit()
    assert len(letters_in(path)) == 490 - len(in_memory)
    assert journal.letters.not_kept == 10
    assert journal.damaged == [(KEY, 10)]


async def test_the_rest_of_a_damaged_frame(opened, tmp_path):
    """What can be read of a damaged frame becomes letters, and what the start leaves in the file stays."""
    path = tmp_path / "journal"
    file = opened().file
    long = frame(*range(200))
    await written(file, long)
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        body = long.encoded()[1].replace(b"[100,", b"[x00,")
        database.execute("UPDATE frames SET body = ?", (body,))
    found = await discarded(file, Discard(key=KEY, start=10, settled=Settled(0), reason="orphaned", letters=LARGE))
    assert (found.count, found.damaged, found.letters) == (190, 64, 126)
    assert [number for number, _ in letters_in(path)] == [*range(10, 64), *range(128, 200)]
    assert waiting_in(path) == list(range(10))


async def test_a_frame_that_is_gone(opened, tmp_path):
    """Events whose frame another program has deleted are counted as not kept."""
    journal = opened()
    queue = journal.open()
    await journal.fill(queue, range(500))
    with closing(sqlite3.connect(tmp_path / "journal", isolation_level=None)) as database:
        database.execute("DELETE FROM frames WHERE last = 499")
    journal.end(queue)
    await journal.commit()
    assert journal.letters.not_kept == 10


async def test_what_is_settled_is_no_letter(opened, tmp_path):
    """Events that were delivered out of their order are no letters, though they are in the frames."""
    path = tmp_path / "journal"
    file = opened().file
    settled = Settled(0)
    settled.add([3, 4])
    await written(file, frame(0, 1, 2, 3), frame(4, 5))
    await discarded(file, Discard(key=KEY, start=1, settled=settled, reason="queue_full", letters=LARGE))
    assert letters_in(path) == [(1, "queue_full"), (2, "queue_full"), (5, "queue_full")]
    assert waiting_in(path) == [0]


def frame(*numbers, text=""):
    payloads = [DEFINITION.snapshot([number, text], 0.0).payload for number in numbers]
    return Frame(KEY, numbers, [1.5] * len(numbers), payloads)


async def written(file, *frames):
    over = asyncio.get_running_loop().create_future()
    file.write(Commit(frames, {}), lambda _, error: over.set_result(error))
    assert await over is None


async def discarded(file, what):
    over = asyncio.get_running_loop().create_future()
    file.discard(what, lambda found, error: over.set_result((found, error)))
    found, error = await over
    assert error is None
    return found


async def test_a_step_is_bounded(opened):
    """One transaction takes so many frames, or events, or bytes, and says whether more are left."""
    file = opened().file
    await written(file, *(frame(number) for number in range(100)))
    what = Discard(key=KEY, start=0, settled=Settled(0), reason="orphaned", letters=LARGE)
    found = await discarded(file, what)
    assert (found.first, found.end, found.count, found.letters, found.is_last) == (0, 64, 64, 64, False)
    found = await discarded(file, what)
    assert (found.first, found.end, found.count, found.is_last) == (64, 100, 36, True)
    await written(file, *(frame(*range(start, start + 3000)) for start in (0, 3000, 6000)))
    assert [(found := await discarded(file, what)).count, found.is_last] == [6000, False]
    assert [(found := await discarded(file, what)).count, found.is_last] == [3000, True]
    await written(file, *(frame(number, text="x" * 5_000_000) for number in range(3)))
    assert [(found := await discarded(file, what)).count, found.is_last] == [2, False]


async def test_the_oldest_letters_make_room(opened, tmp_path):
    """The table stays within its bounds in each step: the oldest letters are dropped, and counted."""
    path = tmp_path / "journal"
    size = len(frame(10).payloads[0]) + len("E_DEAD") + len(KEY) + OVERHEAD
    journal = opened(letters=DeadBounds(200 * size, 0))
    queue = journal.open()
    await journal.fill(queue, range(10, 510))
    in_memory = journal.end(queue)
    await journal.commit()
    count = 500 - len(in_memory)
    kept = [number for number, _ in letters_in(path)]
    assert kept == list(range(510 - len(kept), 510))
    assert 195 <= len(kept) <= 205
    assert journal.letters.added == count
    assert journal.letters.dropped == count - len(kept)
    assert journal.letters.count == len(kept)


async def test_a_full_file(opened, tmp_path):
    """With `drop_oldest` in a full file, letters have their share of it, and newer events are written all the time."""
    journal = opened(letters=DeadBounds(1 << 19, 0), bounds=FileBounds(max_bytes=1 << 20), memory_bytes=2 << 20)
    journal.journal.bounds = Bounds(retry_s=0.0)
    queue = journal.open(when_full="drop_oldest")
    for number in range(20_000):
        journal.put(queue, number, "x" * 100)
        if number % 100 == 0:
            await journal.commit()
    assert (tmp_path / "journal").stat().st_size <= 1 << 20
    assert journal.letters.added > 5000
    assert journal.lost["queue_full"] == journal.letters.added + journal.letters.not_kept
    assert journal.letters.not_kept < journal.letters.added / 4
    letters = [number for number, _ in letters_in(tmp_path / "journal")]
    assert len(letters) > 500
    came = await drain(journal, queue)
    assert came == sorted(came)
    assert not set(letters) & set(came)


async def test_a_file_of_the_version_before(opened, tmp_path):
    """Events of version 3 are counted when their subscriber does not come, as that version has promised; others wait."""
    path = tmp_path / "journal"
    first, body = frame(3, 4).encoded()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.executescript("""
            PRAGMA journal_mode = WAL;
            CREATE TABLE subscribers (key TEXT PRIMARY KEY, low INTEGER NOT NULL) WITHOUT ROWID;
            CREATE TABLE frames (
                key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
                body BLOB NOT NULL
            );
            CREATE UNIQUE INDEX places ON frames (key, last);
            CREATE TABLE dead (
                id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, first_raised REAL NOT NULL,
                event TEXT NOT NULL, socket TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL,
                attempts INTEGER NOT NULL, payload BLOB NOT NULL
            );
            CREATE INDEX dead_at ON dead (at);
            CREATE TABLE damaged (
                at REAL NOT NULL, key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
                count INTEGER NOT NULL, body BLOB NOT NULL
            );
            INSERT INTO subscribers VALUES ('udp:127.0.0.1:1', 4);
            PRAGMA application_id = 0x65766A6E;
            PRAGMA user_version = 3;
        """)
        database.execute("INSERT INTO frames VALUES (?, ?, 4, 2, ?)", (KEY, first, body))
    journal = opened()
    kept = journal.file.open()[KEY]
    assert (kept.low, kept.tail, kept.count, kept.has_letters) == (4, 5, 1, False)
    queue = journal.open()
    await journal.commit()
    assert journal.file.open()[KEY].has_letters
    assert await drain(journal, queue) == [4]


async def test_a_damaged_file_says_it_still(opened, tmp_path):
    """Whether events become letters is read from the pages of a file that SQLite calls damaged."""
    journal = opened()
    await journal.fill(journal.open(), range(500))
    journal.file.close()
    path = tmp_path / "journal"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'places'").fetchone()
        database.execute("SELECT count(*) FROM frames").fetchone()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096 : root * 4096] = bytes(4096)
    path.write_bytes(data)
    file = JournalFile(str(path))
    with pytest.raises(sqlite3.DatabaseError):
        file.open()
    over = asyncio.get_running_loop().create_future()
    file.mend(Commit((), {}), {}, {}, lambda mended, error: over.set_result((mended, error)))
    mended, error = await over
    file.close()
    assert error is None
    assert (mended.kept[KEY].count, mended.kept[KEY].has_letters) == (500, True)


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (DEFINITION.snapshot(None, 0.0).payload, b"E_DEAD"),
        (DEFINITION.snapshot([1], 0.0).payload, b"E_DEAD"),
        (EventRegistry().register('E_"\udcff\u00e9').snapshot(None, 0.0).payload, b'E_"\xff\xc3\xa9'),
        (b"no event", b""),
    ],
)
def test_the_name_of_an_event(payload, name):
    """A letter that is made of a frame has the name that the payload says."""
    assert name_of(payload) == name


async def test_letters_of_the_disk_are_as_those_of_memory(opened):
    """A letter of an event that was on disk has its socket, its name, and the times of the raise and the failure."""
    file = opened().file
    await written(file, frame(7))
    await discarded(file, Discard(key=KEY, start=0, settled=Settled(0), reason="orphaned", letters=LARGE))
    over = asyncio.get_running_loop().create_future()
    file.look(Filter(), 0, 10, whole=True, done=lambda page, error: over.set_result(page))
    (letter,) = (await over).letters
    assert (letter.event, letter.socket, letter.reason, letter.attempts) == ("E_DEAD", KEY, "orphaned", 1)
    assert (letter.first_raised, letter.payload) == (1.5, frame(7).payloads[0])
    assert letter.at > 1_700_000_000
