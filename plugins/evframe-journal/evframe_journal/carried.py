"""The headers of an event, as they are written behind its payload, which has no NUL: JSON escapes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evframe import Event

_END: Final = b"\0"


def packed(event: Event) -> bytes:
    """Return the payload of an event, followed by its headers if it has any; without what no header can have."""
    if not event.carried:
        return event.payload
    try:
        texts = [text.encode("ascii") for pair in event.carried.items() for text in pair]
    except (UnicodeEncodeError, AttributeError):  # else nothing would be written any more
        return event.payload
    return event.payload if any(_END in text for text in texts) else _END.join((event.payload, *texts))


def unpacked(data: bytes) -> tuple[bytes, Mapping[str, str] | None]:
    """Return the payload of an event, and its headers if it has any."""
    payload, has_headers, rest = data.partition(_END)
    if not has_headers:
        return data, None
    texts = rest.decode("ascii").split("\0") if rest.isascii() else ()
    return payload, dict(zip(texts[::2], texts[1::2], strict=False)) or None
