"""What a check finds."""

from __future__ import annotations

from enum import IntEnum


class Verdict(IntEnum):
    """What a check found; true when the request may pass, with the original's numbers."""

    NEWLY_BLOCKED = -2
    """This request is the one too many."""
    STILL_BLOCKED = -1
    """The address is blocked since an earlier request."""
    ALLOWED = 1
    """The address is not flooding, or not known well enough yet."""

    def __bool__(self) -> bool:
        return self is Verdict.ALLOWED
