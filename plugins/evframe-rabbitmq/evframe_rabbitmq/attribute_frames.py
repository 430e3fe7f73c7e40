"""The frames of CloudEvents, which in the binary mode have an id and a time of one length in their headers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from evframe_cloudevents import Attributes

from evframe_rabbitmq.address import RabbitSocket
from evframe_rabbitmq.frames import END, SIZE, SIZE_AT, MessageFrames, Own, header_frame

NAMES: Final = Attributes("cloudEvents:")
_ID: Final = "cloudEvents:id"
_TIME: Final = "cloudEvents:time"
_MOST_KNOWN: Final = 256  # kinds of headers


class AttributeFrames:
    """Makes the frames of CloudEvents for one socket.

    Args:
        number: of the channel.
        most: the bytes that a frame may have.
        target: where the messages go.
    """

    def __init__(self, number: int, most: int, target: RabbitSocket) -> None:
        self.target = target
        self._number, self._most = number, most
        self._known: dict[tuple[object, ...], _KindFrames] = {}

    def of(self, bodies: Sequence[bytes], owns: Iterable[Own]) -> bytes:
        """Return the frames of a message for each of *bodies*, with what it has beside its body."""
        parts = []
        last, frames = None, None
        for body, own in zip(bodies, owns, strict=True):
            if frames is None or own is not last:  # structured ones have the same
                last, frames = own, self._frames_for(own)
            parts.append(frames.one(body, own))
        return b"".join(parts)

    def _frames_for(self, own: Own) -> _KindFrames:
        attributes = own.attributes or {}
        sizes = [len(value) if name in {_ID, _TIME} else value for name, value in attributes.items()]
        key = (own.content_type, *attributes, *sizes)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            found = self._known[key] = _KindFrames(self._number, self._most, self.target, own)
        return found


class _KindFrames(MessageFrames):
    """Makes the frames of messages that differ in their bodies, their ids and their times alone.

    Args:
        number, most, target: see `MessageFrames`.
        own: of one of the messages.
    """

    __slots__ = ("_parts", "_variable")

    def __init__(self, number: int, most: int, target: RabbitSocket, own: Own) -> None:
        super().__init__(number, most, target, own)
        attributes = own.attributes or {}
        names = [name for name in (_ID, _TIME) if name in attributes and name not in target.headers]
        places = sorted((_place(number, target, own, name), name) for name in names)
        self._variable = [name for _, name in places]
        self._parts, begin = [], 0
        for at, name in places:
            self._parts.append(self._after[begin:at])
            begin = at + len(attributes[name])
        self._parts.append(self._after[begin:])

    def one(self, body: bytes, own: Own) -> bytes:
        """Return the frames of one message."""
        size, attributes = len(body), own.attributes or {}
        parts = [self._before, SIZE.pack(size), self._parts[0]]
        for name, part in zip(self._variable, self._parts[1:], strict=True):
            parts += (attributes[name].encode(), part)
        parts += (self._body_start(size), body, END) if 0 < size <= self._most else self._pieces(body)
        return b"".join(parts)


def _place(number: int, target: RabbitSocket, own: Own, name: str) -> int:
    """Return where the value of an attribute is, behind the size in the frame."""
    attributes = own.attributes or {}
    other = own._replace(attributes={**attributes, name: "".join(chr(ord(each) ^ 1) for each in attributes[name])})
    one, two = (header_frame(number, target, 0, each)[SIZE_AT + SIZE.size :] for each in (own, other))
    return next(index for index, (left, right) in enumerate(zip(one, two, strict=True)) if left != right)
