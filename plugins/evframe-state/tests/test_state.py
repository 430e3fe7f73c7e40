"""Leases that survive a restart."""

import asyncio
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from disks import file_size_limit
from evframe_state import LeaseKeeper, Options
from evframe_state.lease_file import KIND, KeptLease, LeaseFile
from hypothesis import given, settings
from hypothesis import strategies as st

import evframe
from evframe.plugin import CLIENT_KEYS, Policy
from evframe.testing import FakeClock, MemorySocket, MemoryTransport, until


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "leases")


def compose(path, wall=None, monotonic=None, events=("E_A", "E_B")):
    keeper = LeaseKeeper(Options(path), clock=wall or FakeClock())
    plugins = {"memory": MemoryTransport(), "state": keeper}
    interface = evframe.EventInterface(plugins=plugins, clock=monotonic or FakeClock())
    for name in events:
        interface.register_event(name)
    return interface


def status(interface):
    found = interface.status.find("core").find("state")
    return found.status, found.details


def leases(interface):
    return {
        (lease.event.name, lease.subscriber.socket.canonical, lease.expire_s, interface.seconds_left(lease))
        for lease in interface.subscriptions
    }


async def test_remaining_time_survives(path):
    """A lease continues with the time it has left, the time between the processes taken off."""
    wall = FakeClock()
    async with compose(path, wall) as first:
        first.subscribe_event("E_A", "memory:a", 100)
        first.subscribe_event("E_A", "memory:never")
        first.subscribe_event("E_B", "memory:short", 5)
        first.subscribe_event("E_B", "memory:gone", 100)
        first.unsubscribe_event("E_B", "memory:gone")
    wall.advance(30)
    async with compose(path, wall) as second:
        assert leases(second) == {("E_A", "memory:a", 100, 70.0), ("E_A", "memory:never", 0, None)}
        second.subscribe_event("E_A", "memory:a", 100)
    async with compose(path, wall) as third:
        assert ("E_A", "memory:a", 100, 100.0) in leases(third)


class Follower:
    """Follows the keys that a client may set."""

    policy_keys = CLIENT_KEYS


async def test_requested_policies_survive(path):
    """What was requested with a lease comes back with it, waits for the plugin that follows it, and can be changed."""

    def made(*, follows=True):
        interface = compose(path, events=())
        if follows:
            interface.composition.add(interface.composition.make("follower", Follower()))
        interface.register_event("E_A")
        return interface

    policy = Policy(where="n = 'ä'", only=["n"], sample=0.5, max_age_s=3.0, rate=2.5, burst=7, dedup_s=1.0)
    async with made() as first:
        first.subscribe_event("E_A", "memory:a", 100, policy=policy)
    async with made(follows=False) as second:
        assert second.subscriptions == []
    async with made() as third:
        [lease] = third.subscriptions
        assert lease.requested == policy
        assert (lease.policy.sample, lease.subscriber.policy.rate) == (0.5, 2.5)
        third.subscribe_event("E_A", "memory:a", 100)
    async with made() as fourth:
        assert fourth.subscriptions[0].requested == Policy()


async def test_requested_policies_with_bytes_that_are_no_text_survive(path):
    """A request may have bytes that are no UTF-8, such as names of parameters: it is kept as it is."""
    policy = Policy(only=["\udcff"], rate=2.5)
    for _ in range(2):
        interface = compose(path, events=())
        interface.composition.add(interface.composition.make("follower", Follower()))
        interface.register_event("E_A")
        async with interface:
            if not interface.subscriptions:
                interface.subscribe_event("E_A", "memory:a", 100, policy=policy)
            assert status(interface) == (1, "kept")
    assert [lease.requested for lease in interface.subscriptions] == [policy]


async def test_file_of_the_version_before(path):
    """A file without policies is upgraded, and its leases have none."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE leases (event BLOB NOT NULL, socket BLOB NOT NULL, text BLOB NOT NULL,"
            " expire_s INTEGER NOT NULL, ends_at REAL, interface BLOB, PRIMARY KEY (event, socket)) WITHOUT ROWID"
        )
        row = (b"E_A", b"memory:a", b"memory:a", 0, None, b"")
        database.execute("INSERT INTO leases VALUES (?, ?, ?, ?, ?, ?)", row)
        for pragma in ("user_version = 2", f"application_id = {KIND.application}"):
            database.execute(f"PRAGMA {pragma}")
        database.commit()
    os.chmod(path, 0o600)
    async with compose(path) as interface:
        assert leases(interface) == {("E_A", "memory:a", 0, None)}
        assert interface.subscriptions[0].requested == Policy()


async def test_restored_leases_are_marked_as_such(path):
    """A lease that comes back is not a new one for the plugins that observe leases."""

    class Observer:
        def __init__(self):
            self.changes = []

        @evframe.hookimpl
        def lease_changed(self, change):
            self.changes.append(change)

    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:a", 100)
    observer = Observer()
    second = compose(path)
    second.plugins.register(observer)
    async with second:
        second.subscribe_event("E_A", "memory:a", 100)
    assert observer.changes == ["restored", "refreshed"]


async def test_clock_that_was_set_back(path):
    """A lease never gets more time than it was given."""
    wall = FakeClock()
    async with compose(path, wall) as first:
        first.subscribe_event("E_A", "memory:a", 10)
    wall.advance(-1000)
    async with compose(path, wall) as second:
        assert leases(second) == {("E_A", "memory:a", 10, 10.0)}


async def test_expired_leases_are_forgotten(path):
    """A lease that ends at its time is not in the file any more."""
    monotonic = FakeClock()
    async with compose(path, monotonic=monotonic) as first:
        first.subscribe_event("E_A", "memory:a", 10)
        monotonic.advance(11)
        first.expire()
    assert kept(path) == []


def kept(path):
    file = LeaseFile(path)
    try:
        file.open()
        return file.read()
    finally:
        file.close()


async def test_event_that_comes_later(path):
    """A lease on an event that is registered later waits for it, through restarts without it too."""
    async with compose(path) as first:
        first.subscribe_event("E_B", "memory:a", 10)
    for _ in range(2):
        async with compose(path, events=("E_A",)) as second:
            assert leases(second) == set()
    async with compose(path, events=("E_A",)) as third:
        third.register_event("E_B")
        assert leases(third) == {("E_B", "memory:a", 10, 10.0)}


async def test_configured_leases_are_not_kept(path):
    """What the configuration subscribes comes from there; a kept lease does not change it."""
    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:a", 10)
    second = compose(path)
    second.subscribe_event("E_A", "memory:a", configured=True)
    async with second:
        assert leases(second) == {("E_A", "memory:a", 0, None)}
    assert kept(path) == []


async def test_leases_that_end_with_their_process_are_not_kept(path, monkeypatch):
    """A socket that no other process can have is in no file."""
    monkeypatch.setattr(MemorySocket, "is_lasting", property(lambda self: self.name != "stream"), raising=False)
    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:stream")
        first.subscribe_event("E_A", "memory:a")
    assert [lease.text for lease in kept(path)] == ["memory:a"]


async def test_socket_that_does_not_fit_any_more(path, caplog):
    """A lease whose transport is gone is logged, and kept until it is back."""
    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:a", 10)
    async with evframe.EventInterface(plugins={"state": LeaseKeeper(Options(path), clock=FakeClock())}) as second:
        second.register_event("E_A")
        assert leases(second) == set()
    assert [lease.socket for lease in kept(path)] == ["memory:a"]
    assert "a kept subscription cannot be made" in caplog.messages


def test_file_is_private(path):
    """Sockets may hold passwords: only the owner reads the file."""
    LeaseFile(path).close()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert "secret" not in repr(KeptLease("E", "x:", "x:secret", 0, None))


async def test_secrets_survive(path):
    """What is kept is the text with its secrets, not the canonical one."""

    class Secretive(MemoryTransport):
        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return super().on_subscribe(scheme=scheme, rest=rest.removeprefix("password@"))

    async with evframe.EventInterface(plugins={"memory": Secretive(), "state": LeaseKeeper(Options(path))}) as events:
        events.register_event("E_A")
        events.subscribe_event("E_A", "memory:password@a", 10)
    assert [(lease.socket, lease.text) for lease in kept(path)] == [("memory:a", "memory:password@a")]


PROGRAM = """
import asyncio, sys
import evframe
from evframe.config import parse_config

async def main():
    events = evframe.EventInterface(parse_config(f'[plugins.state]\\npath = "{sys.argv[1]}"'))
    events.register_event("E_A")
    async with events:
        if sys.argv[2] == "subscribe":
            events.subscribe_event("E_A", "xmlrpc:192.0.2.1:80/a?token=s3cretS3cret:m", expire_s=3000)
        elif sys.argv[2] == "end":
            for lease in list(events.subscriptions):
                events.unsubscribe_event("E_A", lease.subscriber.socket.canonical)
        print(len(list(events.subscriptions)))

asyncio.run(main())
"""


async def test_a_subscription_with_a_secret_in_its_path_ends(path):
    """Each process shows another mark in place of the secret, and has one subscription, which does not come back."""
    found = []
    for action in ("subscribe", "look", "end", "look"):
        command = [sys.executable, "-c", PROGRAM, str(path), action]
        found.append(int(await asyncio.to_thread(subprocess.check_output, command, timeout=60)))

    assert found == [1, 1, 0, 0]


async def test_two_processes(path):
    """A file that another process uses is one clear error of the start."""
    holder = LeaseFile(path)
    with pytest.raises(OSError, match="core.state_path: .*another process uses it"):
        async with compose(path):
            pass
    holder.close()


async def test_folder_that_is_not_there(tmp_path, caplog):
    """A path that cannot be used is an error of the start, or a warning when it was not configured."""
    path = str(tmp_path / "nosuch" / "leases")
    with pytest.raises(OSError, match="core.state_path"):
        async with evframe.EventInterface(plugins={"state": LeaseKeeper(Options(path))}):
            pass
    events = evframe.EventInterface(plugins={"state": LeaseKeeper()}, gateway=True)
    events.config_path = str(tmp_path / "nosuch" / "evframe.toml")
    async with events:
        assert events.status.find("core").find("state").status == -1
    assert "subscriptions are not kept" in caplog.messages


async def test_file_that_is_no_database(path, caplog):
    """A file that is no database is set aside, and the log says where."""
    with open(path, "wb") as file:
        file.write(b"not a database at all, for sure" * 100)
    async with compose(path) as events:
        events.subscribe_event("E_A", "memory:a", 10)
    assert Path(path + ".damaged").read_bytes().startswith(b"not a database at all")
    assert [lease.socket for lease in kept(path)] == ["memory:a"]
    assert "the kept subscriptions are in a new file" in caplog.messages


def fill(path, count):
    """Write a file with many leases, some of which are longer than a page."""
    sockets = [f"memory:{number}" + "x" * (6000 * (number % 50 == 49)) for number in range(count)]
    leases = [KeptLease("E_A", socket, socket, 0, None) for socket in sockets]
    file = LeaseFile(path)
    file.open()
    file.write((lease.key, lease) for lease in leases)
    file.close()
    return {lease.key: lease for lease in leases}


async def test_damaged_pages(path, caplog):
    """What is on the other pages of a damaged file is kept, through further starts, and the damaged file too."""
    wanted = fill(path, 3000)
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(4096 * 3))
    damaged = Path(path).read_bytes()
    for _ in range(2):
        async with compose(path) as events:
            found = {(lease.event.name, lease.subscriber.socket.canonical) for lease in events.subscriptions}
            assert len(found) > 2700
            assert found < set(wanted)
            await until(lambda events=events: events.status.find("core").find("state").status == 1)
    assert Path(path + ".damaged").read_bytes() == damaged
    assert not os.path.exists(path + ".damaged.1")
    assert caplog.messages.count("the kept subscriptions are in a new file") == 1


async def test_damage_while_it_works(path, monkeypatch):
    """A file that is damaged while the process has it is written anew from memory: no lease is lost."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    monkeypatch.setattr("evframe_state.writing._FOLD_S", 0.0)
    fill(path, 3000)
    async with compose(path) as events:
        with open(path, "r+b") as file:
            file.write(os.urandom(4096 * 20))
        events.subscribe_event("E_A", "memory:meanwhile")
        await until(lambda: os.path.exists(path + ".damaged"))
        events.subscribe_event("E_A", "memory:later")
        await until(lambda: status(events) == (1, "kept"))
    assert len(kept(path)) == 3002


async def test_damage_behind_a_link(path, tmp_path):
    """A path that is a link stays one; the file that it leads to is mended there, with what its journal has."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    os.symlink(folder / "real", path)
    fill(path, 3000)
    file = LeaseFile(path)
    file.open()
    file.put(KeptLease("E_A", "memory:journal", "memory:journal", 0, None))
    in_journal = (folder / "real-wal").read_bytes()
    file.close()
    (folder / "real-wal").write_bytes(in_journal)
    with open(path, "r+b") as damaged:
        damaged.seek(os.path.getsize(path) // 2)
        damaged.write(os.urandom(4096 * 3))
    async with compose(path) as events:
        found = {lease.subscriber.socket.canonical for lease in events.subscriptions}
        assert "memory:journal" in found
        await until(lambda: status(events) == (1, "kept"))
    assert os.path.islink(path)
    assert {lease.socket for lease in kept(str(folder / "real"))} == found
    assert sorted(os.listdir(tmp_path)) == ["elsewhere", "leases"]


@pytest.mark.parametrize("how", ["deleted", "moved", "exchanged"])
async def test_file_that_goes_while_it_works(path, monkeypatch, caplog, how):
    """A file that is deleted, moved or exchanged under the process is written anew, for its owner alone."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    monkeypatch.setattr("evframe_state.writing._FOLD_S", 0.0)
    async with compose(path) as events:
        for number in range(50):
            events.subscribe_event("E_A", f"memory:{number}")
        for name in (path, path + "-wal", path + "-shm"):
            if how == "moved":
                os.replace(name, name.replace("leases", "elsewhere"))
            else:
                os.unlink(name)
        if how == "exchanged":
            Path(path).write_bytes(b"of another program")
        events.subscribe_event("E_A", "memory:meanwhile")
        await until(lambda: "the kept subscriptions are in a new file" in caplog.messages)
        events.subscribe_event("E_A", "memory:later")
        await until(lambda: status(events) == (1, "kept"))
        modes = {stat.S_IMODE(each.stat().st_mode) for each in Path(path).parent.glob("leases*")}
    assert modes == {0o600}
    assert len(kept(path)) == 52
    if how == "exchanged":
        assert Path(path + ".damaged").read_bytes() == b"of another program"


async def test_file_of_another_gateway_in_its_place(path, monkeypatch):
    """A gateway whose file was deleted leaves alone the one that another gateway has made there since, and says so."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    async with compose(path) as events:
        events.subscribe_event("E_A", "memory:a")
        for name in (path, path + "-wal", path + "-shm"):
            os.unlink(name)
        other = LeaseFile(path)
        other.open()
        other.put(KeptLease("E_A", "memory:other", "memory:other", 0, None))
        await until(lambda: status(events)[0] == -1)
        assert status(events)[1].startswith("1 subscriptions are not on disk: ")
        assert status(events)[1].endswith("another process uses it")
        assert [lease.socket for lease in other.read()] == ["memory:other"]
        other.close()
        await until(lambda: status(events) == (1, "kept"))
    assert [lease.socket for lease in kept(path)] == ["memory:a"]


async def test_leases_come_back_in_slices(path, monkeypatch):
    """Leases that can be read late are made in slices, between which the loop works, and clients change them."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    monkeypatch.setattr("evframe_state.writing._SLICE", 10)
    fill(path, 100)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        events = await compose(path).__aenter__()
        assert events.subscriptions == []
    sizes = [0]
    last = "memory:99" + "x" * 6000
    async with asyncio.timeout(50):
        while sizes[-1] < 100:
            await asyncio.sleep(0)
            size = len(events.subscriptions)
            if size >= 50 > sizes[-1]:
                events.subscribe_event("E_A", last, 20)
                size += 1
            sizes.append(size)
    assert max(after - before for before, after in itertools.pairwise(sizes)) <= 11
    await until(lambda: status(events) == (1, "kept"))
    await events.__aexit__(None, None, None)
    assert {lease.socket: lease.expire_s for lease in kept(path)}[last] == 20
    assert len(kept(path)) == 100


async def test_take_over_that_was_interrupted(path):
    """A rebuilt file that a killed process could not put in its place is put there by the next one."""
    fill(path, 10)
    file = LeaseFile(path)
    try:
        file._take_over = lambda: None
        file.rebuild([KeptLease("E_A", "memory:rebuilt", "memory:rebuilt", 0, None)])
    finally:
        file.close()
    assert [lease.socket for lease in kept(path)] == ["memory:rebuilt"]
    assert len(kept(path + ".damaged")) == 10


@pytest.mark.parametrize(
    ("sql", "expected"),
    [("PRAGMA user_version = 7", "version 3, got 7"), ("CREATE TABLE other (n)", "file of kept subscriptions")],
)
async def test_database_of_another_kind(path, sql, expected):
    """A database of another kind, or of a later version, is one error of the start and stays as it is."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(sql)
        database.commit()
    before = Path(path).read_bytes()
    with pytest.raises(OSError, match=f"core.state_path: .*{expected}"):
        async with compose(path):
            pass
    assert Path(path).read_bytes() == before
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


async def test_files_belong_to_their_owner(path):
    """The files are for their owner alone, whatever their mode was."""
    fill(path, 10)
    Path(path + ".damaged").touch()
    for name in (path, path + ".damaged"):
        os.chmod(name, 0o644)
    async with compose(path) as events:
        events.subscribe_event("E_A", "memory:a", 10)
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in Path(path).parent.iterdir()}
    assert modes == dict.fromkeys(["leases", "leases-wal", "leases-shm", "leases.damaged"], 0o600)


async def test_lock_of_another_process(path, monkeypatch, caplog):
    """While another process has a lock leases come back, and what is subscribed is written once the lock is gone."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    fill(path, 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        async with compose(path) as events:
            assert len(events.subscriptions) == 10
            events.subscribe_event("E_A", "memory:a", 10)
            assert status(events) == (-1, "1 subscriptions are not on disk: database is locked")
            assert [(each.event, each.socket) for each in caplog.records if "is not on disk" in each.msg] == [
                ("E_A", "memory:a")
            ]
            other.execute("ROLLBACK")
            await until(lambda: status(events) == (1, "kept"))
    assert len(kept(path)) == 11
    assert not os.path.exists(path + ".damaged")


async def test_lock_that_does_not_let_it_read(path, monkeypatch):
    """Leases that cannot be read at the start come back as soon as they can, beside those made meanwhile."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    fill(path, 10)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        events = await compose(path).__aenter__()
        assert events.subscriptions == []
        assert status(events) == (-1, "they cannot be read: database is locked")
        for name in ("memory:3", "memory:new", "memory:brief"):
            events.subscribe_event("E_A", name, 20)
        events.unsubscribe_event("E_A", "memory:brief")
    await until(lambda: status(events) == (1, "kept"))
    found = {lease.subscriber.socket.canonical: lease.expire_s for lease in events.subscriptions}
    assert found == {**{f"memory:{number}": 0 for number in range(10)}, "memory:3": 20, "memory:new": 20}
    await events.__aexit__(None, None, None)
    assert {lease.socket: lease.expire_s for lease in kept(path)} == found


async def test_disk_that_is_full_for_a_while(path, monkeypatch, caplog):
    """What finds no room on the disk is named in the log and counted in the status, and is written once it can be."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    async with compose(path) as events:
        events.subscribe_event("E_A", "memory:before", 10)
        with file_size_limit(os.path.getsize(path + "-wal")):
            for number in range(20):
                events.subscribe_event("E_A", f"memory:{number}", 10)
            events.unsubscribe_event("E_A", "memory:before")
            number, details = status(events)
        assert (number, details.partition(":")[0]) == (-1, "21 subscriptions are not on disk")
        named = [each.socket for each in caplog.records if each.msg == "a subscription is not on disk"]
        assert named == [f"memory:{number}" for number in range(20)]
        await until(lambda: status(events) == (1, "kept"))
    assert {lease.socket for lease in kept(path)} == {f"memory:{number}" for number in range(20)}


async def test_start_with_a_full_disk(path, monkeypatch):
    """Leases come back when the disk is full at the start, and nothing is moved or removed."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    fill(path, 10)
    with file_size_limit(0):
        events = await compose(path).__aenter__()
        assert len(events.subscriptions) == 10
        events.subscribe_event("E_A", "memory:a", 10)
        assert status(events)[0] == -1
    await until(lambda: status(events) == (1, "kept"))
    await events.__aexit__(None, None, None)
    assert len(kept(path)) == 11
    assert not [name for name in os.listdir(os.path.dirname(path)) if "damaged" in name]


SMALL_DISK = """
import asyncio, os, sys, evframe
from evframe_state import LeaseKeeper, Options
from evframe.testing import MemoryTransport, until

def status(events):
    return events.status.find("core").find("state").details

async def main(path, filler):
    async with asyncio.timeout(40):
        keeper = LeaseKeeper(Options(path))
        async with evframe.EventInterface(plugins={"memory": MemoryTransport(), "state": keeper}) as events:
            events.register_event("E_A")
            for number in range(200):  # more than the journal has room for
                events.subscribe_event("E_A", f"memory:{number}")
            await until(lambda: status(events) == "kept")
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1024))
            except OSError:
                pass
        keeper = LeaseKeeper(Options(path))
        async with evframe.EventInterface(plugins={"memory": MemoryTransport(), "state": keeper}) as events:
            events.register_event("E_A")
            print(len(events.subscriptions), status(events))
            events.subscribe_event("E_A", "memory:" + "x" * 9000)
            print(keeper._writer.unwritten, status(events))
            os.unlink(filler)
            await until(lambda: status(events) == "kept")
            os.kill(os.getpid(), 9)

asyncio.run(main(sys.argv[1], sys.argv[2]))
"""


def test_small_disk(tmp_path):
    """On a disk that is full a start has its leases, and what finds no room is written once there is."""
    disk, script = tmp_path / "disk", tmp_path / "script.py"
    disk.mkdir()
    script.write_text(SMALL_DISK, encoding="utf-8")
    result = tmp_path / "result"
    command = (
        f"mount -t tmpfs -o size=256k tmpfs {disk} || exit 77; {sys.executable} {script} {disk}/leases {disk}/filler;"
        f" cp -r {disk} {result}"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no separate disk: {done.stderr}")
    assert done.stdout.splitlines()[0].startswith("200 0 subscriptions are not on disk: ")
    assert done.stdout.splitlines()[1].startswith("1 1 subscriptions are not on disk: ")
    assert len(kept(str(result / "leases"))) == 201


async def test_new_file_on_a_full_disk(path, monkeypatch):
    """A start without a file succeeds while the disk is full, and the file is made once it can be."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    with file_size_limit(0):
        events = await compose(path).__aenter__()
        events.subscribe_event("E_A", "memory:a", 10)
    await until(lambda: status(events) == (1, "kept"))
    await events.__aexit__(None, None, None)
    assert [lease.socket for lease in kept(path)] == ["memory:a"]


async def test_leaving_with_a_full_disk(path, monkeypatch, caplog):
    """What is not on disk when the interface is left is counted in the log."""
    monkeypatch.setattr("evframe_state.writing._LEAVE_S", 0.0)
    fill(path, 10)
    async with compose(path) as events:
        with file_size_limit(0):
            events.subscribe_event("E_A", "memory:a", 10)
            await events.__aexit__(None, None, None)
    assert [each.count for each in caplog.records if each.msg == "subscriptions are not on disk"] == [1]
    assert len(kept(path)) == 10


async def test_lease_that_waits_gives_way_to_a_new_one(path, monkeypatch):
    """A lease that could not be made does not stand in the way of its successor when the file is written anew."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)

    class Late(MemoryTransport):
        ready = False

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return super().on_subscribe(scheme=scheme, rest=rest) if self.ready else None

    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:a", 10)
    late, keeper = Late(), LeaseKeeper(Options(path), clock=FakeClock())
    events = evframe.EventInterface(plugins={"memory": late, "state": keeper}, clock=FakeClock())
    events.register_event("E_A")
    async with events:
        assert events.subscriptions == []
        late.ready = True
        events.subscribe_event("E_A", "memory:a", 500)
        keeper._writer._is_damaged = True  # all of it is written anew
        await until(lambda: not keeper._writer._is_damaged)
    assert [(lease.socket, lease.expire_s) for lease in kept(path)] == [("memory:a", 500)]


async def test_journal_is_folded(path, monkeypatch):
    """The journal goes into the file now and then, and does not grow for ever."""
    monkeypatch.setattr("evframe_state.writing._MEND_S", 0.01)
    monkeypatch.setattr("evframe_state.writing._FOLD_S", 0.0)
    async with compose(path) as events:
        keeper = events.plugin("state")
        for number in range(200):
            events.subscribe_event("E_A", f"memory:a{number}", 10)
        await until(lambda: not keeper._writer._changes)
        await until(lambda: b"memory:a7" in Path(path).read_bytes())


KILLED = """
import asyncio, os, sys, evframe
from evframe_state import LeaseKeeper, Options
from evframe.testing import MemoryTransport

async def main():
    async with evframe.EventInterface(plugins={"memory": MemoryTransport(), "state": LeaseKeeper(Options(sys.argv[1]))}) as events:
        events.register_event("E_A")
        for number in range(100):
            events.subscribe_event("E_A", f"memory:a{number}", 3600)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_kill(path):
    """Every lease that was made is kept when the process is killed in that very moment."""
    done = subprocess.run([sys.executable, "-c", KILLED, path], timeout=50, check=False)
    assert done.returncode == -9
    assert len(kept(path)) == 100


text = st.text(st.characters(codec=None), min_size=1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(text, text, text, st.integers(0, 2**31 - 1), st.none() | st.floats(0, 1e10)), max_size=5))
def test_any_text(tmp_path_factory, rows):
    """Whatever text a client sends comes back as it was."""
    path = str(tmp_path_factory.mktemp("state") / "leases")
    file = LeaseFile(path)
    file.open()
    wanted = {}
    for row in rows:
        lease = KeptLease(*row)
        wanted[lease.event, lease.socket] = lease
        file.put(lease)
    file.close()
    assert {(lease.event, lease.socket): lease for lease in kept(path)} == wanted
