"""Messages between the front and a worker: four bytes with the length, one with the kind, and the content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final

import orjson

START: Final = b"C"
"""To a worker, first: its configuration, pickled."""
READY: Final = b"H"
"""From a worker: it takes messages."""
TARGETS: Final = b"S"
"""To a worker: subscribers that it delivers to from now on, or whose events end; JSON."""
FRAME: Final = b"F"
"""To a worker: events, each with its targets; an `evframe_shards.frames.Frame` whose targets are numbers."""
NAMES: Final = b"I"
"""To a worker: what names the events of kept subscribers that the next frame has; JSON."""
OUTCOMES: Final = b"O"
"""From a worker: how many frames it has taken, and which events have their outcome; JSON."""
STATES: Final = b"T"
"""From a worker: which peers it cannot reach; JSON."""
CHANGED: Final = b"V"
"""From a worker: deliveries to a subscriber begin to fail, or work again; JSON."""
FIGURES: Final = b"X"
"""From a worker, each second while they change: statistics of its plugins, and what they describe; JSON."""
LOG: Final = b"L"
"""From a worker: a line of its log, pickled."""
RAISED: Final = b"E"
"""From a worker: an event that one of its plugins has raised."""
COMMAND: Final = b"M"
"""To a worker: a management command; JSON."""
RESULT: Final = b"A"
"""From a worker: the answer to a command; JSON."""
RELOAD: Final = b"R"
"""To a worker: another configuration, pickled."""
QUESTION: Final = b"Q"
"""To a worker: answer, to show that the loop runs."""
ANSWER: Final = b"P"
"""From a worker: the answer to a question."""
DRAIN: Final = b"D"
"""To a worker: deliver what waits, and end."""

_HEAD: Final = Struct(">Ic")
MAX_BYTES: Final = 1 << 30
"""A longer message is none: the other side does not speak this protocol."""


def packed(kind: bytes, content: bytes = b"") -> bytes:
    """Return a message."""
    return _HEAD.pack(len(content), kind) + content


class Reader:
    """Finds the messages in the bytes that come."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the kind and the content of each message that is complete now.

        Raises:
            ValueError: if the bytes are no messages.
        """
        buffer = self._bytes
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= _HEAD.size:
                size, kind = _HEAD.unpack_from(buffer, at)
                if size > MAX_BYTES:
                    raise ValueError(f"expected a message of at most {MAX_BYTES} bytes, got {size}")
                end = at + _HEAD.size + size
                if len(buffer) < end:
                    break
                content = bytes(memoryview(buffer)[at + _HEAD.size : end])
                at = end
                yield kind, content
        finally:
            del buffer[:at]


def encoded(value: Any) -> bytes:
    """Return *value* as JSON; TypeError when it has no JSON form."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value).encode()  # of names and paths with bytes that are no UTF-8


def json_message(kind: bytes, value: Any) -> bytes:
    """Return a message with a value in JSON; TypeError when the value has no JSON form."""
    return packed(kind, encoded(value))


def read_json(content: bytes) -> Any:
    """Return the value of a message in JSON."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return json.loads(content)  # the strict reader takes no such bytes
