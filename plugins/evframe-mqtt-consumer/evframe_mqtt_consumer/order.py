"""Acknowledgements in the order of the messages, as MQTT demands them."""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Final

_PACKET: Final = struct.Struct(">BBH")
_PUBACK: Final = 0x40
_PUBREC: Final = 0x50


class Acknowledgements:
    """The messages of one connection that are not acknowledged yet."""

    def __init__(self) -> None:
        self._open: OrderedDict[int, tuple[bytes, bool]] = OrderedDict()
        self._last = 0

    def add(self, packet_id: int, *, is_qos_2: bool = False) -> int:
        """Take a message, and return its number for `done`."""
        self._last += 1
        self._open[self._last] = _PACKET.pack(_PUBREC if is_qos_2 else _PUBACK, 2, packet_id), False
        return self._last

    def done(self, number: int) -> None:
        """Have a message acknowledged."""
        self._open[number] = self._open[number][0], True

    def packets(self) -> tuple[bytes, int]:
        """Return the acknowledgements that may be sent now, those before which all are done, and their number."""
        found = []
        while self._open:
            number, (packet, is_done) = next(iter(self._open.items()))
            if not is_done:
                break
            del self._open[number]
            found.append(packet)
        return b"".join(found), len(found)
