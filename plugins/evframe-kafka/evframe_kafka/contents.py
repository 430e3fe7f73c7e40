"""The contents of records: what the events of a batch are for the brokers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from evframe_cloudevents import DATA_TYPE, STRUCTURED_TYPE, Attributes, BinaryMessage, Formats, Messages

from evframe import Batch, Event
from evframe.plugin import UnfitError
from evframe_kafka.address import KafkaSocket
from evframe_kafka.routes import Headers, Made, bytes_of

ID: Final = "evframe-id"
"""The header of a record whose event is kept on disk."""
_NAMES: Final = Attributes("ce_", str.encode)
_CONTENT_TYPE: Final = "content-type"
_STRUCTURED: Final = _CONTENT_TYPE, STRUCTURED_TYPE.encode()
_JSON: Final = _CONTENT_TYPE, DATA_TYPE.encode()


@attrs.define
class Contents:
    """The events of a batch, with what their records have beside their values."""

    target: KafkaSocket
    events: Sequence[Event]
    made: Mapping[int, Made] | None = None
    """By the indexes of the events, for a socket with parameters."""
    ids: Sequence[str] | None = None
    """What names the events, if they are kept."""
    carried: Sequence[Mapping[str, str] | None] | None = None
    """Headers of the events, if they have any."""
    messages: Messages | None = None
    """The events as CloudEvents; None for the notifications of JSON-RPC."""
    structured: Sequence[bytes] | None = None
    """The CloudEvents in JSON; None for the binary mode."""
    _binary: Sequence[BinaryMessage] | None = None

    def drop_carried(self, index: int) -> bool:
        """Leave the headers of an event out of its record from now on; return whether it had any."""
        if self.carried is None or self.carried[index] is None:
            return False
        self.carried = [*self.carried[:index], None, *self.carried[index + 1 :]]
        if self.messages is not None:
            self.messages.carried = self.carried
            self._binary = None
        return True

    @property
    def indexes(self) -> Sequence[int]:
        """Those of the events that have records."""
        return range(len(self.events)) if self.made is None else list(self.made)

    def by_topic(self) -> dict[str, list[int]]:
        """Return the indexes of the events by the topics that they name."""
        found: dict[str, list[int]] = {}
        for index, made in (self.made or {}).items():
            found.setdefault(made.topic, []).append(index)
        return found

    def values(self, indexes: Sequence[int]) -> list[bytes]:
        """Return the values of the records."""
        if self.structured is not None:
            return [self.structured[index] for index in indexes]
        if self.messages is not None:  # a record without a value would delete others in a compacted topic
            binary = self._binary_of(self.messages)
            return [binary[index][1] or b"" for index in indexes]
        return [self.events[index].payload for index in indexes]

    def keys(self, indexes: Sequence[int]) -> list[bytes | None] | None:
        """Return the keys of the records; None for no keys."""
        name = self.target.key
        if name is None:
            return None
        if self.made is not None:
            return [self.made[index].key for index in indexes]
        return [bytes_of(self.events[index].get(name)) for index in indexes]

    def headers(self, indexes: Sequence[int]) -> Sequence[Headers] | None:
        """Return the headers of each record; None when all have the same."""
        kind = self._content_type()
        if self.ids is None is self.carried and (self.messages is None or self.structured is not None):
            return None if self.made is None else [[*self.made[index].headers, *kind] for index in indexes]
        same = self.same_headers()
        if self.made is None:
            return [same + self._more(index) for index in indexes]
        return [[*self.made[index].headers, *kind, *self._more(index)] for index in indexes]

    def _content_type(self) -> Headers:
        """Return the header of a structured CloudEvent."""
        return [] if self.structured is None or _CONTENT_TYPE in self.target.headers else [_STRUCTURED]

    def _more(self, index: int) -> Headers:
        """Return what names the event, the headers of the event, and the attributes of a CloudEvent in headers."""
        found: Headers = []
        carried = None if self.carried is None else self.carried[index]
        if carried is not None:
            found += [(name, text.encode()) for name, text in carried.items()]
        if self.messages is not None and self.structured is None:
            attributes, data = self._binary_of(self.messages)[index]
            found += attributes.items()
            if data is not None:
                found.append(_JSON)
        own = self.target.headers
        if own:
            found = [pair for pair in found if pair[0] not in own]
        return found if self.ids is None else [(ID, self.ids[index].encode()), *found]

    def _binary_of(self, messages: Messages) -> Sequence[BinaryMessage]:
        if self._binary is None:
            self._binary = messages.binary(_NAMES)
        return self._binary

    def same_headers(self) -> Headers:
        """Return the headers that every record has."""
        return [(name, value.encode()) for name, value in self.target.headers.items()] + self._content_type()


def contents_of(
    target: KafkaSocket,
    batch: Batch,
    carried: Sequence[Mapping[str, str] | None] | None = None,
    formats: Formats | None = None,
) -> Contents:
    """Return the contents of *batch*; an event whose parameters do not fit the socket's fails.

    *carried* are headers of the events, if they have any; *formats* has the format of the socket.
    """
    contents = Contents(target, batch.events, None, batch.ids, carried)
    if formats is not None and not formats.is_plain and (mode := formats.mode_of(target.canonical)) is not None:
        contents.messages = formats.messages(batch, carried)
        contents.structured = contents.messages.structured() if mode == "structured" else None
    if target.route is None:
        return contents
    made = contents.made = {}
    for index, event in enumerate(batch.events):
        try:
            made[index] = target.route.of(event)
        except UnfitError as error:
            batch.fail(index, error.reason)
    return contents
