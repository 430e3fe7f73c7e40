"""The header ``Retry-After`` of an answer, and the pause that a server gets by it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from evframe import Unavailable


class Later(Unavailable):
    """The server may take the rest later.

    Args:
        reason: the word for its status.
        pause_s: the seconds that it has asked for; 0 for none.
    """

    def __init__(self, reason: str, pause_s: float) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Pauses:
    """Until when nothing is sent to a subscriber, by the canonical text of its socket."""

    def __init__(self) -> None:
        self._pauses: dict[str, tuple[float, str]] = {}

    def begin(self, canonical: str, error: Later) -> None:
        """Have the subscriber wait as long as its server has asked for."""
        if error.pause_s:
            self._pauses[canonical] = time.monotonic() + error.pause_s, error.reason

    def check(self, canonical: str) -> None:
        """Raise `Unavailable` during the pause of the subscriber, with the reason of its beginning."""
        until_s, reason = self._pauses.get(canonical, (0.0, ""))
        if time.monotonic() < until_s:
            raise Unavailable(reason)

    def forget(self, canonical: str) -> None:
        """End the pause of a subscriber that has ended."""
        self._pauses.pop(canonical, None)


def retry_after_s(headers: Mapping[str, str], most_s: float, now: datetime | None = None) -> float:
    """Return the seconds that ``Retry-After`` asks for, at most *most_s*; 0 without it, or when it cannot be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), most_s)
    try:
        at = parsedate_to_datetime(text)
        if at.tzinfo is None:  # of a date with -0000
            at = at.replace(tzinfo=UTC)
        return min(max((at - (now or datetime.now(UTC))).total_seconds(), 0.0), most_s)
    except (ValueError, OverflowError):
        return 0.0
