"""The store: what it takes, what it refuses, and what it has after a kill."""

import asyncio
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest
from damage import each_damaged
from evframe_files.database import DatabaseFile
from evframe_usrloc import Options, Registration, Usrloc
from evframe_usrloc.contacts import pack
from evframe_usrloc.journal import Changes, Journal
from evframe_usrloc.store import VERSION, Store
from processes import bound

import evframe
from evframe.plugins.commands import CommandError
from evframe.testing import FakeClock, Recorder, until

START = 1_000_000.0


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "usrloc.sqlite")


@pytest.fixture
def clock():
    return FakeClock(START)


def recorder(path, clock, **options):
    return Recorder({"usrloc": Usrloc(Options(**{"db_path": path, **options}), clock=clock)})


def rows(path, query="SELECT aor, uri, expires FROM contact ORDER BY 1, 2"):
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


def names(events):
    return [f"{name[5:]} {params.get('uri', params['aor'])}" for name, params in events]


async def test_what_was_written_is_read(path, clock):
    """A stop writes everything; a start reads it, raises what a registration raises, and leaves out what has expired."""
    full = Registration("c", None, 0.25, "r", "p", "ua ü", "s", 3, "at", "vip", 5, 6, push=True)
    async with recorder(path, clock) as first:
        usrloc = first.plugin("usrloc")
        await usrloc.ready()
        usrloc.save("bob", [Registration("a", 10), Registration("b", 100), full], callid="call", cseq=4)
        before = usrloc.lookup("bob")
        usrloc.ping_answered(before[0], 77)
    clock.advance(10)
    async with recorder(path, clock) as second:
        await second.plugin("usrloc").ready()
        assert set(second.plugin("usrloc").lookup("bob")) == {each for each in before if each.uri != "a"}
        assert names(await second.events()) == ["AOR_INSERT bob", "CONTACT_INSERT b", "CONTACT_INSERT c"]
    assert rows(path) == [("bob", "b", START + 100), ("bob", "c", 0)]


async def test_the_files_belong_to_their_owner(path, clock):
    """The store and its journals are for their owner alone, whatever their mode was."""
    with open(path, "wb"):
        os.chmod(path, 0o644)
    async with recorder(path, clock) as each:
        each.plugin("usrloc").register("bob", "a")
        each.plugin("usrloc").flush()
        await until(lambda: rows(path) != [])
        modes = {file.name: file.stat().st_mode & 0o777 for file in os.scandir(os.path.dirname(path))}
    assert set(modes.values()) == {0o600}
    assert len(modes) == 3


async def test_a_lock_at_the_start(path, clock, monkeypatch):
    """A store that another process has locked is no error of the start, and is read once the lock is gone."""
    monkeypatch.setattr("evframe_usrloc.persistence._AGAIN_S", 0.01)
    async with recorder(path, clock) as first:
        first.plugin("usrloc").register("bob", "a")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    async with recorder(path, clock) as second:
        usrloc = second.plugin("usrloc")
        usrloc.register("carol", "b")
        await until(lambda: usrloc.counters()["Store"]["errors"] > 1)
        other.close()
        await usrloc.ready()
        assert len(usrloc.lookup("bob")) == 1
    assert [aor for aor, _, _ in rows(path)] == ["bob", "carol"]


async def test_load_silently(path, clock):
    """With `load_silently` nothing is raised for what is read."""
    async with recorder(path, clock) as first:
        first.plugin("usrloc").register("bob", "a")
    async with recorder(path, clock, load_silently=True) as second:
        await second.plugin("usrloc").ready()
        assert len(second.plugin("usrloc")) == 1
        assert await second.events() == []


async def test_a_refresh_is_asked_for_once_over_a_restart(path, clock):
    """A contact whose refresh was asked for is not asked again after a start."""
    for expected in (["CONTACT_REFRESH a"], []):
        async with recorder(path, clock, contact_refresh_timer=True, load_silently=True) as each:
            usrloc = each.plugin("usrloc")
            await usrloc.ready()
            if expected:
                usrloc.register("bob", "a", push=True)
                await each.events()
                clock.advance(3500)
            usrloc.expire()
            assert names(await each.events()) == expected


async def test_flush_and_interval(path, clock):
    """Changes are written on the command, and without it after the interval."""
    async with recorder(path, clock) as slow:
        usrloc = slow.plugin("usrloc")
        usrloc.register("bob", "a")
        assert slow.command("ul_flush") == "OK"
        await until(lambda: not usrloc.counters()["Store"]["pending"])
        assert rows(path) == [("bob", "a", START + 3600)]
        usrloc.delete("bob")
        assert usrloc.counters()["Store"]["pending"] == 1
    assert rows(path) == []
    async with recorder(path, clock, timer_interval_s=0.01) as quick:
        quick.plugin("usrloc").register("bob", "a")
        await until(lambda: rows(path) != [])


async def test_many_changes_do_not_wait(path, clock, monkeypatch):
    """Changes that are many are written before the interval is over."""
    monkeypatch.setattr("evframe_usrloc.persistence._MANY", 10)
    async with recorder(path, clock) as each:
        for number in range(10):
            each.plugin("usrloc").register("bob", f"sip:{number}")
        await until(lambda: len(rows(path)) == 10)


async def test_sync(path, clock):
    """A sync has the store forget what memory does not have, in a table or at one address."""
    async with recorder(path, clock) as each:
        usrloc = each.plugin("usrloc")
        await usrloc.ready()
        for aor in ("amy", "bob"):
            usrloc.register(aor, "a")
            usrloc.register(aor, "a", domain="other")
        usrloc.flush()
        await until(lambda: len(rows(path)) == 4)
        db = sqlite3.connect(path)
        db.execute("UPDATE contact SET uri = 'somebody-else'")
        db.commit()
        db.close()
        assert each.command("ul_sync", table_name="location", aor="bob") == "OK"
        query = "SELECT domain, aor FROM contact WHERE uri = 'a' ORDER BY 1, 2"
        await until(lambda: rows(path, query) == [("location", "bob")])
        assert each.command("ul_sync", table_name="location") == "OK"
        await until(lambda: rows(path, query) == [("location", "amy"), ("location", "bob")])
        assert len(rows(path)) == 4


async def test_no_store(clock):
    """Without a file there is nothing to flush, which is fine, and nothing to compare with, which is an error."""
    async with recorder("", clock) as each:
        assert each.command("ul_flush") == "OK"
        with pytest.raises(CommandError, match="No database"):
            each.command("ul_sync", table_name="location")
        assert "Store" not in each.command("usrloc:counters")


async def test_changes_while_it_is_read(path, clock):
    """What changes before the store was read stays as it is, in memory and in the store."""
    async with recorder(path, clock) as first:
        usrloc = first.plugin("usrloc")
        for aor in ("amy", "bob", "cid", "dan"):
            usrloc.save(aor, [Registration("a", 100), Registration("b", 100)])
    async with recorder(path, clock) as second:
        usrloc = second.plugin("usrloc")
        usrloc.register("amy", "a", expires_s=500)
        usrloc.delete("bob")
        usrloc.delete_contact("cid", "b")
        assert (usrloc.delete("\ud800"), usrloc.delete_contact("cid", "a\0b")) == (0, 0)
        with pytest.raises(CommandError, match="Bad parameter value"):
            second.command("ul_sync", table_name="location", aor="\ud800")
        usrloc.save("dan", [Registration("a", expires_s=0), Registration("c", 100)])
        await usrloc.ready()
        kept = sorted((contact.aor, contact.uri, contact.expires - START) for contact in usrloc)
    expected = [("amy", "a", 500), ("amy", "b", 100), ("cid", "a", 100), ("dan", "b", 100), ("dan", "c", 100)]
    assert kept == expected
    assert [(aor, uri, expires - START) for aor, uri, expires in rows(path)] == expected


async def test_a_stop_while_it_is_read(path, clock):
    """What was not read yet stays in the store, beside what has changed meanwhile."""
    async with recorder(path, clock) as first:
        first.plugin("usrloc").save("bob", [Registration("a"), Registration("b")])
    async with recorder(path, clock) as second:
        usrloc = second.plugin("usrloc")
        usrloc.register("bob", "c")
        usrloc.delete_contact("bob", "b")
        assert not usrloc._ready.is_set()
    assert [uri for _, uri, _ in rows(path)] == ["a", "c"]


def test_writes_are_all_or_none(path):
    """A write that fails changes nothing, and can be done again."""
    store = Store(path)
    store.open()
    journal = Journal(0)
    binding = Registration("a").binding("location", "bob", 0, "", 1, 0, START)
    journal.keep(binding)
    store.write(journal.take(1))
    journal.drop(binding)
    (changes,) = journal.take(1)
    assert journal.take(1) == []
    with pytest.raises(sqlite3.Error):
        store.write([changes, Changes(contacts={"d\0b\0u": pack(binding[:-1])})])
    assert len(rows(path)) == 1
    store.write([changes])
    assert rows(path) == []
    store.close()


async def test_a_store_that_takes_nothing(path, clock, caplog):
    """Changes wait in memory while the store is locked; that is counted, and shown in the status and the log."""
    async with recorder(path, clock, timer_interval_s=0.01) as each:
        usrloc = each.plugin("usrloc")
        await usrloc.ready()
        status = each.interface.status.group("usrloc").find("store")
        usrloc._persistence._thread.submit(
            lambda: usrloc._persistence._store._file.database.execute("PRAGMA busy_timeout = 1")
        )
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("BEGIN EXCLUSIVE")
        usrloc.register("bob", "a")
        await until(lambda: usrloc.counters()["Store"]["errors"] > 2)
        assert (status.status, "locked" in status.details) == (-1, True)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        assert len(usrloc.lookup("bob")) == 1
        usrloc.register("bob", "b")
        db.execute("ROLLBACK")
        db.close()
        await until(lambda: [uri for _, uri, _ in rows(path)] == ["a", "b"])
        await until(lambda: status.status == 1)


async def test_the_loop_does_not_wait_for_the_disk(path, clock):
    """The loop runs while the store hangs, and a stop is over within its bound."""
    config = evframe.Config(core=evframe.config.CoreOptions(drain_timeout_s=0.1))
    hangs = threading.Event()
    usrloc = Usrloc(Options(db_path=path, timer_interval_s=0.01), clock=clock)
    async with evframe.EventInterface(config, plugins={"usrloc": usrloc}), asyncio.timeout(20):
        await usrloc.ready()
        usrloc._persistence._thread.submit(hangs.wait)
        for number in range(100):
            usrloc.register("bob", f"sip:{number}")
            await asyncio.sleep(0.001)
        assert len(usrloc) == 100
    hangs.set()


@pytest.mark.parametrize("what", ["text", "another", "later", "directory"])
async def test_what_is_no_store(path, clock, what, tmp_path):
    """A file that is somebody else's, or of a later version, is an error of the start, and is left alone."""
    if what == "text":
        (tmp_path / "usrloc.sqlite").write_text("not a database, but long enough to look at " * 40)
    elif what == "another":
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE contact (name TEXT)")
        db.close()
    elif what == "later":
        async with recorder(path, clock):
            pass
        db = sqlite3.connect(path)
        db.execute(f"PRAGMA user_version = {VERSION + 1}")
        db.close()
    else:
        os.mkdir(path)
        with pytest.raises(ValueError, match="db_path: expected the path of a file in a directory that exists"):
            Options(db_path=path)
        return
    before = (tmp_path / "usrloc.sqlite").read_bytes()
    with pytest.raises(OSError, match="plugins.usrloc.db_path: .*usrloc.sqlite"):
        async with recorder(path, clock):
            pass
    assert (tmp_path / "usrloc.sqlite").read_bytes() == before


async def test_a_store_that_cannot_be_read(path, clock, caplog, monkeypatch):
    """That a disk cannot read a store is in the log and in the status; it stays as it is, and the registry works."""

    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Store, "read", fail)
    async with recorder(path, clock) as second:
        usrloc = second.plugin("usrloc")
        await usrloc.ready()
        status = second.interface.status.group("usrloc").find()
        assert (status.status, "cannot be read" in status.details) == (-1, True)
        assert usrloc.counters()["Store"]["errors"] == 1
        assert usrloc.register("bob", "a").uri == "a"
    assert "the store cannot be read" in [record.message for record in caplog.records]
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


async def test_a_table_that_is_gone(path, clock, caplog):
    """The store is made again, and the one without the table is kept aside."""
    async with recorder(path, clock) as first:
        first.plugin("usrloc").register("bob", "a")
    rows(path, "DROP TABLE contact")
    async with recorder(path, clock) as second:
        await second.plugin("usrloc").ready()
        second.plugin("usrloc").register("carol", "b")
    assert "carol" in {aor for aor, _, _ in rows(path)}
    assert os.path.exists(f"{path}.damaged")
    assert caplog.messages.count("the store was damaged") == 1


@pytest.mark.parametrize("seed", range(8))
async def test_bytes_that_have_changed_anywhere(path, clock, seed):
    """A start with a store in which any bytes are others has what is not in their places, and writes to it."""
    async with recorder(path, clock) as first:
        usrloc = first.plugin("usrloc")
        await usrloc.ready()
        for number in range(300):
            usrloc.register(f"user{number:04}@example.org", f"sip:user{number}@192.0.2.1", callid=f"call-{number}")
    for each in each_damaged(path, range(20 * seed, 20 * seed + 20)):
        async with recorder(path, clock) as second:
            usrloc = second.plugin("usrloc")
            await usrloc.ready()
            assert second.interface.status.group("usrloc").find().status > 0, each
            assert len(usrloc) > 150, each
            usrloc.register("bob", "a")
        assert rows(path, "SELECT uri FROM contact WHERE aor = 'bob'") == [("a",)]


KILLED = """
import asyncio, sys
import evframe
from evframe_usrloc import Options, Usrloc

async def main():
    usrloc = Usrloc(Options(db_path=sys.argv[1], timer_interval_s=0.02))
    async with evframe.EventInterface(plugins={"usrloc": usrloc}):
        await usrloc.ready()
        for number in range(10_000_000):
            usrloc.register(f"user{number}", "sip:a")
            if number % 100 == 99:
                usrloc.delete(f"user{number - 50}")
                await asyncio.sleep(0)
            if number % 500 == 499:
                while usrloc.counters()["Store"]["pending"]:
                    await asyncio.sleep(0.001)
                print(number + 1, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("bursts", [2, 5])
async def test_a_killed_process_loses_what_was_not_written(path, clock, bursts):
    """After a kill everything is stored that the interval was over for, and the store continues."""
    process = subprocess.Popen(bound(sys.executable, "-c", KILLED, path), stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(bursts):
            assert process.stdout.readline()
    finally:
        process.kill()
        written = max(bursts * 500, *map(int, process.communicate()[0].split() or [0]))
    assert process.returncode == -signal.SIGKILL
    async with Recorder({"usrloc": Usrloc(Options(db_path=path))}) as each:
        usrloc = each.plugin("usrloc")
        await usrloc.ready()
        there = {int(contact.aor[4:]) for contact in usrloc}
        assert {number for number in there if number < written} == {
            number for number in range(written) if number % 100 != 49
        }
        usrloc.delete("user0")
    assert len(rows(path)) == len(there) - 1


async def test_damaged_pages(path, clock, caplog, tmp_path):
    """What is on the other pages of a damaged store is kept, through further starts, and the damaged store too."""
    (tmp_path / "elsewhere").mkdir()
    real = tmp_path / "elsewhere" / "real"
    os.symlink(real, path)
    full = Registration("c", None, 0.25, "r", "p", "ua ü", "s", 3, "at", "vip", 5, 6, push=True)
    wanted = {}
    async with recorder(path, clock) as first:
        usrloc = first.plugin("usrloc")
        await usrloc.ready()
        for number in range(3000):
            aor = f"user{number:04}"
            wanted[aor] = usrloc.save(aor, [Registration("a", 100), full], callid="call", cseq=4)
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(os.urandom(4096 * 3))
    damaged = real.read_bytes()
    for _ in range(2):
        async with recorder(path, clock, load_silently=True) as each:
            usrloc = each.plugin("usrloc")
            await usrloc.ready()
            found = {aor: usrloc.lookup(aor) for aor in wanted}
            assert 5600 < sum(map(len, found.values())) < 6000
            assert all(set(contacts) <= set(wanted[aor]) for aor, contacts in found.items())
            assert each.interface.status.find("usrloc").find("main").status == 1
            usrloc.register("new", "a")
    assert real.with_name("real.damaged").read_bytes() == damaged
    assert sorted(os.listdir(real.parent)) == ["real", "real.damaged"]
    assert caplog.messages.count("the store was damaged") == 1
    assert not [record for record in caplog.records if record.exc_info]
    assert rows(path, "SELECT aor FROM contact WHERE aor = 'new'") == [("new",)]


def test_rebuilt_store_that_was_not_put_in_its_place(path, monkeypatch):
    """A rebuilt store that a killed process could not put in its place is put there by the next one."""
    store = Store(path)
    store.open()
    contact = ("location", "bob", "a", None, None, 0, "", "", 0, 0, "call", 1, "", 0, "", 0, 0, 1.5, 0)
    with monkeypatch.context() as patch:
        patch.setattr(DatabaseFile, "_take_over", lambda _: None)
        store.rebuild([contact])
        store.close()
    assert rows(path) == []
    store.open()
    assert store.read(10) == [contact]
    assert store.salvage() == [contact]
    store.close()


async def test_damaged_store_on_a_full_disk(path, clock, monkeypatch):
    """While there is no room for a new store what could be read of a damaged one is known, and nothing is moved."""
    monkeypatch.setattr("evframe_usrloc.persistence._AGAIN_S", 0.01)
    async with recorder(path, clock) as first:
        usrloc = first.plugin("usrloc")
        await usrloc.ready()
        for number in range(3000):
            usrloc.register(f"user{number:04}", "a")
    with open(path, "r+b") as file:
        file.seek(os.path.getsize(path) // 2)
        file.write(os.urandom(4096 * 3))
    blocked = os.path.join(path + ".part", "x")
    os.makedirs(blocked)  # no file can be made there
    async with recorder(path, clock) as each:
        usrloc = each.plugin("usrloc")
        await until(lambda: len(usrloc) > 2500)
        await until(lambda: "cannot be opened" in each.interface.status.find("usrloc").find("main").details)
        assert not os.path.exists(path + ".damaged")
        os.removedirs(blocked)
        await usrloc.ready()
    assert len(rows(path)) > 2500
