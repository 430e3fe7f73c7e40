"""One domain: its addresses, and the second at which something is due for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from evframe.plugin import Schedule
from evframe_usrloc.contacts import Record, pack, unpack


class Table:
    """The addresses of one domain.

    They are spread over many dictionaries, since a single one with a million entries holds the
    loop up whenever it grows. The contacts of each are packed into bytes: in half of the memory,
    and out of the sight of the cyclic garbage collector, to which a million objects are work.

    Args:
        name: the domain's.
        hash_size: the number of dictionaries is two to the power of it.
        due_of: returns the second at which something has to be done with a record; 0 for never.
    """

    def __init__(self, name: str, hash_size: int, due_of: Callable[[Record], int]) -> None:
        self.name = name
        self._slots: list[dict[str, bytes]] = [{} for _ in range(1 << hash_size)]
        self.users = 0
        """How many addresses there are."""
        self.contacts = 0
        """How many contacts they have."""
        self.expired = 0
        """How many contacts have expired so far."""
        self._mask = len(self._slots) - 1
        self._due_of = due_of
        self._schedule: Schedule[str] = Schedule()

    def get(self, aor: str) -> Record:
        """Return the contacts of an address, also those that have expired but were not dropped yet."""
        packed = self._slots[hash(aor) & self._mask].get(aor)
        return () if packed is None else unpack(packed)

    def put(self, aor: str, before: Record, after: Record, *, popped: bool = False) -> None:
        """Replace the contacts *before* of an address by *after*.

        Args:
            aor: the address.
            before: what `get` returns.
            after: what it returns from now on.
            popped: whether the address has just come from `pop_due`.
        """
        slot = self._slots[hash(aor) & self._mask]
        if after:
            slot[aor] = pack(after)
        else:
            slot.pop(aor, None)
        self.users += bool(after) - bool(before)
        self.contacts += len(after) - len(before)
        old = 0 if popped else self._due_of(before)
        new = self._due_of(after)
        if old != new:
            if old:
                aor = self._schedule.remove(aor, old)  # the text that is in memory already
            if new:
                self._schedule.add(aor, new)

    def pop_due(self, now: float) -> str | None:
        """Return an address for which something is due, and take it out of the schedule; None when there is none."""
        return self._schedule.pop(now)

    def __iter__(self) -> Iterator[Record]:
        """Yield the contacts of each address; the table may change meanwhile."""
        for part in self.parts():
            yield from map(unpack, part)

    def parts(self) -> Iterator[list[bytes]]:
        """Yield the packed contacts of each address, those of some addresses at a time."""
        for slot in self._slots:
            yield list(slot.values())

    def page(self, index: int, count: int) -> list[Record]:
        """Return the contacts of at most *count* addresses, after leaving out the first *index*."""
        found: list[bytes] = []
        for slot in self._slots:
            if index >= len(slot):
                index -= len(slot)
                continue
            found += list(slot.values())[index : index + count - len(found)]
            index = 0
            if len(found) >= count:
                break
        return [unpack(packed) for packed in found]
