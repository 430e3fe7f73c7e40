"""What the queue of a subscriber may hold, and what it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Done, Policy
    from evframe_journal.discard import Discard
    from evframe_journal.memory import Memory


def _ignore(*_: object) -> None:
    """Do nothing."""


@attrs.frozen
class Limits:
    """How much a subscriber may have, and what happens with more."""

    events: int
    """How many events may wait in memory."""
    most_bytes: int = 0
    """How many bytes of payloads may wait outside of the memory; 0 for any number."""
    when_full: str = "drop_newest"
    """What happens to an event that finds no room."""
    overflow: str = "drop_newest"
    """What happens to it where the policy does not say so."""
    has_letters: bool = False
    """Whether events that fail for good become dead letters."""

    @classmethod
    def of(cls, events: int, policy: Policy, overflow: str) -> Limits:
        """Return what *policy* says."""
        return cls(events, policy.max_bytes or 0, policy.when_full or overflow, overflow, bool(policy.dead_letter))

    @property
    def drops_oldest(self) -> bool:
        """Whether the oldest events on disk are dropped for new ones."""
        return self.when_full == "drop_oldest"

    @property
    def blocks(self) -> bool:
        """Whether callers that can wait do so until there is room."""
        return self.when_full == "block"


@attrs.frozen
class Calls:
    """What a queue calls of its subscriber."""

    wake: Callable[[], object] = _ignore
    """Called when events have come from the disk."""
    lost: Callable[[int, str], object] = _ignore
    """Called with the number of waiting events that are lost, and the reason."""
    failed: Callable[[Sequence[Event], Mapping[int, Done], str], object] = _ignore
    """Called with waiting events that are lost and in memory, the callbacks by index, and the reason."""
    found: Callable[[int], object] = _ignore
    """Called with the number of events of an earlier process that wait now, too."""
    over: Callable[[str, Sequence[Done]], object] = _ignore
    """Called with the outcome of events that the queue has no more, or that wait for another process, and with the
    callbacks that wait for it."""


class Owner(Protocol):
    """The journal, as far as a queue calls it."""

    memory: Memory

    @property
    def is_full(self) -> bool:
        """Whether the last commit found no room on the disk."""

    def read(self, queue: Any, position: int, most: int) -> None:
        """Read events from *position* on, and give them to its `load`."""

    def bury(self, what: Discard, count: int) -> None:
        """Have the *count* events of *what*, which are counted, become dead letters."""
