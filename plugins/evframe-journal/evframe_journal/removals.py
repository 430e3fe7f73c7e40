"""Removals: events that fail for good while they are on disk alone leave the file, for whatever reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from evframe_journal.discard import Discard, Discarded
from evframe_journal.ended import Backlogs
from evframe_journal.orphans import REASON, Orphans

if TYPE_CHECKING:
    from evframe_journal.bounds import Kept
    from evframe_journal.dead import DeadLetters
    from evframe_journal.file import File
    from evframe_journal.queue import KeptQueue


@attrs.define(kw_only=True, eq=False)
class Removals:
    """Has the file remove what has failed, in steps, and counts it."""

    file: File
    """Has the frames."""
    letters: DeadLetters
    """The dead letters."""
    queues: Mapping[str, KeptQueue]
    """By subscriber."""
    failed: Callable[[BaseException], None]
    """Called with an error of the file."""
    damaged: Callable[[str, int], None]
    """Called with the key of a subscriber, and how many of its events could not be read."""
    orphaned: Callable[[str, Discarded], None]
    """Called with the key of a subscriber that has not come back, and what was removed."""
    ended: Backlogs = attrs.field(init=False)
    """Of subscribers that have ended."""
    under_way: int = attrs.field(default=0, init=False)
    """How many steps are under way."""
    _orphans: Orphans | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.ended = Backlogs(remove=self._remove, bounds=lambda: self.letters.bounds, not_kept=self.letters.lose)

    def restore(self, kept: dict[str, Kept], lows: dict[str, int]) -> None:
        """Take what the file has for subscribers that have no queue, and the positions that the next commit writes."""
        self._orphans = Orphans(
            remove=self._remove,
            bounds=lambda: self.letters.bounds,
            orphaned=self.orphaned,
            came=lambda key, found: self._count(key, found, REASON),
            kept=kept,
            lows=lows,
        )

    def drop_orphans(self) -> None:
        """Remove a few events whose subscriber has not come back, unless that is under way."""
        if self._orphans is not None:
            self._orphans.drop()

    def drop_oldest(self, queue: KeptQueue, room: int = 1) -> None:
        """Remove the oldest frames of *queue*, until it has *room* for so many bytes, and no more than its bound.

        It reads nothing meanwhile.
        """
        room = max(room, queue.excess)
        queue.wants_drop = False
        queue.is_reading = True

        def over() -> None:
            queue.is_reading = False

        def done(found: Discarded) -> None:
            over()
            self._count(queue.key, found, "queue_full")
            if self.queues.get(queue.key) is queue:
                queue.wants_drop |= bool(found.count) and (found.size < room or queue.excess > 0)
                if queue.wants_drop and not queue.is_reading:
                    self.drop_oldest(queue, max(1, room - found.size))

        what = Discard(
            key=queue.key,
            start=queue.loaded,
            settled=queue.settled.copy(),
            reason="queue_full",
            letters=self.letters.bounds if queue.limits.has_letters else None,
            room=room,
        )
        self._remove(what, done, over)

    def _remove(self, what: Discard, done: Callable[[Discarded], None], failed: Callable[[], None]) -> None:
        """Have frames removed from the file, then call *done*."""
        self.under_way += 1

        def over(found: Discarded | None, error: BaseException | None) -> None:
            self.under_way -= 1
            if found is None:
                failed()
                self.failed(error or OSError())
                return
            self.letters.discarded(found)
            if found.damaged:
                self.damaged(what.key, found.damaged)
            done(found)

        self.file.discard(what, over)

    def _count(self, key: str, found: Discarded, reason: str) -> None:
        """Count what was removed of a subscriber, which may have ended, or come, in the meantime."""
        if key in self.queues:
            self.queues[key].drop(found.first, found.end, found.count, found.size, reason)
        else:
            self.ended.taken(key, found.count)
