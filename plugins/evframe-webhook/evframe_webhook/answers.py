"""What the status of an answer says about the events of its request."""

from __future__ import annotations

from enum import Enum
from typing import Final

_LATER: Final = {408, 425, 429}
_MENDABLE: Final = {401, 403, 404, 407}
"""The status of a server that is set up otherwise for now: events that outlive the process wait for its mending."""
_GONE: Final = 410


class Verdict(Enum):
    """The outcome of a request for its events."""

    DELIVERED = "delivered"
    LATER = "later"
    """The same request may be taken later."""
    REJECTED = "rejected"
    GONE = "gone"
    """The server wants no further events."""


def verdict_on(status: int, *, is_kept: bool) -> Verdict:
    """Return what *status* says; *is_kept* is whether the events outlive the process."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == _GONE:
        return Verdict.GONE
    is_later = status >= 500 or status in _LATER or (is_kept and status in _MENDABLE)
    return Verdict.LATER if is_later else Verdict.REJECTED
