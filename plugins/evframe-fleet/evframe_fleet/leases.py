"""The leases of a fleet, as one gateway has them."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Final

from evframe_timing import Schedule

from evframe_fleet.table import Entry, Record, Version, end_of, key_of, names_of

if TYPE_CHECKING:
    from evframe_shards.leases import Lease

    from evframe_fleet.parts import Parts
    from evframe_fleet.puts import Done, Puts

_LOOK_S: Final = 5.0


class Leases:
    """Writes what is made and ended here, and has the gateway follow what others have written.

    While a record of this gateway is on its way, the gateway shows what it says: it comes behind what others have
    written before it, and the table shows afterwards which of them holds.

    Args:
        parts: what is shared.
        puts: writes the records.
        owns: returns whether this gateway delivers to a subscriber, by its name.
    """

    def __init__(self, parts: Parts, puts: Puts, owns: Callable[[str], bool]) -> None:
        self._parts = parts
        self._puts = puts
        self._owns = owns
        self._number = 0  # of the last record
        self._shown: dict[str, Version | None] = {}  # leases that differ here from the table, because of a put
        self._written: dict[str, int] = {}  # the offsets below which the records of these are
        self._due: Schedule[str] = Schedule()  # by their times on the wall clock
        self._due_at: dict[str, float] = {}
        self._configured: dict[str, float] = {}  # leases of configurations: since when their writers do not live
        self._look_at = -inf

    def keep(self, lease: Lease, done: Done | None = None) -> None:
        """Write a lease that was made or renewed here; *done* is called when it is acknowledged.

        The record stays queued as long as it takes. A later call for the same lease takes its place, and the earlier
        *done* is called with that of the later record.
        """
        key = key_of("lease", lease.event, lease.key)
        self._number += 1
        entry = Entry((self._parts.settings.name, self._number), self._now(key), lease)
        self._write(key, entry.version, entry.encode(), done, is_new=key not in self._parts.table.leases)

    def end(self, event: str, key: str, done: Done | None = None) -> None:
        """Write that a lease was ended here, by its client or the configuration; see `keep`."""
        key = key_of("lease", event, key)
        entry = self._parts.table.leases.get(key)
        version = self._shown.get(key) or (entry.version if entry is not None else None)
        self._write(key, None, end_of(version, self._parts.settings.name, self._now(key)), done, is_new=False)

    def _now(self, key: str) -> float:
        """Return the time of a record: not before what it follows, whose writer's clock may be ahead."""
        return max(self._parts.wall(), self._parts.table.latest(key))

    def _write(self, key: str, version: Version | None, value: bytes, done: Done | None, *, is_new: bool) -> None:
        self._shown[key] = version
        self._written.pop(key, None)

        def written() -> None:
            if key in self._shown and self._shown[key] == version:
                self._written[key] = self._puts.offset
            if done is not None:
                done()

        self._puts.put(key, value, written, is_new=is_new)

    def is_shared(self, event: str, key: str) -> bool:
        """Return whether the lease is one of the fleet, which no gateway ends by its own clock."""
        key = key_of("lease", event, key)
        return key in self._parts.table.leases or self._shown.get(key) is not None

    # What the topic says

    def read(self, key: str, record: Record, before: Entry | None) -> None:
        """Take a record that the table has taken; *before* is what the table had for its key."""
        entry = self._parts.table.leases.get(key)
        if entry is not before:
            self._remember(key, entry)
        if key in self._shown:
            own = self._shown[key]
            table = self._parts.table
            if not self._is_own(record.value, own) and table.offset <= self._written.get(key, table.offset):
                return  # what this gateway has written comes later
            del self._shown[key]
            self._written.pop(key, None)
            if own == (None if entry is None else entry.version):
                return
        elif entry is before:
            return
        if entry is None:
            again = self._parts.gateway.lease_ended(*record.names)
            if again is not None:
                self.keep(again)
        else:
            self._parts.gateway.lease_read(entry.lease)

    def _is_own(self, record: Any, version: Version | None) -> bool:
        """Return whether a record is the one of this gateway that has made or ended *version*."""
        if record is None:
            return False
        if version is not None:
            return tuple(record.get("v", ())) == version and "again" not in record
        return record.get("by") == self._parts.settings.name and "at" in record

    def _remember(self, key: str, entry: Entry | None) -> None:
        """Look at a lease when its time is over."""
        at = self._due_at.pop(key, None)
        if at is not None:
            self._due.remove(key, at)
        if entry is not None and entry.lease.is_configured:
            self._configured[key] = inf
        else:
            self._configured.pop(key, None)
        if entry is not None and entry.lease.ends_at is not None:
            self._look(key, entry.lease.ends_at + self._parts.settings.grace_s)

    def _look(self, key: str, at: float) -> None:
        self._due_at[key] = at
        self._due.add(key, at)

    def end_due(self) -> None:
        """End the leases whose time is over, where this gateway owns the shard."""
        wall = self._parts.wall()
        while (key := self._due.pop(wall)) is not None:
            self._look(key, wall + _LOOK_S)
            if self._owns(names_of(key)[2]):
                value = end_of(self._parts.table.leases[key].version, self._parts.settings.name)
                self._parts.log.put_lease(key, value, lambda _: None)

    def end_unheld(self, is_alive: Callable[[str], bool]) -> None:
        """Keep the leases of configurations whose gateways have ended, where this one has them, too; end the others.

        Each gateway writes the leases of its configuration when it starts, so that one which is not in the files any
        more has a writer that has ended.

        Args:
            is_alive: returns whether a member lives.
        """
        now, settings = self._parts.clock(), self._parts.settings
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        for key, since in list(self._configured.items()):
            entry, (_, event, socket) = self._parts.table.leases[key], names_of(key)
            if key in self._shown or entry.version[0] == settings.name or is_alive(entry.version[0]):
                self._configured[key] = inf
            elif self._parts.gateway.holds(event, socket):
                self.keep(entry.lease)
            else:
                self._configured[key] = min(since, now)
                if now >= self._configured[key] + settings.unheld_s and self._owns(socket):
                    self._parts.log.put_lease(key, end_of(entry.version, settings.name), lambda _: None)
