"""Acknowledgements in the order of the messages, as MQTT demands them."""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Final

_PUBACK: Final = struct.Struct(">BBH")


class Acknowledgements:
    """The messages of one connection that are not acknowledged yet."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, tuple[int, bool]] = OrderedDict()
        self._last = 0

    def add(self, packet_id: int) -> int:
        """Take a message, and return its number for `done`."""
        self._last += 1
        self._open[self._last] = packet_id, False
        return self._last

    def done(self, number: int) -> None:
        """Have a message acknowledged."""
        self._open[number] = self._open[number][0], True

    def packets(self) -> tuple[bytes, int]:
        """Return the acknowledgements that may be sent now, those before which all are done, and their number."""
        found = []
        while self._open:
            number, (packet_id, is_done) = next(iter(self._open.items()))
            if not is_done:
                break
            del self._open[number]
            found.append(_PUBACK.pack(0x40, 2, packet_id))
        return b"".join(found), len(found)
