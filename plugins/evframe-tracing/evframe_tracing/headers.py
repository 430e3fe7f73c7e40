"""The headers of W3C Trace Context, as they come with messages: what is no such header is found out here.

The library logs a line for each header that it does not take, and senders of messages could fill the log with them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from evframe_wire.visible import brief

PARENT: Final = "traceparent"
STATE: Final = "tracestate"
BAGGAGE: Final = "baggage"
MOST_STATE: Final = 512
"""The longest `tracestate`, in characters: what every implementation has to pass on."""
MOST_BAGGAGE: Final = 8192
"""The longest `baggage`, in bytes, as its specification says."""
_MOST_ENTRIES: Final = 180
_MOST_ENTRY: Final = 4096
_NAME: Final = r"[\x21\x23-\x27\x2a\x2b\x2d\x2e0-9A-Z\x5e-\x7a\x7c\x7e]+"
_VALUE: Final = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_PAIR: Final = rf"{_NAME}[ \t]*=[ \t]*{_VALUE}"
_ENTRY: Final = re.compile(rf"{_PAIR}(?:[ \t]*;[ \t]*(?:{_PAIR}|{_NAME}))*")
_ODD: Final = frozenset("13579bdf")
_MOST_MEMBERS: Final = 32
_MOST_PARENT: Final = 256
# Later versions may have more after the flags; the version ff is none, and neither are ids of zeros.
_PARENT: Final = re.compile(
    r"(?:00|(?!00|ff)[0-9a-f]{2}(?=.{53}(?:-|$)))-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_KEY: Final = r"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
_MEMBER: Final = re.compile(rf"{_KEY}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{{0,255}}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")


def parent_of(headers: Mapping[str, Any]) -> str | None:
    """Return `traceparent`, as version 00 has it; None when there is none.

    Raises:
        ValueError: if it is no context.
    """
    value = headers.get(PARENT)
    if value is None:
        return None
    text = _text(value)
    found = None if text is None or len(text) > _MOST_PARENT else _PARENT.match(text)
    if found is None or (text is not None and text.startswith("00") and found.end() != len(text)):
        raise ValueError(f"expected a traceparent of W3C Trace Context, got {brief(value)}")
    return f"00{found[0][2:]}"


def state_of(headers: Mapping[str, Any]) -> str | None:
    """Return `tracestate`; None when there is none, or one that is too long or not well formed."""
    text = _text(headers.get(STATE))
    if not text or len(text) > MOST_STATE:
        return None
    members = [member for each in text.split(",") if (member := each.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    is_well_formed = 0 < len(members) <= _MOST_MEMBERS and len(keys) == len(members)
    return ",".join(members) if is_well_formed and all(map(_MEMBER.fullmatch, members)) else None


def baggage_of(headers: Mapping[str, Any]) -> str | None:
    """Return `baggage`; None when there is none, or one that is too long or not well formed."""
    text = _text(headers.get(BAGGAGE))
    if not text or len(text) > MOST_BAGGAGE:
        return None
    entries = [entry for each in text.split(",") if (entry := each.strip(" \t"))]
    is_well_formed = 0 < len(entries) <= _MOST_ENTRIES and max(map(len, entries)) <= _MOST_ENTRY
    return ",".join(entries) if is_well_formed and all(map(_ENTRY.fullmatch, entries)) else None


def is_sampled(parent: str) -> bool:
    """Return whether spans of the trace are recorded, by a `traceparent` that is one."""
    return parent[-1:] in _ODD


def _text(value: object) -> str | None:
    """Return the text of a header: brokers have bytes, too."""
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            value = bytes(value).decode("ascii")
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else None
