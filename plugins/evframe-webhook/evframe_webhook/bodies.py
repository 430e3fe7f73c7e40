"""The bodies of requests: the notification that exists already, or CloudEvents."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from evframe_cloudevents import (
    BATCH_TYPE,
    DATA_TYPE,
    STRUCTURED_TYPE,
    Attributes,
    BinaryMessage,
    Carried,
    Messages,
    in_batch,
)
from evframe_wire.ids import id_of

from evframe import Batch

BINARY: Final = "cloudevents-binary"
CONTENT_TYPES: Final = {
    "jsonrpc": "application/json",
    "cloudevents": STRUCTURED_TYPE,
    BINARY: DATA_TYPE,
    "cloudevents-batch": BATCH_TYPE,
}
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_NAMES: Final = Attributes("ce-", lambda text: quote(text, safe=_PRINTABLE.translate({0x22: None, 0x25: None})))


class Bodies:
    """The bodies for the events of one batch.

    Args:
        batch: the events.
        format_: of the bodies, one of `CONTENT_TYPES`.
        messages: the events as CloudEvents.
        carried: the headers of the events.
    """

    def __init__(self, batch: Batch, format_: str, messages: Messages, carried: Carried) -> None:
        self._events = batch.events
        self._ids = batch.ids if batch.events else None
        self._format = format_
        self._messages = messages
        self._carried = carried
        self._structured: list[bytes] = []
        self._binary: list[BinaryMessage] = messages.binary(_NAMES) if format_ == BINARY else []

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
        if self._format == BINARY:
            return self._binary[part[0]][1] or b""
        self._structured = self._structured or self._messages.structured()
        made = [self._structured[index] for index in part]
        return made[0] if self._format == "cloudevents" else in_batch(made)

    def headers(self, part: Sequence[int]) -> Mapping[str, str]:
        """Return the headers of a request of one event, such as ``traceparent``."""
        if len(part) > 1:
            return {}
        own = self._binary[part[0]][0] if self._format == BINARY else {}
        return {**self._carried_by(part[0]), **own}

    def content_type(self, part: Sequence[int]) -> str | None:
        """Return the content type of a request; None for one without a body."""
        if self._format == BINARY and self._binary[part[0]][1] is None:
            return None
        return CONTENT_TYPES[self._format]

    def _id(self, index: int) -> str:
        return id_of(self._events[index]) if self._ids is None else self._ids[index]

    def _carried_by(self, index: int) -> Mapping[str, str]:
        return {} if self._carried is None else self._carried[index] or {}
