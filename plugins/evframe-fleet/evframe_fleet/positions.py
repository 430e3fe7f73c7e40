"""How much of a partition is settled, as the leases topic says it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from orjson import dumps

from evframe_fleet.table import Stamp, key_of

if TYPE_CHECKING:
    from evframe_fleet.log import Log

Records = list[tuple[str, bytes]]


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
        self.is_under_way = True
        self._proceed(self._round(slow, max(front, self.front)), over)

    def _round(self, slow: Mapping[str, int], front: int) -> Generator[Records, bool | None, bool]:
        """Yield the records of one step after the other, and get whether they are acknowledged; return it of all."""
        changed = {key: low for key, low in slow.items() if self.written.get(key) != low or key in self._unsure}
        self._unsure.update(changed)
        self.written = {**changed, **self.written}
        if not (yield [(self._key_of(key), self._value(low)) for key, low in changed.items()]):
            return False
        self._unsure.difference_update(changed)
        self.written |= changed
        if front != self.front:
            if not (yield [(key_of("front", self._partition), self._value(front))]):
                return False
            self.front = front
        risen = [key for key, place in self.written.items() if key not in slow and place <= front]
        self._unsure.update(risen)
        if not (yield [(self._key_of(key), self._value(None)) for key in risen]):
            return False
        self._unsure.difference_update(risen)
        for key in risen:
            del self.written[key]
        return True

    def _proceed(
        self,
        steps: Generator[Records, bool | None, bool],
        over: Callable[[bool], None],
        is_written: bool | None = None,  # noqa: FBT001 a callback
    ) -> None:
        try:
            records = steps.send(is_written)
        except StopIteration as end:
            self.is_under_way = False
            over(end.value)
        else:
            self._put_all(records, partial(self._proceed, steps, over))

    def _key_of(self, socket: str) -> str:
        return key_of("behind", self._partition, socket)

    def _value(self, place: int | None) -> bytes:
        return dumps({"o": self._stamp, "at": place})

    def _put_all(self, records: Records, then: Callable[[bool], None]) -> None:
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
        key = self._key_of(socket) if socket else key_of(kind, self._partition)
        places = {"owner": dumps({"o": self._stamp}), "front": self._value(self.front)}
        self._log.put_lease(key, places.get(kind, self._value(self.written.get(socket))), lambda _: None)
