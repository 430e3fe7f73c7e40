"""Leases that survive a restart."""

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import evframe
from evframe.config import Config, CoreOptions
from evframe.kept_leases import KeptLease, LeaseFile
from evframe.state import LeaseKeeper
from evframe.testing import FakeClock, MemoryTransport, until


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "leases")


def compose(path, wall=None, monotonic=None, events=("E_A", "E_B")):
    keeper = LeaseKeeper(path, clock=wall or FakeClock())
    plugins = {"memory": MemoryTransport(), "state": keeper}
    interface = evframe.EventInterface(plugins=plugins, clock=monotonic or FakeClock())
    for name in events:
        interface.register_event(name)
    return interface


def leases(interface):
    return {
        (lease.event.name, lease.subscriber.socket.canonical, lease.expire_s, interface.seconds_left(lease))
        for lease in interface.subscriptions
    }


async def test_remaining_time_survives(path):
    """A lease goes on with the time it has left, the time between the processes taken off."""
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


async def test_restored_leases_are_told_of_as_such(path):
    """A lease that comes back is not a new one for the plugins that hear of leases."""

    class Hears:
        def __init__(self):
            self.changes = []

        @evframe.hookimpl
        def lease_changed(self, change):
            self.changes.append(change)

    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:a", 100)
    hears = Hears()
    second = compose(path)
    second.plugins.register(hears)
    async with second:
        second.subscribe_event("E_A", "memory:a", 100)
    assert hears.changes == ["restored", "refreshed"]


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


async def test_socket_that_does_not_fit_any_more(path, caplog):
    """A lease whose transport is gone is told of, and kept until it is back."""
    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:a", 10)
    async with evframe.EventInterface(plugins={"state": LeaseKeeper(path, clock=FakeClock())}) as second:
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

    async with evframe.EventInterface(plugins={"memory": Secretive(), "state": LeaseKeeper(path)}) as events:
        events.register_event("E_A")
        events.subscribe_event("E_A", "memory:password@a", 10)
    assert [(lease.socket, lease.text) for lease in kept(path)] == [("memory:a", "memory:password@a")]


async def test_two_processes(path):
    """A file that another process uses is one clear error of the start."""
    holder = LeaseFile(path)
    with pytest.raises(OSError, match="core.state_path: .*another process uses it"):
        async with compose(path):
            pass
    holder.close()


async def test_folder_that_is_not_there(tmp_path, caplog):
    """A path that cannot be used is an error of the start, or a warning when nobody asked for it."""
    path = str(tmp_path / "nosuch" / "leases")
    with pytest.raises(OSError, match="core.state_path"):
        async with evframe.EventInterface(Config(core=CoreOptions(state_path=path)), plugins={}):
            pass
    async with evframe.EventInterface(plugins={"state": LeaseKeeper(path, required=False)}) as events:
        assert events.status.find("core").find("state").status == -1
    assert "subscriptions are not kept" in caplog.messages


async def test_damaged_file(path, caplog):
    """A file that is no database is put aside, and said so."""
    with open(path, "wb") as file:
        file.write(b"not a database at all, for sure" * 100)
    async with compose(path) as events:
        events.subscribe_event("E_A", "memory:a", 10)
    assert os.path.exists(path + ".damaged")
    assert [lease.socket for lease in kept(path)] == ["memory:a"]
    assert "the kept subscriptions cannot be read" in caplog.messages


async def test_disk_that_is_full_for_a_while(path, monkeypatch):
    """What could not be written is written once it can."""
    monkeypatch.setattr("evframe.state._MEND_S", 0.01)
    async with compose(path) as events:
        events.subscribe_event("E_A", "memory:before", 10)
        keeper = events.plugin("state")

        class Full:
            def put(self, lease):
                raise sqlite3.OperationalError("database or disk is full")

        file, keeper._file = keeper._file, Full()
        events.subscribe_event("E_A", "memory:meanwhile", 10)
        assert events.status.find("core").find("state").status == -1
        keeper._file = file
        await until(lambda: events.status.find("core").find("state").status == 1)
    assert {lease.socket for lease in kept(path)} == {"memory:before", "memory:meanwhile"}


async def test_lease_that_waits_gives_way_to_a_new_one(path, monkeypatch):
    """A lease that could not be made does not stand in the way of its successor when the file is written anew."""
    monkeypatch.setattr("evframe.state._MEND_S", 0.01)

    class Late(MemoryTransport):
        ready = False

        @evframe.hookimpl
        def on_subscribe(self, scheme, rest):
            return super().on_subscribe(scheme=scheme, rest=rest) if self.ready else None

    async with compose(path) as first:
        first.subscribe_event("E_A", "memory:a", 10)
    late, keeper = Late(), LeaseKeeper(path, clock=FakeClock())
    events = evframe.EventInterface(plugins={"memory": late, "state": keeper}, clock=FakeClock())
    events.register_event("E_A")
    async with events:
        assert events.subscriptions == []
        late.ready = True
        events.subscribe_event("E_A", "memory:a", 500)
        keeper._is_stale = True
        await until(lambda: not keeper._is_stale)
    assert [(lease.socket, lease.expire_s) for lease in kept(path)] == [("memory:a", 500)]


async def test_journal_is_folded(path, monkeypatch):
    """The journal goes into the file now and then, and does not grow for ever."""
    monkeypatch.setattr("evframe.state._MEND_S", 0.01)
    monkeypatch.setattr("evframe.state._FOLD_S", 0.0)
    async with compose(path) as events:
        keeper = events.plugin("state")
        for number in range(200):
            events.subscribe_event("E_A", f"memory:a{number}", 10)
        await until(lambda: not keeper._changes)
        await until(lambda: b"memory:a7" in Path(path).read_bytes())


KILLED = """
import asyncio, os, sys, evframe
from evframe.state import LeaseKeeper
from evframe.testing import MemoryTransport

async def main():
    async with evframe.EventInterface(plugins={"memory": MemoryTransport(), "state": LeaseKeeper(sys.argv[1])}) as events:
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
@given(st.lists(st.tuples(text, text, text, st.integers(0, 2**31), st.none() | st.floats(0, 1e10)), max_size=5))
def test_any_text(tmp_path_factory, rows):
    """Whatever text a client sends comes back as it was."""
    path = str(tmp_path_factory.mktemp("state") / "leases")
    file = LeaseFile(path)
    wanted = {}
    for row in rows:
        lease = KeptLease(*row)
        wanted[lease.event, lease.socket] = lease
        file.put(lease)
    file.close()
    assert {(lease.event, lease.socket): lease for lease in kept(path)} == wanted
