"""Frames of subscribers that do not come back: dropped after a time, a few in each turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from evframe_journal.bounds import Kept, Reading
from evframe_journal.file import File
from evframe_journal.frames import Frame

_AT_ONCE: Final = 4096  # events
Orphaned = Callable[[str, "Frame | None", int], Any]
"""Called with the key of a subscriber, a frame of events that are dropped, or None for damaged ones, and how many."""


@attrs.define(kw_only=True, eq=False)
class Orphans:
    """Drops what the file has for subscribers that are not there."""

    file: File
    """Has the frames."""
    orphaned: Orphaned
    """Called with what is dropped."""
    kept: dict[str, Kept]
    """What the file has, by subscriber that is not there."""
    lows: dict[str, int]
    """By subscriber, the position below which the next commit deletes."""
    _is_reading: bool = attrs.field(default=False, init=False)

    def drop(self) -> None:
        """Read events of one subscriber, unless that is under way, and have them deleted."""
        key = next((key for key, each in self.kept.items() if each.count), None)
        if key is None or self._is_reading:
            return
        before = self.kept[key]
        self._is_reading = True

        def done(reading: Reading | None, _: BaseException | None) -> None:
            self._is_reading = False
            if reading is not None and self.kept.get(key) is before:  # else the subscriber has come
                self._drop(key, before, reading)

        self.file.read(key, before.low, _AT_ONCE, done)

    def _drop(self, key: str, before: Kept, reading: Reading) -> None:
        count = reading.damaged + sum(len(frame.positions) for frame in reading.frames)
        for frame in reading.frames:
            self.orphaned(key, frame, len(frame.positions))
        if reading.damaged:
            self.orphaned(key, None, reading.damaged)
        low, left = (reading.end, max(0, before.count - count)) if count else (before.tail, 0)
        self.kept[key] = Kept(low, before.tail, left) if left else Kept(before.tail, before.tail, 0)
        self.lows[key] = self.kept[key].low
