"""The header ``Retry-After`` of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


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
