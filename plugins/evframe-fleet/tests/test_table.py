"""The table of a fleet: what each record changes, which are void, and how what is void is mended."""

import pytest
from evframe_fleet.records import OTHER, read_key, written_key
from evframe_fleet.table import STALE_S, Entry, Table, end_of, key_of
from evframe_shards.lane import INDEX_BITS
from evframe_shards.leases import Lease
from fleet_simulation import PARTITIONS, World
from orjson import dumps, loads

KEY = key_of("lease", "E", "udp:127.0.0.1:1")


def lease(version, at=100.0, ends_at=None):
    return Entry(version, at, Lease(event="E", key="udp:127.0.0.1:1", text="udp:127.0.0.1:1", ends_at=ends_at))


def read(*values, key=KEY, first=0):
    table = Table(PARTITIONS)
    for offset, value in enumerate(values, first):
        table.read(offset, key, value)
    return table


def version_of(table):
    entry = table.leases.get(KEY)
    return entry and entry.version


OLD, NEW = lease(("a", 1)), lease(("b", 1), 100.5)


@pytest.mark.parametrize(
    ("values", "version", "is_void"),
    [
        ([OLD.encode()], ("a", 1), False),
        ([OLD.encode(), NEW.encode()], ("b", 1), False),
        ([OLD.encode(), end_of(("a", 1), "c")], None, False),
        ([OLD.encode(), NEW.encode(), end_of(("a", 1), "c")], ("b", 1), True),
        ([OLD.encode(), NEW.encode(), end_of(("a", 1), "c"), NEW.encode(again=("", 0))], ("b", 1), False),
        ([OLD.encode(), end_of(None, "c", 100.0)], None, False),
        ([OLD.encode(), NEW.encode(), end_of(("a", 1), "c", 100.4)], ("b", 1), True),
        ([OLD.encode(), NEW.encode(), end_of(("a", 1), "c", 100.6)], None, False),
        ([OLD.encode(), None], ("a", 1), True),
        ([OLD.encode(), end_of(("a", 1), "c"), None], None, False),
        ([end_of(None, "c", 100.1 + STALE_S), OLD.encode()], None, True),
        ([OLD.encode(), end_of(("a", 1), "c"), OLD.encode()], None, True),
        ([OLD.encode(), end_of(("a", 1), "c"), OLD.encode(again=("", 0))], None, True),
        ([OLD.encode(), NEW.encode(), OLD.encode(again=("", 0))], ("b", 1), True),
        ([lease(("a", 2)).encode(), OLD.encode()], ("a", 2), True),
        ([lease(("b", 1), 100.1 + STALE_S).encode(), OLD.encode()], ("b", 1), True),
        ([lease(("b", 1), 99.9 + STALE_S).encode(), OLD.encode()], ("a", 1), False),
    ],
)
def test_a_lease_is_what_the_last_valid_record_says(values, version, is_void):
    """An end names what it ends, a tombstone ends nothing, and what comes late or twice changes nothing."""
    table = read(*values)

    assert version_of(table) == version
    assert (KEY in table.void) == is_void
    assert (table.sockets["udp:127.0.0.1:1"] > 0) == (version is not None)


@pytest.mark.parametrize(
    "values",
    [
        [OLD.encode(), None],
        [OLD.encode(), NEW.encode(), end_of(("a", 1), "c")],
        [OLD.encode(), end_of(("a", 1), "c"), OLD.encode()],
        [OLD.encode(), NEW.encode(), OLD.encode(again=("", 0))],
    ],
)
def test_what_is_void_is_mended_for_those_who_read_the_compacted_topic(values):
    """The record that says what is has the same meaning for a reader of everything and for one of the last record."""
    whole = read(*values)
    state = whole.state_of(KEY, "c")

    assert whole.read(len(values), KEY, state).is_valid
    assert KEY not in whole.void
    assert version_of(read(state)) == version_of(whole)
    late = read(values[-1], state, first=len(values) - 1)
    assert version_of(late) == version_of(whole)


def test_a_reader_that_has_missed_records_takes_what_comes():
    """What an end or a tombstone depends on may have been removed."""
    for value in (None, end_of(("b", 1), "c")):
        table = read(OLD.encode())
        table.read(2, KEY, value)
        assert version_of(table) is None
        table.read(3, KEY, NEW.encode(again=("", 0)))
        assert version_of(table) == ("b", 1)


def test_positions_of_an_earlier_owner_are_void():
    """An owner with a lower epoch changes nothing, and a separate position is removed by a record of the present one."""
    table = Table(PARTITIONS)
    offset = iter(range(100))

    def take(names, **value):
        return table.read(next(offset), key_of(*names), dumps(value) if value else None).is_valid

    assert take(("owner", 0), o=(1, "a"))
    assert take(("front", 0), o=(1, "a"), at=5)
    assert take(("behind", 0, "s"), o=(1, "a"), at=3)
    assert (table.effective(0, "s"), table.effective(0, "t")) == (3, 5)
    assert take(("owner", 0), o=(2, "b"))
    assert not take(("owner", 0), o=(2, "c"))
    assert not take(("front", 0), o=(1, "a"), at=4)
    assert not take(("behind", 0, "s"), o=(1, "a"), at=None)
    assert not take(("behind", 0, "s"))
    assert (table.owners[0], table.effective(0, "s"), table.effective(0, "t")) == ((2, "b"), 3, 5)
    assert take(("behind", 0, "s"), o=(2, "b"), at=None)
    assert take(("behind", 0, "s"))
    assert table.effective(0, "s") == 5


@pytest.mark.parametrize("kind", ["tombstone", "end", "owner", "front", "behind"])
def test_void_records_are_mended_before_the_broker_compacts(kind):
    """A gateway that starts later reads the last record of each key alone, and has the same table."""
    world = World(1)
    process = world.processes[0]
    for _ in range(4):
        world.advance(0.5)
        world.settle_down()
    world.away.add("udp:127.0.0.1:1")
    world.subscribe(process, "udp:127.0.0.1:1", 0)
    for _ in range(6):
        world.raise_event(process)
        world.advance(0.7)
        world.settle_down()
    partition = next(number for number, places in enumerate(world.table.behind) if places)
    zombie = {"o": (0, "z"), "at": None}
    key, value = {
        "tombstone": (key_of("lease", "E", "udp:127.0.0.1:1"), None),
        "end": (key_of("lease", "E", "udp:127.0.0.1:1"), end_of(("z", 1), "z")),
        "owner": (key_of("owner", partition), dumps({"o": (1, "z")})),
        "front": (key_of("front", partition), dumps({**zombie, "at": 1 << INDEX_BITS})),
        "behind": (key_of("behind", partition, "udp:127.0.0.1:1"), dumps(zombie)),
    }[kind]

    world.broker.append_lease(key, value)
    for _ in range(4):
        world.advance(0.5)
        world.settle_down()
    world.now += 100
    world.broker.compact()

    fresh = Table(PARTITIONS)
    for offset, name, record, _ in world.broker.leases:
        fresh.read(offset, name, record)
    assert fresh.leases.keys() == world.table.leases.keys() == {key_of("lease", "E", "udp:127.0.0.1:1")}
    assert (fresh.owners, fresh.fronts, fresh.behind) == (world.table.owners, world.table.fronts, world.table.behind)
    assert fresh.behind[partition]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{",
        b"7",
        b"[]",
        b"{}",
        dumps({"v": ["a", 1], "at": 1.0}),
        dumps({"v": ["a", 1], "at": 1.0, "l": 7}),
        dumps({"v": ["a", 1], "at": 1.0, "l": {"event": "E"}}),
        dumps({"v": ["a", 1], "at": 1.0, "l": {"event": "E", "key": "other", "text": "x"}}),
        dumps({"v": ["a", 1], "at": 1.0, "l": {"event": "E", "key": "udp:127.0.0.1:1", "text": 7}}),
        dumps({"v": ["a", 1], "at": 1e300, "l": loads(OLD.lease.encode())}),
        dumps({"v": "a", "at": 1.0, "l": loads(OLD.lease.encode())}),
        dumps({"v": ["a", 1], "at": 1.0, "l": {**loads(OLD.lease.encode()), "ends_at": "soon"}}),
        dumps({"v": ["a", 1], "at": 1.0, "l": {**loads(OLD.lease.encode()), "policy": []}}),
        dumps({"e": 7, "by": "x"}),
        dumps({"e": ["a", "b"]}),
        dumps({"e": None, "at": "now"}),
    ],
)
def test_a_value_that_no_gateway_writes_is_void(value):
    """A lease stays as it was, and its key gets a record that says what is."""
    table = Table(PARTITIONS)
    table.read(0, KEY, OLD.encode())

    record = table.read(1, KEY, value)

    assert not record.is_valid
    assert record.problem
    assert version_of(table) == ("a", 1)
    assert table.sockets == {"udp:127.0.0.1:1": 1}
    fresh = read(value, table.state_of(KEY, "b"))
    assert version_of(fresh) == ("a", 1)
    assert not fresh.void


@pytest.mark.parametrize("kind", ["owner", "front", "behind"])
@pytest.mark.parametrize("value", [{}, {"o": 7, "at": 1}, {"o": [1 << 63, "x"], "at": 1}, {"o": [1, "x"], "at": -1}, 7])
def test_a_position_that_no_gateway_writes_is_void(kind, value):
    """What is known of a partition stays as it was."""
    if kind == "owner" and value == {"o": [1, "x"], "at": -1}:
        return
    names = (0, "udp:127.0.0.1:1") if kind == "behind" else (0,)

    table = read(dumps(value), key=key_of(kind, *names))

    assert (table.owners, table.fronts, table.behind[0]) == ({}, {}, {})
    assert key_of(kind, *names) in table.void


@pytest.mark.parametrize(
    "key",
    [
        "",
        "{",
        "7",
        "[]",
        "{}",
        '["later","x"]',
        '["lease"]',
        '["lease","E",7]',
        '["lease", "E","udp:127.0.0.1:1"]',
        '["lease","E","bytes:x"]',
        f'["owner",{PARTITIONS}]',
        '["front",-1]',
        '["front","0"]',
        '["behind",0]',
        f'["behind",{PARTITIONS},"x"]',
        '[["lease"],"E","x"]',
    ],
)
def test_a_key_that_no_gateway_writes_concerns_nothing(key):
    """A record of something else, or of another number of partitions, is left alone."""
    table = Table(PARTITIONS)

    record = table.read(0, key, b"{}")

    assert record.problem
    assert table.offset == 0
    assert not table.void


def test_a_lease_of_a_later_release_is_read():
    """Gateways of two releases are a fleet while they are upgraded: a name that one adds is left out by the other."""
    value = loads(OLD.encode())
    value["l"]["later"] = {"a": 1}

    assert version_of(read(dumps(value))) == ("a", 1)


def test_positions_are_those_of_one_events_topic():
    """The same partition of another topic has another key, which no gateway of this one takes for its own."""
    for key in (key_of("owner", 1), key_of("front", 1), key_of("behind", 1, "file:/a b")):
        assert read_key(written_key(key, "one"), "one") == key
        assert read_key(written_key(key, "one"), "two") == OTHER
    for key in (key_of("lease", "E a", "file:/a b"), key_of("member", "x y")):
        assert read_key(written_key(key, "one"), "two") == key
    table = read(None, key=OTHER)
    assert (table.offset, dict(table.void)) == (0, {})
