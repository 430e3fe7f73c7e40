"""Confirmations of the broker, which are taken from the stream before the library reads it frame by frame."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Sequence
from typing import Final

_HEAD: Final = struct.Struct(">BHI")  # of a frame: kind, channel, size
_OVERHEAD: Final = _HEAD.size + 1
_CONFIRMATION: Final = struct.Struct(">BHIHHQBB")  # head, class and method, delivery tag, flags, the frame's end
_ACK: Final = 80
_MULTIPLE: Final = 1
_FRAME: Final = rb"\0\0\0\r\0<\0[Px].{9}\xce"  # basic.ack, or basic.nack, behind the channel
_RUN: Final = re.compile(rb"\x01(..)" + _FRAME + rb"(?:\x01\1" + _FRAME + rb")*", re.DOTALL)

Confirmed = tuple[int, int, bool]
"""The first and the last delivery tag, both included, and whether it is an acknowledgement."""


class ConfirmingProtocol(asyncio.StreamReaderProtocol):
    """Fills a stream with the frames of the broker; of each run of confirmations with the last one.

    A broker confirms ten messages with a frame, on average, and sends several frames at once. The library takes each
    of them through two tasks and a queue, which costs as much as all the rest for these messages.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._channels: dict[int, dict[int, Sequence[Confirmed]]] = {}
        self._left = 0  # bytes of a frame that has begun
        self._rest = b""  # the beginning of a frame that may be a confirmation

    def of_channel(self, number: int) -> dict[int, Sequence[Confirmed]]:
        """Return what the runs of a new channel confirm, by the delivery tag of the frame that the library reads."""
        # Nothing of an earlier channel with this number comes any more: the library keeps a number until then.
        runs = self._channels[number] = {}
        return runs

    def data_received(self, data: bytes) -> None:
        """Fill the stream."""
        super().data_received(self._shortened(self._rest + data))

    def eof_received(self) -> bool | None:
        """Fill the stream with what was kept back, and end it."""
        rest, self._rest = self._rest, b""
        super().data_received(rest)
        return super().eof_received()

    def _shortened(self, data: bytes) -> bytes:
        """Return *data* without the confirmations that another one of their channel follows at once."""
        position = min(self._left, len(data))
        self._left -= position
        self._rest = b""
        parts = [data[:position]]
        while position < len(data):
            run = _RUN.match(data, position)
            end = self._end_of_frame(data, position) if run is None else run.end()
            if end is None:
                self._rest = data[position:]
                break
            parts.append(data[position:end] if run is None else self._last_of(run[0]))
            position = end
        self._left += max(0, position - len(data))
        return b"".join(parts)

    def _end_of_frame(self, data: bytes, position: int) -> int | None:
        """Return where the frame ends; None if its rest has to come first, because it may be a confirmation."""
        if len(data) - position < _HEAD.size:
            return None
        size = _OVERHEAD + int(_HEAD.unpack_from(data, position)[2])
        return None if size == _CONFIRMATION.size > len(data) - position else position + size

    def _last_of(self, run: bytes) -> bytes:
        runs = self._channels.get(_HEAD.unpack_from(run)[1])
        if runs is None:  # a frame for a channel that is not ours is the library's matter
            return run
        confirmed = _confirmed(run)
        runs[confirmed[-1][1]] = confirmed
        return run[-_CONFIRMATION.size :]


def _confirmed(run: bytes) -> list[Confirmed]:
    """Return what the frames of *run* confirm, in their order; what one after the other confirms alike is one range."""
    found: list[Confirmed] = []
    low, high, is_ack = 0, -1, True
    for _, _, _, _, method, tag, flags, _ in _CONFIRMATION.iter_unpack(run):
        first = 0 if flags & _MULTIPLE else tag
        if (method == _ACK) == is_ack and first <= high + 1 and tag >= high:
            low, high = min(low, first), tag
            continue
        if high >= 0:
            found.append((low, high, is_ack))
        low, high, is_ack = first, tag, method == _ACK
    found.append((low, high, is_ack))
    return found
