"""Events as a stream of server-sent events has them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from evframe_wire.ids import id_of

from evframe import Batch

_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")  # outside of texts, which have them escaped
BEAT: Final = b":\n\n"
"""A comment, which clients skip."""


def frames_of(batch: Batch) -> Iterator[tuple[bytes, bytes]]:
    """Yield the id and the bytes of each event; the id is the same at each attempt, of a kept event in each process."""
    ids = batch.ids
    for index, event in enumerate(batch.events):
        known = (id_of(event) if ids is None else ids[index]).encode()
        yield known, b"%bid: %b\ndata: %b\n\n" % (_head(event.name), known, event.payload.translate(_BREAKS))


@lru_cache(maxsize=1024)
def _head(name: str) -> bytes:
    return b"event: %b\n" % name.encode("utf-8", "surrogateescape").translate(_BREAKS)


def first_id() -> bytes:
    """Return the id of the moment before the first event of a stream."""
    return secrets.token_bytes(8).hex(".").encode()  # with dots, which no event has


def control(kind: str, about: Mapping[str, Any], known: bytes | None = None) -> bytes:
    """Return an event about the stream itself, with the id of the event before, if that is *known*."""
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))  # names of events may be no UTF-8
    id_ = b"" if known is None else b"id: %b\n" % known
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), id_, text.encode("utf-8", "surrogateescape"))


def chunk(data: bytes) -> bytes:
    """Return *data* as a chunk of HTTP/1.1; nothing for no data, because an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
