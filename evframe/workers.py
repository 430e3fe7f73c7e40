"""Groups of workers, whose number somebody else may change while they work."""

from __future__ import annotations

from typing import Protocol


class WorkerGroup(Protocol):
    """What a plugin with workers of its own tells about them, and lets be changed."""

    @property
    def kind(self) -> str:
        """What the workers do, in a word such as ``ROUTE``."""

    @property
    def filter(self) -> str:
        """What part of that they do; ``none`` for all of it."""

    @property
    def size(self) -> int:
        """How many workers there are."""

    @property
    def bounds(self) -> tuple[int, int]:
        """The smallest and the largest number of workers."""

    def load_percent(self) -> int:
        """Return the part of the workers' time since the last call that was spent working, in percent."""

    def grow(self) -> int:
        """Add a worker and return its number."""

    def shrink(self) -> int:
        """Let a worker go, once it is done with what it does, and return its number."""
