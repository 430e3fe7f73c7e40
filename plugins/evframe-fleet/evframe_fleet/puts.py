"""Records of leases on their way: in order for each key, and written again until they are acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evframe_fleet.log import Log

Done = Callable[[], None]


class _Put:
    """What is written for one key."""

    __slots__ = ("dones", "has_failed", "is_read", "later", "number", "value")

    def __init__(self, value: bytes, done: Done) -> None:
        self.value = value
        self.number = 0  # of a new lease
        self.dones = [done]
        self.later: tuple[bytes, list[Done]] | None = None  # what takes its place when it is acknowledged
        self.has_failed = self.is_read = False


class Puts:
    """Writes records of leases, one at a time for each key.

    Args:
        log: the two topics.
        on_acknowledged: called when `known` may have changed.
    """

    def __init__(self, log: Log, on_acknowledged: Callable[[], None]) -> None:
        self._log = log
        self._on_acknowledged = on_acknowledged
        self._puts: dict[str, _Put] = {}
        self._new: dict[int, None] = {}  # the numbers of new leases that are not acknowledged
        self.number = 0
        """Of the last new lease."""
        self.offset = -1
        """The highest that was acknowledged."""

    def __len__(self) -> int:
        return len(self._puts)

    def is_known(self, number: int) -> bool:
        """Return whether all new leases up to *number* are acknowledged."""
        return not self._new or next(iter(self._new)) > number

    def put(self, key: str, value: bytes, done: Done, *, is_new: bool) -> None:
        """Write a record; *done* is called when it, or one that has taken its place, is acknowledged."""
        put = self._puts.get(key)
        if put is not None:
            put.later = value, [*(put.later[1] if put.later is not None else ()), done]
            return
        put = self._puts[key] = _Put(value, done)
        if is_new:
            self.number = put.number = self.number + 1
            self._new[put.number] = None
        self._write(key, put)

    def _write(self, key: str, put: _Put) -> None:
        put.has_failed = False

        def done(offset: int | None) -> None:
            if offset is None and not put.is_read:
                put.has_failed = True
            else:
                self._acknowledge(key, put, self.offset if offset is None else offset)

        self._log.put_lease(key, put.value, done)

    def _acknowledge(self, key: str, put: _Put, offset: int) -> None:
        self.offset = max(self.offset, offset)
        self._new.pop(put.number, None)
        dones, later = put.dones, put.later
        if later is None:
            del self._puts[key]
        else:
            put.value, put.dones = later
            put.later, put.is_read = None, False
            self._write(key, put)
        for done in dones:
            done()
        self._on_acknowledged()

    def read(self, offset: int, key: str, value: bytes | None) -> None:
        """Take a record of the topic, which may be one whose acknowledgement was lost."""
        put = self._puts.get(key)
        if put is None or put.value != value:
            return
        put.is_read = True
        if put.has_failed:
            self._acknowledge(key, put, offset)

    def retry(self) -> None:
        """Write what has failed again."""
        for key, put in list(self._puts.items()):
            if put.has_failed:
                self._write(key, put)
