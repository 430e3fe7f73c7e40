"""The bodies of requests: the notification that exists already, or CloudEvents round its parameters."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import orjson

from evframe import Batch

CONTENT_TYPES: Final = {
    "jsonrpc": "application/json",
    "cloudevents": "application/cloudevents+json; charset=UTF-8",
    "cloudevents-batch": "application/cloudevents-batch+json; charset=UTF-8",
}
_EXTENSION: Final = ("traceparent", "tracestate")
_PROCESS: Final = uuid.uuid4().hex  # of the module, so that a reload of the options changes no id
Carried = Sequence[Mapping[str, str] | None] | None
"""The headers of the events of a batch, by their indexes; None when none has any."""


class Bodies:
    """The bodies for the events of one batch.

    Args:
        batch: the events.
        format_: of the bodies, one of `CONTENT_TYPES`.
        source: the attribute of CloudEvents.
        carried: the headers of the events.
    """

    def __init__(self, batch: Batch, format_: str, source: str, carried: Carried) -> None:
        self._events = batch.events
        self._ids = batch.ids
        self._format = format_
        self._source = source
        self._carried = carried
        self._began_at = time.time() - time.monotonic()  # the wall clock may have been set since the last batch

    def parts(self) -> list[Sequence[int]]:
        """Return the indexes of the events of each request."""
        indexes = range(len(self._events))
        return [indexes] if self._format == "cloudevents-batch" else [(index,) for index in indexes]

    def id(self, part: Sequence[int]) -> str:
        """Return what names a request: the same whenever the same events are sent, and no other ones."""
        ids = [self._id(index) for index in part]
        return ids[0] if len(ids) == 1 else hashlib.sha256(".".join(ids).encode()).hexdigest()

    def body(self, part: Sequence[int]) -> bytes:
        """Return the body of a request."""
        if self._format == "jsonrpc":
            return self._events[part[0]].payload
        made = [self._cloud_event(index) for index in part]
        return made[0] if self._format == "cloudevents" else b"[%b]" % b",".join(made)

    def headers(self, part: Sequence[int]) -> Mapping[str, str]:
        """Return the headers of a request of one event, such as ``traceparent``."""
        return self._carried_by(part[0]) if len(part) == 1 else {}

    def _id(self, index: int) -> str:
        if self._ids is not None:
            return self._ids[index]
        return f"{_PROCESS}-{round(self._events[index].raised_at * 1e9):x}"

    def _cloud_event(self, index: int) -> bytes:
        event = self._events[index]
        at = datetime.fromtimestamp(self._began_at + event.raised_at, UTC)
        parts = [_head(event.name, self._source), b',"id":"%b","time":"%b"' % (self._id(index).encode(), _text(at))]
        carried = self._carried_by(index)
        parts += [b',"%b":%b' % (name.encode(), orjson.dumps(carried[name])) for name in _EXTENSION if name in carried]
        if event.body is not None:
            parts.append(b',"datacontenttype":"application/json","data":%b' % _utf8(event.body))
        return b"%b}" % b"".join(parts)

    def _carried_by(self, index: int) -> Mapping[str, str]:
        return {} if self._carried is None else self._carried[index] or {}


@lru_cache(maxsize=1024)
def _head(event: str, source: str) -> bytes:
    return orjson.dumps({"specversion": "1.0", "type": event, "source": source})[:-1]


def _utf8(text: bytes) -> bytes:
    try:
        text.decode()
    except UnicodeDecodeError:  # a notification may have any bytes, a CloudEvent may not
        return text.decode(errors="replace").encode()
    return text


def _text(at: datetime) -> bytes:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
