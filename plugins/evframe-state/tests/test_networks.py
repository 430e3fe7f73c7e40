"""A kept lease has the networks of the management interface that made it."""

import sqlite3
from contextlib import closing

from evframe_state import LeaseKeeper, Options
from evframe_state.lease_file import KeptLease, LeaseFile
from networks import PRIVATE, address_of, made, subscribe

import evframe
from evframe.testing import FakeClock, FakeNames, MemoryTransport, until


def keeper(path):
    return {"state": LeaseKeeper(Options(path), clock=FakeClock())}


async def test_networks_of_an_interface_hold_after_a_restart(tmp_path):
    """A kept lease has the networks of the interface that made it; one from an older file those of all."""
    path = str(tmp_path / "leases")
    narrowings = {"narrow": PRIVATE}
    with FakeNames({"local": ["127.0.0.1"]}) as names:
        async with made(plugins=keeper(path), **narrowings) as events:
            assert subscribe(events, "narrow", "E_A", "udp:local:1", 60) == "OK"
            assert subscribe(events, "mi", "E_A", "udp:local:2", 60) == "OK"
        for _ in range(2):
            events = made(plugins=keeper(path), **narrowings)
            events.resolver.lookup = names
            async with events:
                await until(lambda events=events: len(events.subscriptions) == 2)
                assert await address_of(events, "local", 1) == "forbidden"
                assert await address_of(events, "local", 2) == ["127.0.0.1"]


async def test_a_file_of_an_earlier_version_is_read(tmp_path):
    """A file without interfaces gives its leases back, and keeps the interfaces of later ones."""
    path = str(tmp_path / "leases")
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "CREATE TABLE leases (event BLOB NOT NULL, socket BLOB NOT NULL, text BLOB NOT NULL,"
            " expire_s INTEGER NOT NULL, ends_at REAL, PRIMARY KEY (event, socket)) WITHOUT ROWID"
        )
        database.execute("INSERT INTO leases VALUES (?, ?, ?, 60, NULL)", (b"E_A", b"udp:a:1", b"udp:a:1"))
        database.execute("PRAGMA user_version = 1")
        database.commit()
    async with made(plugins=keeper(path), narrow=PRIVATE) as events:
        await until(lambda: events.subscriptions)
        assert subscribe(events, "narrow", "E_B", "udp:a:1", 60) == 400, "the name is in use, and has no address"
        assert subscribe(events, "narrow", "E_B", "udp:b:1", 60) == "OK"
    file = LeaseFile(path)
    try:
        assert sorted((lease.socket, lease.interface) for lease in file.read_alone()) == [
            ("udp:a:1", ""),
            ("udp:b:1", "narrow"),
        ]
    finally:
        file.close()


async def test_a_damaged_file_keeps_the_interfaces(tmp_path):
    """What is read from the pages of a damaged file has the interfaces of its leases."""
    path = str(tmp_path / "leases")
    async with made(plugins=keeper(path), narrow=PRIVATE) as events:
        assert subscribe(events, "narrow", "E_B", "udp:b:1", 60) == "OK"
    file = LeaseFile(path)
    try:
        assert [(lease.socket, lease.interface) for lease in file.salvage()] == [("udp:b:1", "narrow")]
    finally:
        file.close()


async def test_a_lease_whose_policy_is_not_known_is_not_made(tmp_path, caplog):
    """Without the plugin that has the rules of its interface, a kept lease of a client stays in the file alone."""
    path = str(tmp_path / "leases")
    file = LeaseFile(path)
    file.open()
    for socket, interface in (("memory:client", "mi-http"), ("memory:own", "")):
        file.put(KeptLease("E_A", socket, socket, 0, None, interface))
    file.close()
    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), **keeper(path)})
    events.register_event("E_A")
    async with events:
        assert [lease.subscriber.socket.canonical for lease in events.subscriptions] == ["memory:own"]
    (record,) = [record for record in caplog.records if record.msg == "a kept subscription cannot be made"]
    assert record.problem == "expected a loaded plugin that has the rules of the interface 'mi-http', got none"
    file = LeaseFile(path)
    try:
        assert {lease.socket for lease in file.read_alone()} == {"memory:client", "memory:own"}
    finally:
        file.close()
