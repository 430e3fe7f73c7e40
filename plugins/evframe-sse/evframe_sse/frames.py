"""Events as a stream of server-sent events has them."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from evframe import Batch

_PROCESS: Final = secrets.token_hex(8).encode()
_streams: Final = itertools.count(1)
_numbers: Final = itertools.count(1)
_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")  # outside of texts, which have them escaped
BEAT: Final = b":\n\n"
"""A comment, which clients skip."""


def frames_of(batch: Batch) -> Iterator[tuple[bytes, bytes]]:
    """Yield the id and the bytes of each event; the id of a kept event is the same in each process."""
    ids = batch.ids
    for index, event in enumerate(batch.events):
        # A number, because a coarse clock raises several events at the same time, which may be alike.
        known = b"%b-%x" % (_PROCESS, next(_numbers)) if ids is None else ids[index].encode()
        yield known, b"%bid: %b\ndata: %b\n\n" % (_head(event.name), known, event.payload.translate(_BREAKS))


@lru_cache(maxsize=1024)
def _head(name: str) -> bytes:
    return b"event: %b\n" % name.encode("utf-8", "surrogateescape").translate(_BREAKS)


def first_id() -> bytes:
    """Return the id of the moment before the first event of a stream."""
    return b"%b.%d" % (_PROCESS, next(_streams))


def control(kind: str, about: Mapping[str, Any], known: bytes | None = None) -> bytes:
    """Return an event about the stream itself, with the id of the event before, if that is *known*."""
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":"))  # names of events may be no UTF-8
    id_ = b"" if known is None else b"id: %b\n" % known
    return b"event: %b\n%bdata: %b\n\n" % (kind.encode(), id_, text.encode("utf-8", "surrogateescape"))


def chunk(data: bytes) -> bytes:
    """Return *data* as a chunk of HTTP/1.1; nothing for no data, because an empty chunk is the end."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
