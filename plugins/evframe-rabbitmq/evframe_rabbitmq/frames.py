"""The frames of messages: what publishes them, their properties, their bodies."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import pamqp.frame
from pamqp import commands
from pamqp.header import ContentHeader

from evframe_rabbitmq.address import RabbitSocket

_METHOD: Final = 1
_BODY: Final = 3
_BASIC_PUBLISH: Final = (60, 40)
_MANDATORY: Final = b"\x01"
END: Final = b"\xce"
_FRAME: Final = struct.Struct(">BHI")  # kind, channel, size
_OVERHEAD: Final = _FRAME.size + len(END)
SIZE: Final = struct.Struct(">Q")  # of a body, in the frame with the properties
SIZE_AT: Final = _FRAME.size + struct.calcsize(">HH")  # behind class and weight


class Own(NamedTuple):
    """What a message has beside what its socket says."""

    message_id: str | None = None
    at: int | None = None
    """Its time, in seconds since the epoch."""
    carried: Mapping[str, str] | None = None
    """Headers of its event."""
    attributes: Mapping[str, str] | None = None
    """The headers of a CloudEvent."""
    content_type: str | None = None
    """Instead of that of the socket."""


_NOTHING: Final = Own()


class MessageFrames:
    """Makes the frames of messages that differ in nothing but their bodies.

    Args:
        number: of the channel.
        most: the bytes that a frame may have; headers of an event are left out where they would make more.
        target: where the messages go.
        own: what else they have.
    """

    __slots__ = ("_after", "_before", "_most", "_number")

    def __init__(self, number: int, most: int, target: RabbitSocket, own: Own = _NOTHING) -> None:
        header = header_frame(number, target, 0, own)  # the library needs long for one
        if own.carried is not None and len(header) > most:
            header = header_frame(number, target, 0, own._replace(carried=None))
        self._number = number
        self._most = most - _OVERHEAD
        self._before = method_frame(number, target) + header[:SIZE_AT]
        self._after = header[SIZE_AT + SIZE.size :]

    def of(self, bodies: Iterable[bytes]) -> bytes:
        """Return the frames of a message for each of *bodies*."""
        heads: dict[int, bytes] = {}
        parts: list[bytes] = []
        most = self._most
        for body in bodies:
            size = len(body)
            head = heads.get(size)
            if head is None:
                head = heads[size] = self._head(size)
            parts += (head, body, END) if 0 < size <= most else (head, *self._pieces(body))
        return b"".join(parts)

    def _head(self, size: int) -> bytes:
        """Return what comes before a body of *size* bytes, the beginning of its frame as well if one is enough."""
        start = self._body_start(size) if 0 < size <= self._most else b""
        return self._before + SIZE.pack(size) + self._after + start

    def _body_start(self, size: int) -> bytes:
        return _FRAME.pack(_BODY, self._number, size)

    def _pieces(self, body: bytes) -> list[bytes]:
        """Return the frames of a body that is larger than one frame may be, or empty: none then."""
        parts: list[bytes] = []
        for start in range(0, len(body), self._most):
            piece = body[start : start + self._most]
            parts += [self._body_start(len(piece)), piece, END]
        return parts


class IdFrames:
    """Makes the frames of messages that differ in their bodies and their ids.

    Args:
        number, most, target: see `MessageFrames`.
    """

    def __init__(self, number: int, most: int, target: RabbitSocket) -> None:
        self.target = target
        self._number, self._most = number, most
        self._by_length: dict[int, _LengthFrames] = {}

    def of(self, bodies: Sequence[bytes], ids: Sequence[str]) -> bytes:
        """Return the frames of a message for each of *bodies*, with the ids, of ASCII."""
        parts: list[bytes] = []
        length, frames = -1, None
        for body, id_ in zip(bodies, ids, strict=True):
            if frames is None or len(id_) != length:
                length = len(id_)
                frames = self._frames_for(length)
            frames.add(parts, body, id_)
        return b"".join(parts)

    def _frames_for(self, length: int) -> _LengthFrames:
        found = self._by_length.get(length)
        if found is None:  # of at most 255 lengths
            found = self._by_length[length] = _LengthFrames(self._number, self._most, self.target, length)
        return found


class _LengthFrames(MessageFrames):
    """Makes the frames of messages that differ in their bodies and their ids, which are of one length.

    Args:
        number, most, target: see `MessageFrames`.
        length: of an id, in characters of ASCII.
    """

    __slots__ = ("_after_id", "_before_id")

    def __init__(self, number: int, most: int, target: RabbitSocket, length: int) -> None:
        super().__init__(number, most, target, Own("-" * length))
        other = header_frame(number, target, 0, Own("+" * length))[SIZE_AT + SIZE.size :]
        at = next(index for index, (own, byte) in enumerate(zip(self._after, other, strict=True)) if own != byte)
        self._before_id, self._after_id = self._after[:at], self._after[at + length :]

    def add(self, parts: list[bytes], body: bytes, id_: str) -> None:
        """Add the frames of a message to *parts*."""
        size = len(body)
        parts += (self._before, SIZE.pack(size), self._before_id, id_.encode(), self._after_id)
        parts += (self._body_start(size), body, END) if 0 < size <= self._most else self._pieces(body)


def method_frame(number: int, target: RabbitSocket) -> bytes:
    """Return the frame that publishes to *target*.

    The library has its own opinion of what is in the name of an exchange, which is not that of the brokers.
    """
    names = (name.encode() for name in (target.exchange, target.key))
    strings = b"".join(bytes([len(name)]) + name for name in names)
    method = struct.pack(">HHH", *_BASIC_PUBLISH, 0) + strings + _MANDATORY
    return struct.pack(">BHI", _METHOD, number, len(method)) + method + END


def header_frame(number: int, target: RabbitSocket, size: int, own: Own = _NOTHING) -> bytes:
    """Return the frame with the properties of a message of *size* bytes: those of the socket, and its *own*.

    A header that the socket has, too, is the socket's.
    """
    properties = commands.Basic.Properties(
        delivery_mode=2 if target.persistent else None,
        content_type=own.content_type or target.content_type,
        expiration=None if target.expiration_ms is None else str(target.expiration_ms),
        message_id=own.message_id,
        priority=target.priority,
        app_id=target.app_id,
        correlation_id=target.correlation_id,
        timestamp=None if own.at is None else datetime.fromtimestamp(own.at, UTC),
        headers={**(own.carried or {}), **(own.attributes or {}), **target.headers} or None,
    )
    return pamqp.frame.marshal(ContentHeader(body_size=size, properties=properties), number)
