"""Frames: the events that one process sends to one shard in one piece."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import attrs
from evframe_wire.ids import ADOPTED, number_of
from evframe_wire.keys import canonical_of, key_of
from orjson import dumps, loads

from evframe import EvframeError

if TYPE_CHECKING:
    from evframe import Event, EventDefinition

_MAGIC: Final = b"evf\x01"  # the last byte is the version
_HEAD: Final = struct.Struct("<4sII")  # with the length of the JSON text, and a CRC of it and all that follows
Target = int | list[int]
"""The index of a subscriber among the sockets of a frame, or of several."""
SAME: Final[list[int]] = []
"""The targets of an event that has those of the event before."""


class FrameError(ValueError):
    """Raised when bytes are no frame, or one of a version that this release does not know."""


@attrs.define(eq=False)
class Frame:
    """Events with the subscribers that they are for."""

    writer: str
    """The process that has made the frame."""
    shard: int
    """The shard of all its subscribers."""
    number: int
    """Of the frame, ascending by one among those of its writer and shard."""
    known: int
    """How much of the leases its writer knew: the offset of the last record that it had read."""
    sockets: Sequence[str]
    """The subscribers by their keys (`evframe_wire.keys`), each once."""
    events: Sequence[Event]
    """In the order in which they were raised."""
    targets: Sequence[Target]
    """Of each event; see `SAME`."""

    @property
    def name(self) -> str:
        """What distinguishes the frame from each other one."""
        return f"{self.writer}-{self.shard:x}-{self.number:x}"

    def encode(self, wall_offset: float, *, is_numbered: bool = False) -> bytes:
        """Return the frame as bytes.

        Args:
            wall_offset: the wall clock less the monotonic clock, in seconds.
            is_numbered: whether the events have their numbers in the frame, for a process that adopts those of this
                one (`evframe_wire.ids.adopt`).
        """
        events = self.events
        first = events[0].raised_at if events else 0.0
        payloads = [event.payload for event in events]
        definitions = [event.definition for event in events]
        names = {definition: index for index, definition in enumerate(dict.fromkeys(definitions))}
        head: dict[str, Any] = {
            "w": self.writer,
            "p": self.shard,
            "q": self.number,
            "k": self.known,
            "s": self.sockets,
            "n": [key_of(definition.name) for definition in names],
            "t": first + wall_offset,
            "d": [round((event.raised_at - first) * 1e6) for event in events],
            "x": self.targets,
            "z": [len(payload) for payload in payloads],
        }
        if len(names) > 1:
            head["i"] = [names[definition] for definition in definitions]
        if is_numbered and events:
            numbers = [number_of(event) for event in events]
            low = numbers[0]
            are_consecutive = numbers == list(range(low, low + len(numbers)))
            head["e"] = low if are_consecutive else numbers
        carried = {str(index): dict(event.carried) for index, event in enumerate(events) if event.carried}
        if carried:
            head["h"] = carried
        text = dumps(head)
        body = b"".join(payloads)
        return b"".join((_HEAD.pack(_MAGIC, len(text), crc32(body, crc32(text, len(text)))), text, body))

    @classmethod
    def decode(cls, data: bytes, definition_of: Callable[[str], EventDefinition], wall_offset: float) -> Frame:
        """Return the frame that `encode` has made *data* of.

        Args:
            data: the bytes.
            definition_of: returns the definition of an event by its name.
            wall_offset: the wall clock less the monotonic clock, in seconds, of this process.

        Raises:
            FrameError: if *data* are other bytes.
        """
        head, at = _head_of(data)
        try:
            return cls._of(head, data, at, definition_of, wall_offset)
        except FrameError:
            raise
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError, EvframeError) as error:
            raise FrameError(f"expected a frame as it was written, got one with other contents: {error!r}") from None

    @classmethod
    def _of(
        cls,
        head: dict[str, Any],
        data: bytes,
        at: int,
        definition_of: Callable[[str], EventDefinition],
        wall_offset: float,
    ) -> Frame:
        definitions = [definition_of(canonical_of(name)) for name in head["n"]]
        indexes = head.get("i")
        first = head["t"] - wall_offset
        events: list[Event] = []
        if indexes is None:
            restored = definitions[0].restored if head["z"] else None
            for size, later in zip(head["z"], head["d"], strict=True):
                assert restored is not None
                events.append(restored(data[at : at + size], first + later * 1e-6))
                at += size
        else:
            for size, later, index in zip(head["z"], head["d"], indexes, strict=True):
                events.append(definitions[index].restored(data[at : at + size], first + later * 1e-6))
                at += size
        numbers = head.get("e")
        if numbers is not None:
            if isinstance(numbers, int):
                numbers = range(numbers, numbers + len(events))
            for event, number in zip(events, numbers, strict=True):
                event.number = number + ADOPTED
        carried: Mapping[str, Mapping[str, str]] = head.get("h", {})
        for index, headers in carried.items():
            events[int(index)] = events[int(index)].carrying(headers)
        if at != len(data):
            raise FrameError(f"expected events of {len(data) - at} bytes more than there are")
        _check(head, len(events))
        return cls(head["w"], head["p"], head["q"], head["k"], head["s"], events, head["x"])


def _check(head: Mapping[str, Any], events: int) -> None:
    """Raise FrameError when what is used later, one event after the other, is not what it has to be."""
    sockets, targets = head["s"], head["x"]
    numbers_are_right = all(type(head[name]) is int for name in "pqk")
    names_are_right = type(head["w"]) is str and all(type(socket) is str for socket in sockets)
    if not (numbers_are_right and names_are_right) or len(targets) != events or min(head["z"], default=0) < 0:
        raise FrameError("expected a frame as it was written, got one with other contents")
    most = len(sockets) or inf  # in a frame without any, the subscribers have numbers
    if targets[:1] == [SAME]:
        raise FrameError("expected the targets of the first event, got none")
    for each in targets:
        if each == SAME:
            continue
        low, high = (each, each) if type(each) is int else (min(each), max(each))
        if type(low) is not int or not 0 <= low <= high < most:
            raise FrameError(f"expected the indexes of {most} subscribers, got {each}")


def _head_of(data: bytes) -> tuple[dict[str, Any], int]:
    """Return what the head of a frame says, and where its payloads begin."""
    if len(data) < _HEAD.size:
        raise FrameError(f"expected a frame of {_HEAD.size} bytes or more, got {len(data)}")
    magic, length, checksum = _HEAD.unpack_from(data)
    if magic[:3] != _MAGIC[:3]:
        raise FrameError("expected a frame, got other bytes")
    if magic != _MAGIC:
        raise FrameError(f"expected a frame of version {_MAGIC[3]}, got one of version {magic[3]}")
    if crc32(memoryview(data)[_HEAD.size :], length) != checksum:
        raise FrameError("expected a frame as it was written, got a damaged one")
    at = _HEAD.size + length
    try:
        return dict(loads(memoryview(data)[_HEAD.size : at])), at
    except (TypeError, ValueError):
        raise FrameError("expected a frame with a head in JSON, got other bytes") from None
