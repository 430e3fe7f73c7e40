"""The messages of a batch, as entries of requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from evframe_wire.ids import id_of
from evframe_wire.templates import UNFIT, value_of

from evframe import Batch, Event
from evframe.plugin import UnfitError
from evframe_sqs.address import SqsSocket
from evframe_sqs.options import Options

MOST_ENTRIES: Final = 10
_REFUSED: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_ATTRIBUTES: Final = 10
Carried = Sequence[Mapping[str, str] | None] | None
Entry = dict[str, Any]


class Messages:
    """The entries for the events of one batch; an event that makes none fails.

    Args:
        batch: the events.
        socket: the queue.
        options: of the transport.
        carried: the headers of the events, by their indexes; None when none has any.
    """

    def __init__(self, batch: Batch, socket: SqsSocket, options: Options, carried: Carried) -> None:
        self._ids = batch.ids
        self._options = options
        self._carried = carried
        self._group = (options.message_group or socket.queue) if socket.is_fifo else None
        self.entries: dict[int, Entry] = {}
        """By the index of the event."""
        self._sizes: dict[int, int] = {}
        for index, event in enumerate(batch.events):
            try:
                self._add(index, event)
            except UnfitError as error:
                batch.fail(index, error.reason)

    def parts(self) -> list[list[int]]:
        """Return the indexes of the events of each request."""
        parts: list[list[int]] = []
        room = 0
        for index, size in self._sizes.items():
            if not parts or len(parts[-1]) == MOST_ENTRIES or size > room:
                parts.append([])
                room = self._options.max_bytes
            parts[-1].append(index)
            room -= size
        return parts

    def _add(self, index: int, event: Event) -> None:
        body = self._body(event)
        attributes = self._attributes(index, event)
        size = len(body.encode()) + sum(len(name) + len("String") + len(text) for name, text in attributes.items())
        if size > self._options.max_bytes:
            raise UnfitError("too_large")
        entry: Entry = {"Id": str(index), "MessageBody": body}
        entry["MessageAttributes"] = {
            name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()
        }
        if self._group is not None:
            entry["MessageGroupId"] = self._group
            entry["MessageDeduplicationId"] = id_of(event) if self._ids is None else self._ids[index]
        self.entries[index] = entry
        self._sizes[index] = size

    def _body(self, event: Event) -> str:
        if self._options.body == "parameter":
            text = _REFUSED.sub("\ufffd", value_of(event, "1"))
            if not text:  # a queue takes no empty message
                raise UnfitError(UNFIT)
            return text
        # Within JSON, all that a queue refuses can be escaped, but for bytes that are no text.
        return _REFUSED.sub(lambda found: f"\\u{ord(found[0]):04x}", event.payload.decode(errors="replace"))

    def _attributes(self, index: int, event: Event) -> dict[str, str]:
        named = {"event": _REFUSED.sub("\ufffd", event.name).encode(errors="replace").decode()}
        if self._ids is not None:
            named["evframe-id"] = self._ids[index]
        carried = None if self._carried is None else self._carried[index]
        more = [] if carried is None else [(name, text) for name, text in carried.items() if text]
        return named | dict(more[: _MOST_ATTRIBUTES - len(named)])
