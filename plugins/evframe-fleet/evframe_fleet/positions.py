"""How much of a partition is settled, as the leases topic says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from orjson import dumps

from evframe_fleet.table import Stamp, key_of

if TYPE_CHECKING:
    from evframe_fleet.log import Log

Records = dict[str, int | None]


class Positions:
    """Writes the settled positions of a partition, in rounds.

    Most subscribers settle each event at once: the *front* is the position of all of them. A subscriber that has not
    settled an event of the round before gets a separate position, so that it does not hold back the front. At any
    time, what is written for a subscriber is at most what it has settled: separate positions are written before the
    front rises above them, and removed after the front has risen to what they have settled.

    Args:
        partition: its number.
        log: the two topics.
        stamp: of the owner.
        front: the front as it is written.
        written: the separate positions as they are written.
    """

    def __init__(self, partition: int, log: Log, stamp: Stamp, front: int, written: Mapping[str, int]) -> None:
        self._partition = partition
        self._log = log
        self._stamp = stamp
        self.front = self._head = front
        self.written = dict(written)
        self._unsure: set[str] = set()  # of these, what may be written or not
        self.is_under_way = self.is_closed = False

    @property
    def floor(self) -> int:
        """The position below which nothing is read any more."""
        return min(self.front, *self.written.values()) if self.written else self.front

    def begin(self, end: int, lows: Mapping[str, int], over: Callable[[bool], None], *, everything: bool) -> None:
        """Begin a round; none is under way.

        Args:
            end: the position of the next event of the partition.
            lows: the lowest open position of each subscriber that has one below *end*.
            over: called with whether everything is written.
            everything: whether each of these gets a separate position; else those get one that have not settled an
                event of the round before.
        """
        head, self._head = self._head, end
        slow = {key: low for key, low in lows.items() if everything or low < head}
        front = min([end, *(low for key, low in lows.items() if key not in slow)])
        front = max(front, self.front)
        self.is_under_way = True

        def over_all(is_written: bool) -> None:  # noqa: FBT001 a callback
            self.is_under_way = False
            over(is_written)

        def clear(is_written: bool) -> None:  # noqa: FBT001 as above
            if is_written:
                self.front = front
                risen = (key for key, place in self.written.items() if key not in slow and place <= front)
                cleared: Records = dict.fromkeys(risen)
                self._put(cleared, partial(self._settled, cleared, over_all))
            else:
                over_all(False)

        def rise(is_written: bool) -> None:  # noqa: FBT001 as above
            if is_written and front != self.front:
                self._put_all([(key_of("front", self._partition), self._value(front))], clear)
            elif is_written:
                clear(True)
            else:
                over_all(False)

        changed: Records = {
            key: low for key, low in slow.items() if self.written.get(key) != low or key in self._unsure
        }
        self._put(changed, partial(self._settled, changed, rise))

    def _settled(self, records: Records, then: Callable[[bool], None], is_written: bool) -> None:  # noqa: FBT001 as above
        for key, place in records.items():
            if not is_written:
                self._unsure.add(key)
                self.written.setdefault(key, self.front if place is None else place)
                continue
            self._unsure.discard(key)
            if place is None:
                self.written.pop(key, None)
            else:
                self.written[key] = place
        then(is_written)

    def _put(self, records: Records, then: Callable[[bool], None]) -> None:
        self._put_all([(self.key_of(key), self._value(place)) for key, place in records.items()], then)

    def key_of(self, socket: str) -> str:
        """Return the key of the record with the separate position of a subscriber."""
        return key_of("behind", self._partition, socket)

    def _value(self, place: int | None) -> bytes:
        return dumps({"o": self._stamp, "at": place})

    def _put_all(self, records: list[tuple[str, bytes]], then: Callable[[bool], None]) -> None:
        """Write *records*, then call *then* with whether all are acknowledged."""
        left, failed = len(records), False

        def done(offset: int | None) -> None:
            nonlocal left, failed
            left -= 1
            failed = failed or offset is None
            if not left and not self.is_closed:
                then(not failed)

        for key, value in records:
            self._log.put_lease(key, value, done)
        if not records:
            then(True)

    def write_again(self, kind: str, socket: str = "") -> None:
        """Write the owner, the front, or the separate position of a subscriber, behind a void record."""
        key = self.key_of(socket) if socket else key_of(kind, self._partition)
        places = {"owner": dumps({"o": self._stamp}), "front": self._value(self.front)}
        self._log.put_lease(key, places.get(kind, self._value(self.written.get(socket))), lambda _: None)
