"""Dead letters: what the table keeps, what its bounds drop, and what is counted as not kept."""

import asyncio
import json
import sqlite3

import pytest
from disks import file_size_limit
from evframe_journal import JournalPlugin, Options
from evframe_journal.bounds import Bounds
from evframe_journal.dead import DeadLetters
from evframe_journal.file import KIND, JournalFile
from evframe_journal.journal import Journal
from evframe_journal.letters import OVERHEAD, STEP, Filter
from evframe_journal.letters import Bounds as DeadBounds
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory

from evframe.events.event import EventRegistry
from evframe.testing import FakeClock, until

REGISTRY = EventRegistry()
DEFINITION, OTHER = REGISTRY.register("E_DEAD"), REGISTRY.register("E_OTHER")
SOCKET = "udp:127.0.0.1:1"
NOW = 1_700_000_000.0


class Opened:
    """A journal on a real file, whose ticks the test calls."""

    def __init__(self, path, bounds=DeadBounds(1 << 30, 0), most_bytes=1 << 30):
        self.clock = FakeClock()
        self.start = self.clock()
        self.problems = []
        self.file = JournalFile(str(path))
        self.letters = DeadLetters(bounds=bounds, clock=self.clock, wall=self.wall, most_bytes=most_bytes)
        self.journal = Journal(
            file=self.file,
            bounds=Bounds(retry_s=0.0),
            memory=Memory(1 << 26),
            event_of=DEFINITION.restored,
            report=self.problems.append,
            letters=self.letters,
            clock=self.clock,
            wall=self.wall,
        )
        self.journal.restore(self.file.open())

    def wall(self):
        return NOW + self.clock() - self.start

    def fail(self, *numbers, reason="rejected", definition=DEFINITION, socket=SOCKET, detail=""):
        events = [definition.snapshot({"number": number}, self.clock()) for number in numbers]
        self.letters.add(socket, events, [reason] * len(events), detail)

    async def commit(self):
        """Write all that waits; return whether the last commit has succeeded."""
        while self.journal.tick():
            await asyncio.sleep(0.001)
        return self.problems[-1] is None

    async def page(self, wanted=Filter(), after=0, most=1000, *, whole=False):
        found = asyncio.get_running_loop().create_future()
        self.file.look(wanted, after, most, whole=whole, done=lambda page, error: found.set_result((page, error)))
        page, error = await found
        assert error is None
        return page

    async def numbers(self, wanted=Filter()):
        page = await self.page(wanted, whole=True)
        return [json.loads(letter.payload)["params"]["number"] for letter in page.letters]


@pytest.fixture
async def open_(tmp_path):
    opened = []

    def open_(**options):
        while opened:
            opened.pop().file.close()
        opened.append(Opened(tmp_path / "journal", **options))
        return opened[-1]

    yield open_
    opened.pop().file.close()


async def test_a_letter_has_all_that_is_known_of_the_event(open_):
    """A letter says when, where and why an event failed, and has its payload, also in the next process."""
    opened = open_()
    event = DEFINITION.snapshot({"number": 1}, opened.clock())
    opened.clock.advance(5)
    opened.letters.add(SOCKET, [event], ["too_large"], "expected 10 bytes")
    assert await opened.commit()
    (letter,) = (await open_().page(whole=True)).letters
    assert (letter.id, letter.event, letter.socket) == (1, "E_DEAD", SOCKET)
    assert (letter.reason, letter.detail, letter.attempts) == ("too_large", "expected 10 bytes", 1)
    assert (letter.at - letter.first_raised, letter.payload, letter.size) == (5, event.payload, len(event.payload))


async def test_names_that_are_no_text_are_kept(open_):
    """A socket and an event with bytes that are no UTF-8 come back as they were; an error's text is made readable."""
    opened = open_()
    opened.fail(1, definition=REGISTRY.register("E_\udcff"), socket="unix:/tmp/\udcfe", detail="a \udcff path")
    assert await opened.commit()
    (letter,) = (await opened.page()).letters
    assert (letter.event, letter.socket, letter.detail) == ("E_\udcff", "unix:/tmp/\udcfe", "a \\udcff path")


async def test_failures_of_one_moment_are_one_commit(open_):
    """A burst of failures costs no commit each: those that come before a tick are written together."""
    opened = open_()
    for number in range(5000):
        opened.fail(number)
    assert await opened.commit()
    assert len(opened.problems) == 1
    assert opened.letters.count == opened.letters.added == 5000


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(socket="udp:*"), [0, 1, 3]),
        (Filter(socket="tcp:127.0.0.?:2"), [2]),
        (Filter(event="E_O*"), [3]),
        (Filter(reason="expired"), [1]),
        (Filter(before=NOW + 11), [0, 1]),
        (Filter(since=NOW + 11), [2, 3]),
        (Filter(socket="udp:*", reason="rejected", since=NOW + 20), [3]),
        (Filter(ids=(2, 4)), [1, 3]),
        (Filter(ids=(2, 4), event="E_DEAD"), [1]),
        (Filter(ids=(77,)), []),
        (Filter(up_to=2), [0, 1]),
    ],
)
async def test_filters(open_, wanted, expected):
    """A filter finds the letters that fit all of it, ascending by id."""
    opened = open_()
    opened.fail(0)
    opened.clock.advance(10)
    opened.fail(1, reason="expired")
    opened.clock.advance(10)
    opened.fail(2, socket="tcp:127.0.0.1:2")
    opened.fail(3, definition=OTHER)
    await opened.commit()
    assert await opened.numbers(wanted) == expected


async def test_one_read_looks_at_a_bounded_number_of_letters(open_):
    """A filter that fits nearly nothing holds up no commit: a read ends after so many letters, and says where."""
    opened = open_()
    opened.fail(*range(STEP + 10))
    opened.fail(1, reason="expired")
    await opened.commit()
    page = await opened.page(Filter(reason="expired"))
    assert (list(page.letters), page.next) == ([], STEP)
    page = await opened.page(Filter(reason="expired"), after=page.next)
    assert ([letter.id for letter in page.letters], page.next) == ([STEP + 11], None)


async def test_pages_are_bounded(open_):
    """A page has at most as many letters as are asked for, and the next one begins behind it."""
    opened = open_()
    opened.fail(*range(25))
    await opened.commit()
    ids, after = [], 0
    while after is not None:
        page = await opened.page(after=after, most=10)
        assert len(page.letters) <= 10
        ids.append([letter.id for letter in page.letters])
        after = page.next
    assert ids == [list(range(1, 11)), list(range(11, 21)), list(range(21, 26))]


async def test_the_oldest_letters_are_dropped_and_counted(open_):
    """Above `dead_max_bytes` the oldest letters go, also those of an earlier process."""
    size = len(DEFINITION.snapshot({"number": 10}, 0.0).payload) + len("E_DEAD") + len(SOCKET) + OVERHEAD
    opened = open_(bounds=DeadBounds(10 * size, 0))
    for number in range(10, 25):
        opened.fail(number)
        opened.clock.advance(1)
    await opened.commit()
    assert await opened.numbers() == list(range(15, 25))
    assert (opened.letters.dropped, opened.letters.count, opened.letters.bytes) == (5, 10, 10 * size)
    opened = open_(bounds=DeadBounds(7 * size, 0))
    opened.start += 1000  # the wall clock has been set back, which makes no letter the oldest one
    opened.fail(25)
    await opened.commit()
    assert await opened.numbers() == list(range(19, 26))
    assert opened.letters.dropped == 4


async def test_old_letters_are_dropped_and_counted(open_):
    """Letters older than `dead_max_age_s` go within a minute, in commits that each drop a bounded number."""
    opened = open_(bounds=DeadBounds(1 << 30, 100))
    opened.fail(*range(STEP + 5))
    opened.clock.advance(50)
    opened.fail(-1)
    await opened.commit()
    opened.clock.advance(60)
    await opened.commit()
    assert await opened.numbers() == [-1]
    assert (opened.letters.dropped, opened.letters.count) == (STEP + 5, 1)
    assert len(opened.problems) == 3


async def test_what_cannot_be_written_is_counted(open_):
    """While the disk is full, letters wait in memory up to a bound; the others are counted as not kept."""
    opened = open_(most_bytes=2_000_000)
    await opened.commit()
    with file_size_limit(300_000):
        for number in range(10_000):
            opened.fail(number)
        assert not await commit_once(opened)
        not_kept = opened.letters.not_kept
        assert 1000 < not_kept < 9000
    assert await commit_once(opened)
    await opened.commit()
    assert await count(opened) == 10_000 - not_kept
    opened.fail(1)
    opened.letters.give_up()
    assert opened.letters.not_kept == not_kept + 1


async def commit_once(opened):
    before = len(opened.problems)
    opened.clock.advance(60)
    assert opened.journal.tick()
    await until(lambda: len(opened.problems) > before)
    return opened.problems[-1] is None


async def count(opened):
    total, after = 0, 0
    while after is not None:
        page = await opened.page(after=after)
        total, after = total + len(page.letters), page.next
    return total


async def test_removals_and_repeated_failures(open_):
    """A letter that is removed is gone when that is on disk; one that failed again has another attempt and reason."""
    opened = open_()
    opened.fail(1, 2, 3)
    await opened.commit()
    opened.letters.claimed |= {1, 2}
    removed = []
    opened.letters.remove_all((1,), lambda: removed.append(1))
    opened.clock.advance(7)
    opened.letters.fail_again(2, "expired", "in a replay")
    assert opened.letters.claimed == {1, 2}
    await opened.commit()
    assert (removed, opened.letters.claimed, opened.letters.count) == ([1], set(), 2)
    first, second = (await opened.page()).letters
    assert (first.id, first.attempts, first.reason, first.detail) == (2, 2, "expired", "in a replay")
    assert (first.at, first.first_raised) == (NOW + 7, NOW)
    assert (second.id, second.attempts) == (3, 1)


async def test_an_id_is_not_used_again(open_):
    """The letter after one that was removed has another id."""
    opened = open_()
    opened.fail(1)
    await opened.commit()
    opened.letters.remove(1)
    await opened.commit()
    opened = open_()
    opened.fail(2)
    await opened.commit()
    assert [letter.id for letter in (await opened.page()).letters] == [2]


async def test_a_file_of_version_1_gets_the_table(tmp_path, open_):
    """A file that was made before there were dead letters keeps its events, and takes letters."""
    path = tmp_path / "journal"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE subscribers (key TEXT PRIMARY KEY, low INTEGER NOT NULL) WITHOUT ROWID")
        database.execute(
            "CREATE TABLE frames ("
            " key TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,"
            " body BLOB NOT NULL)"
        )
        database.execute("CREATE UNIQUE INDEX places ON frames (key, last)")
        database.execute("INSERT INTO subscribers VALUES (?, 7)", (SOCKET,))
        database.execute(f"PRAGMA application_id = {KIND.application}")
        database.execute("PRAGMA user_version = 1")
    database.close()
    opened = open_()
    assert opened.file.open()[SOCKET].low == 7
    opened.fail(1)
    assert await opened.commit()
    assert await opened.numbers() == [1]


async def test_a_letter_and_the_outcome_of_its_event_are_one_commit(open_):
    """An event that fails for good leaves its frame, and becomes a letter, in one commit: a crash finds one of both."""
    opened = open_()
    queue = opened.journal.open(SOCKET, Limits(10), Calls())
    for number in range(3):
        queue.append(DEFINITION.snapshot({"number": number}, opened.clock()))
    opened.clock.advance(1)
    await opened.commit()
    commits = len(opened.problems)
    events, _ = queue.take(3, 1)
    queue.settle(1, ())
    opened.letters.add(SOCKET, events, ["rejected"] * 3)
    await opened.commit()
    assert len(opened.problems) == commits + 1
    assert await opened.numbers() == [0, 1, 2]
    assert open_().journal.open(SOCKET, Limits(10), Calls()).stored == 0


def test_letters_leave_half_of_the_file_to_events_that_wait():
    """Where the file has a bound, letters may fill half of it, also after a reload."""
    journal = JournalPlugin(Options(path="x", max_bytes=2_000_000, dead_max_age_s=60))
    assert journal.letters.bounds == DeadBounds(1_000_000, 60)
    journal.reconfigure(Options(path="x", max_bytes=2_000_000, dead_max_bytes=5000, dead_max_age_s=0))
    assert journal.letters.bounds == DeadBounds(5000, 0)
