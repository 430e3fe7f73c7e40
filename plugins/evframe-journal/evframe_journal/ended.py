"""Events that were on disk alone when their subscriber ended: they become dead letters, a few in each step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from evframe_journal.discard import Discard, Discarded

if TYPE_CHECKING:
    from evframe_journal.letters import Bounds

Remove = Callable[[Discard, Callable[[Discarded], Any], Callable[[], Any]], Any]
"""Has frames removed: called with which, and with what is called with the result, or when that has failed."""


@attrs.define(kw_only=True, eq=False)
class Backlog:
    """What an ended subscriber has on disk."""

    key: str
    what: Discard
    left: int
    """How many events are left; they are counted as failed already."""
    noted: int = -1
    """The lowest position of the subscriber that is not settled, according to the file."""


@attrs.define(kw_only=True, eq=False)
class Backlogs:
    """Those of all subscribers that have ended, the first one first."""

    remove: Remove
    """Removes frames."""
    bounds: Callable[[], Bounds]
    """Returns the bounds of the dead letters."""
    not_kept: Callable[[int], Any]
    """Called with the number of events that are no letters, because the file does not have them any more."""
    _waiting: deque[Backlog] = attrs.field(factory=deque, init=False)
    _is_busy: bool = attrs.field(default=False, init=False)

    def add(self, what: Discard, count: int) -> None:
        """Have the *count* events of *what* become letters."""
        self._waiting.append(Backlog(key=what.key, what=what, left=count))

    @property
    def ends(self) -> Mapping[str, int]:
        """By subscriber, the position below which frames must stay until they are removed."""
        return {each.key: each.what.end for each in self._waiting}

    def without_them(self, lows: Mapping[str, int]) -> dict[str, int]:
        """Return which of *lows* to write: those of ended subscribers are not above what is left.

        All below is settled at once, because the commit may have letters of that.
        """
        if not self._waiting:
            return dict(lows)
        firsts = {each.key: each for each in reversed(self._waiting)}
        below = {key: min(low, firsts[key].what.start) if key in firsts else low for key, low in lows.items()}
        return {key: low for key, low in below.items() if key not in firsts or low > firsts[key].noted}

    def note(self, lows: Mapping[str, int]) -> None:
        """Note that *lows* are written."""
        for each in self._waiting:
            each.noted = max(each.noted, min(lows.get(each.key, -1), each.what.start))

    @property
    def count(self) -> int:
        """How many events are left."""
        return sum(each.left for each in self._waiting)

    def taken(self, key: str, count: int) -> None:
        """Note that *count* events of a subscriber were removed otherwise, by what had begun before it ended."""
        for each in self._waiting:
            if each.key == key:
                each.left = max(0, each.left - count)
                return

    def proceed(self) -> None:
        """Remove a few frames of the first one, unless that is under way."""
        if self._is_busy or not self._waiting:
            return
        self._is_busy = True
        first = self._waiting[0]

        def done(found: Discarded) -> None:
            self._is_busy = False
            first.left = max(0, first.left - found.count)
            if found.is_last:
                self._waiting.popleft()
                if first.left:
                    self.not_kept(first.left)
            self.proceed()

        def failed() -> None:
            self._is_busy = False

        self.remove(attrs.evolve(first.what, letters=self.bounds()), done, failed)
