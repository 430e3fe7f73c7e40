"""Files that are damaged, gone, locked or of another kind: the gateway continues, says so, and mends what it can."""

import asyncio
import fcntl
import json
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from evframe_journal.bounds import Kept
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from evframe_journal.queue import KeptQueue
from kept import configuration

import evframe
from evframe.events.event import EventRegistry
from evframe.testing import FakeClock, until

QUEUE = "[core]\nqueue_size = 100\n"


@contextmanager
def reader(path: Path):
    """Read UNIX datagrams on a thread: the kernel's queue has ten."""
    numbers: list[int] = []

    def run() -> None:
        while payload := peer.recv(65536):
            numbers.append(json.loads(payload)["params"]["number"])

    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as peer:
        peer.bind(str(path))
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield numbers
        finally:
            peer.shutdown(socket.SHUT_RD)
            thread.join()


def raise_all(events, numbers):
    for number in numbers:
        events.raise_event("E_TEST", {"number": number})


def rows_of(path: Path, statement: str):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def on_disk(path: Path) -> int:
    try:
        return rows_of(path, "SELECT coalesce(sum(count), 0) FROM frames")[0][0]
    except sqlite3.DatabaseError:  # it is not there, or being made
        return 0


def status_of(events):
    return events.status.group("core").find("journal")


def assert_whole(counters):
    assert counters.raised == counters.delivered + counters.failed + counters.depth


async def test_damaged_frames_are_passed_over_and_counted(tmp_path):
    """The events of a frame with another byte are lost and counted; the others arrive, in order."""
    peer, file = tmp_path / "peer", tmp_path / "journal"
    path = configuration(tmp_path, f"unix:{peer}", QUEUE)
    async with evframe.EventInterface.from_toml(path) as events:
        for start in range(0, 900, 300):
            raise_all(events, range(start, start + 300))
            await until(lambda start=start: on_disk(file) == start + 300)
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        first, last, count = database.execute(
            "SELECT first, last, count FROM frames ORDER BY last LIMIT 1 OFFSET 1"
        ).fetchone()
        database.execute("UPDATE frames SET body = zeroblob(100) WHERE last = ?", (last,))
    async with evframe.EventInterface.from_toml(path) as events:
        with reader(peer) as numbers:
            await until(lambda: not events.statistics[0].depth)
            counters = events.statistics[0]
            assert_whole(counters)
            assert counters.reasons == {"damaged": count}
            await until(lambda: len(numbers) >= counters.delivered)
            assert numbers == [*range(first), *range(last + 1, 900)]
        assert status_of(events).status == 1
        assert any("damaged" in report.text for report in status_of(events).reports)
    assert rows_of(file, "SELECT count FROM damaged") == [(count,)]


async def test_damaged_pages_are_passed_over(tmp_path):
    """A file with a damaged page is moved aside; what can be read of it arrives, and the rest is counted as missing."""
    peer, file = tmp_path / "peer", tmp_path / "journal"
    path = configuration(tmp_path, f"unix:{peer}", QUEUE)
    async with evframe.EventInterface.from_toml(path) as events:
        for start in range(0, 3000, 30):
            raise_all(events, range(start, start + 30))
            await until(lambda start=start: on_disk(file) == start + 30)
    image = bytearray(file.read_bytes())
    leaves = [at for at in range(4096, len(image), 4096) if image[at] == 13]
    image[leaves[-3] : leaves[-3] + 4096] = b"x" * 4096
    file.write_bytes(image)
    async with evframe.EventInterface.from_toml(path) as events:
        raise_all(events, range(3000, 3010))
        await until(lambda: Path(f"{file}.damaged").exists() and status_of(events).status == 1)
        with reader(peer) as numbers:
            await until(lambda: events.statistics[0].raised > 10 and not events.statistics[0].depth)
            assert_whole(events.statistics[0])
            await until(lambda: len(numbers) >= events.statistics[0].delivered)
            assert 2900 < len(numbers) < 3010
            assert numbers == sorted(set(numbers))
            assert set(range(3000, 3010)) <= set(numbers)
    assert Path(f"{file}.damaged").read_bytes() == image


async def test_a_file_that_another_process_has_is_opened_later(tmp_path):
    """Events wait in memory while another process has the file, and are on disk behind those in it afterwards."""
    peer, file = tmp_path / "peer", tmp_path / "journal"
    path = configuration(tmp_path, f"unix:{peer}", QUEUE)
    async with evframe.EventInterface.from_toml(path) as events:
        raise_all(events, range(500))
    with file.open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        async with evframe.EventInterface.from_toml(path) as events:
            raise_all(events, range(500, 1000))
            assert events.statistics[0].depth == 500
            assert status_of(events).status == -1
            assert "another process" in (status_of(events).details or "")
            fcntl.flock(other, fcntl.LOCK_UN)
            await until(lambda: status_of(events).status == 1 and on_disk(file) == 1000)
            assert events.statistics[0].raised == events.statistics[0].depth == 1000
            with reader(peer) as numbers:
                await until(lambda: len(numbers) >= 1000)
                assert numbers == list(range(1000))


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 99", "PRAGMA application_id = 7"])
async def test_a_file_of_another_kind_is_left_as_it_is(tmp_path, statement):
    """A file of a later version, or of another program, is not touched; once it is away, a new one is made."""
    peer, file = tmp_path / "peer", tmp_path / "journal"
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("CREATE TABLE frames (a)")
        database.execute(statement)
    before = file.read_bytes()
    async with evframe.EventInterface.from_toml(configuration(tmp_path, f"unix:{peer}", QUEUE)) as events:
        raise_all(events, range(10))
        await until(lambda: status_of(events).status == -1)
        await asyncio.sleep(0.5)  # some attempts
        assert file.read_bytes() == before
        file.rename(tmp_path / "other")
        await until(lambda: on_disk(file) == 10)
        assert status_of(events).status == 1


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_file_that_is_deleted_or_replaced_is_made_again(tmp_path, is_replaced):
    """What waits is in a new file within seconds, although no event comes; nothing is lost."""
    peer, file = tmp_path / "peer", tmp_path / "journal"
    path = configuration(tmp_path, f"unix:{peer}", QUEUE)
    async with evframe.EventInterface.from_toml(path) as events:
        raise_all(events, range(1000))
        await until(lambda: on_disk(file) == 1000)
        file.unlink()
        if is_replaced:
            file.write_bytes(b"something else")
        aside = Path(f"{file}.damaged")
        await until(lambda: aside.exists() == is_replaced and on_disk(file) == 1000)
        raise_all(events, range(1000, 1010))
        await until(lambda: on_disk(file) == 1010)
        assert events.statistics[0].depth == 1010
        assert not is_replaced or aside.read_bytes() == b"something else"
    with reader(peer) as numbers:
        async with evframe.EventInterface.from_toml(path) as events:
            await until(lambda: len(numbers) >= 1010)
            assert numbers == list(range(1010))


@pytest.mark.parametrize("table", ["frames", "dead", "subscribers", "damaged"])
async def test_a_table_that_another_program_drops(tmp_path, table):
    """A file without one of its tables is made again while the gateway runs, and everything is delivered."""
    peer, file = tmp_path / "peer", tmp_path / "journal"
    path = configuration(tmp_path, f"unix:{peer}", QUEUE)
    async with evframe.EventInterface.from_toml(path) as events:
        raise_all(events, range(300))
        await until(lambda: on_disk(file) == 300)
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            database.execute(f"DROP TABLE {table}")
        journal = events.plugin("journal")
        journal.letters.add("memory:a", [events.event("E_TEST").snapshot(None, 0.0)], ["rejected"])
        raise_all(events, range(300, 600))
        await until(lambda: journal.letters.added and journal.on_disk == events.statistics[0].depth)
        assert rows_of(file, "SELECT count(*) FROM dead") == [(1,)]
        assert status_of(events).status == 1
        with reader(peer) as numbers:
            await until(lambda: not events.statistics[0].depth)
        assert_whole(events.statistics[0])
        lost = events.statistics[0].failed
        assert numbers == sorted(numbers)
        assert len(numbers) == 600 - lost
        assert lost == 0 or table == "frames"


async def test_events_under_way_when_the_file_is_opened_late(tmp_path):
    """What came back before the events of the file, and is not written at the end, is counted as lost then."""
    clock = FakeClock()
    lost = []
    calls = Calls(failed=lambda events, _, reason: lost.append(([event.params[0] for event in events], reason)))
    queue = KeptQueue("udp:127.0.0.1:1", Owner(), Limits(100), Kept(0, 0, 0), calls)
    definition = EventRegistry().register("E")
    for number in range(4):
        event = definition.snapshot([number], clock())
        if len(queue) < queue.room:
            queue.append(event)
        else:
            assert queue.spill(event)
    events, dones = queue.take(2, 1)
    queue.adopt(Kept(0, 10, 10))
    queue.settle(1, [0, 1])
    queue.give_back(1, events, dones)
    assert queue.give_up() == 4
    assert lost == [([0, 1, 2, 3], "shutdown")]
    assert len(queue) + queue.stored == 10


class Owner:
    """A journal that reads nothing."""

    is_full = False

    def __init__(self):
        self.memory = Memory(1 << 20)

    def read(self, queue, position, most):
        """Do nothing."""
