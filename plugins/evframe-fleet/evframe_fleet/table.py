"""What the leases topic says: leases, settled positions, owners of partitions, and members.

Every gateway reads the same records in the same order, and so has the same table. Compaction removes records that have
a later one with the same key, so that the last record of a key has to say what is. A tombstone or a record that came
too late changes nothing here; it is *void*, and stays in `Table.void` until somebody has written what is after it.

A lease has a version: its writer, and a number. An end by time names the version that it ends, and is void when the
lease was renewed meanwhile. An end by a client ends what its gateway knew, and what was made before it. A lease whose
record came more than `STALE_S` later than a newer one, because its gateway was stopped, is void, too: nothing takes a
renewal back. Positions carry the epoch of the owner that has written them; those of an earlier owner are void. None of
these is ever removed by a tombstone alone: a record without a position or a lease comes first, because a tombstone
cannot say what it was meant for.

A reader that was away for long misses records that were removed meanwhile: it sees a gap in the offsets. What comes
behind a gap is taken as it is, because what it depends on may have been in the gap.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from sys import intern
from typing import Any, Final, NamedTuple

import attrs
from evframe_shards.leases import Lease
from orjson import dumps, loads

from evframe_fleet.records import RecordError, checked_names, checked_value, key_of, names_of

__all__ = ["Entry", "Record", "Table", "end_of", "key_of", "names_of"]
STALE_S: Final = 1.0
"""By how much the clocks of gateways may differ, and how late a record may be that replaces a newer one."""
Version = tuple[str, int]
Stamp = tuple[int, str]
"""The epoch of an owner, and its name."""


@attrs.frozen(eq=False)
class Entry:
    """A lease as the topic has it."""

    version: Version
    """Who has written it, and the number of the record among those of the writer."""
    at: float
    """When it was made or renewed, on the writer's wall clock."""
    lease: Lease
    """The lease."""
    offset: int = -1
    """Of the record."""

    def encode(self, *, again: Version | None = None) -> bytes:
        """Return the record.

        With *again*, the version of a void record, it changes nothing for those who have this lease, and mends what
        the void record was taken for by those who lack the ones before; it is void where the lease is another one.
        """
        record = {"v": self.version, "at": self.at, "l": loads(self.lease.encode())}
        return dumps(record if again is None else {**record, "again": again})


class Record(NamedTuple):
    """A record that was read."""

    kind: str
    names: list[Any]
    """What its key has behind the kind."""
    value: Any
    """None for a tombstone."""
    is_valid: bool
    """Whether it says what is; else it is void."""
    problem: str | None = None
    """Why it is not one of the fleet: with such a value it is void, and with such a key it concerns nothing here."""


class Table:
    """The state after the records that were read.

    Args:
        partitions: how many partitions the events topic has.
    """

    def __init__(self, partitions: int) -> None:
        self.offset = -1
        """Of the last record that was read."""
        self.leases: dict[str, Entry] = {}
        """By the keys of their records."""
        self.sockets: Counter[str] = Counter()
        """How many leases each subscriber has, by its name in frames."""
        self.owners: dict[int, Stamp] = {}
        """By partition."""
        self.fronts: dict[int, int] = {}
        """By partition, the position below which every subscriber without a separate position has settled all."""
        self.behind: list[dict[str, int]] = [{} for _ in range(partitions)]
        """By partition and subscriber, the separate positions."""
        self.members: dict[str, dict[str, Any]] = {}
        """What each gateway says of itself."""
        self.void: dict[str, Version | None] = {}
        """The keys whose last record does not say what is, with the version of a lease that it says."""
        self._gap = 0  # no record was removed behind this offset
        self._read_at: dict[str, int] = {}  # the offsets of positions
        # What was ended, and by a client when, because a record may be written twice, or come late.
        self._ended: dict[str, tuple[Version, float]] = {}
        self._ended_before: dict[str, tuple[Version, float]] = {}

    def effective(self, partition: int, socket: str) -> int:
        """Return the position below which no event of a subscriber is delivered any more."""
        place = self.behind[partition].get(socket)
        return self.fronts.get(partition, 0) if place is None else place

    def latest(self, key: str) -> float:
        """Return the time of what is known last of a lease, on the wall clock of its writer; -inf for nothing."""
        entry = self.leases.get(key)
        _, ended_at = self._ended.get(key) or self._ended_before.get(key) or (None, -inf)
        return ended_at if entry is None else max(entry.at, ended_at)

    def forget(self) -> None:
        """Forget the versions of leases that had ended before the last call."""
        self._ended_before, self._ended = self._ended, {}

    def read(self, offset: int, key: str, value: bytes | None) -> Record:
        """Take the next record; return what it says."""
        if offset != self.offset + 1:
            self._gap = offset
        self.offset = offset
        try:
            kind, *names = checked_names(key, len(self.behind))
        except RecordError as error:
            return Record("", [], None, True, str(error))
        if kind == "other":
            return Record(kind, [], None, True)
        try:
            record = checked_value(kind, value)
            lease = Lease.read(record.get("l")) if kind == "lease" and record and "v" in record else None
            if lease is not None and [lease.event, lease.key] != names:
                raise RecordError("expected the lease that the key names")
        except ValueError as error:
            if kind == "member":
                return Record(kind, names, None, True, str(error))
            self.void[key] = None
            return Record(kind, names, None, False, str(error))
        if kind == "lease":
            is_valid = self._read_lease(key, names[1], record, lease)
        elif kind == "member":
            self.members.pop(names[0], None) if record is None else self.members.update({names[0]: record})
            is_valid = True
        else:
            is_valid = self._read_position(key, kind, names, record)
        if is_valid:
            self.void.pop(key, None)
        else:
            self.void[key] = tuple(record["v"]) if record and "v" in record else None
        return Record(kind, names, record, is_valid)

    def _read_lease(self, key: str, socket: str, record: Any, lease: Lease | None) -> bool:
        entry = self.leases.get(key)
        has_gap = entry is not None and entry.offset < self._gap
        if lease is None:
            return self._read_end(key, socket, record, has_gap=has_gap)
        version = intern(record["v"][0]), record["v"][1]
        if entry is None:
            ended, at = self._ended.get(key) or self._ended_before.get(key) or (("", 0), -inf)
            if (ended[0] == version[0] and version[1] <= ended[1]) or record["at"] < at - STALE_S:
                return False
            self.sockets[lease.key] += 1
        elif version == entry.version:
            return True
        else:
            is_void = "again" in record and tuple(record["again"]) != entry.version and not has_gap
            is_older = version[0] == entry.version[0] and version[1] < entry.version[1]
            if is_older or record["at"] < entry.at - STALE_S or is_void:
                return False
        self.leases[key] = Entry(version, record["at"], lease, self.offset)
        return True

    def _read_end(self, key: str, socket: str, record: Any, *, has_gap: bool) -> bool:
        entry = self.leases.get(key)
        if entry is None:
            if record is not None and "at" in record:  # what was made before may come yet
                self._ended[key] = self._ended.get(key, (("", 0), 0.0))[0], record["at"]
            return True
        if not (has_gap or _ends(record, entry)):
            return False
        del self.leases[key]
        if not has_gap:
            self._ended[key] = entry.version, (record or {}).get("at", -inf)
        self.sockets[socket] -= 1
        if not self.sockets[socket]:
            del self.sockets[socket]
        return True

    def _read_position(self, key: str, kind: str, names: list[Any], record: Any) -> bool:
        partition = names[0]
        owner = self.owners.get(partition, (0, ""))
        if kind == "owner":
            if record is not None and record["o"][0] > owner[0]:
                owner = self.owners[partition] = tuple(record["o"])
            return record is None or tuple(record["o"]) == owner
        places: Any = self.fronts if kind == "front" else self.behind[partition]
        name = names[-1]
        if record is None:
            if name in places and self._read_at[key] < self._gap:
                del places[name]
            return name not in places
        if record["o"][0] < owner[0]:  # only one process writes in an epoch
            return False
        if record["at"] is None:
            places.pop(name, None)
        else:
            places[name] = record["at"]
            self._read_at[key] = self.offset
        return True

    def state_of(self, key: str, writer: str) -> bytes:
        """Return the record of a lease that says what is."""
        entry = self.leases.get(key)
        void = self.void.get(key)
        return end_of(void, writer) if entry is None else entry.encode(again=void or ("", 0))


def _ends(record: Any, entry: Entry) -> bool:
    """Return whether a record is meant for the present version of a lease."""
    if record is None:
        return False
    is_named = record["e"] is not None and tuple(record["e"]) == entry.version
    return is_named or entry.at <= record.get("at", -inf)


def end_of(version: Version | None, writer: str, at: float | None = None) -> bytes:
    """Return the record that ends a lease.

    Args:
        version: that is ended.
        writer: the gateway that replaces the record by a tombstone, when all have read it.
        at: the time on the wall clock until which other versions are ended, too, for a client; None for no others.
    """
    return dumps({"e": version, "by": writer, **({} if at is None else {"at": at})})
