"""Events of subscribers that do not come back: they fail after a time, a few in each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import attrs

from evframe_journal.bounds import Kept
from evframe_journal.discard import Discard, Discarded
from evframe_journal.ended import Remove
from evframe_journal.settled import Settled

if TYPE_CHECKING:
    from evframe_journal.letters import Bounds

REASON: Final = "orphaned"


@attrs.define(kw_only=True, eq=False)
class Orphans:
    """Removes what the file has for subscribers that have no queue."""

    remove: Remove
    """Removes frames."""
    bounds: Callable[[], Bounds | None]
    """Returns the bounds of the dead letters; None where none are kept."""
    orphaned: Callable[[str, Discarded], Any]
    """Called with the key of a subscriber, and what was removed."""
    came: Callable[[str, Discarded], Any]
    """Called instead when the subscriber has come in the meantime."""
    kept: dict[str, Kept]
    """What the file has, by subscriber that has no queue."""
    lows: dict[str, int]
    """By subscriber, the position below which the next commit deletes."""
    _left: list[str] = attrs.field(init=False)  # those that may have events
    _is_busy: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._left = [key for key, each in self.kept.items() if each.count]

    def drop(self) -> None:
        """Remove a few frames of one subscriber, unless that is under way."""
        while self._left and not self.kept.get(self._left[-1], Kept(0, 0, 0)).count:
            self._left.pop()
        if self._is_busy or not self._left:
            return
        self._is_busy = True
        key = self._left[-1]
        before = self.kept[key]
        letters = self.bounds() if before.has_letters else None

        def done(found: Discarded) -> None:
            self._is_busy = False
            if self.kept.get(key) is not before:
                self.came(key, found)
                return
            left = 0 if found.is_last else max(1, before.count - found.count)
            low = before.tail if found.is_last else found.end
            self.kept[key] = attrs.evolve(before, low=low, count=left)
            self.lows[key] = low
            if found.count:
                self.orphaned(key, found)

        def failed() -> None:
            self._is_busy = False

        settled = Settled(before.low)
        self.remove(Discard(key=key, start=before.low, settled=settled, reason=REASON, letters=letters), done, failed)
