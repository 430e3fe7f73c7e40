"""Packets of MQTT 5 in bytes, as far as the library does not read them as they come."""

from __future__ import annotations

from typing import Final

import mqtt5

from evframe.plugin import without_tracebacks

PUBACK: Final = 0x40
_MOST_LENGTH_BYTES: Final = 4


def end_of(data: memoryview, position: int) -> int | None:
    """Return where the packet at *position* ends; None when its rest is still to come.

    Raises:
        ValueError: if its length is malformed.
    """
    length = 0
    for index, byte in enumerate(data[position + 1 : position + 1 + _MOST_LENGTH_BYTES]):
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            end = position + 2 + index + length
            return end if end <= len(data) else None
    if len(data) - position > _MOST_LENGTH_BYTES:
        raise ValueError("expected a length of at most four bytes")
    return None


def acknowledgement(data: memoryview) -> tuple[int, int]:
    """Return the packet identifier and the reason code of an acknowledgement, whatever the code is.

    The library refuses codes that the specification does not have here, and Mosquitto answers a message that is too
    large with such a one.

    Raises:
        ValueError: if it is too short.
    """
    if data[1] < 2:
        raise ValueError("expected a packet identifier")
    return data[2] << 8 | data[3], data[4] if data[1] > 2 else 0


def packet_of(data: memoryview) -> mqtt5.Packet:
    """Return the packet in *data*.

    Raises:
        ValueError: if it is malformed.
    """
    try:
        return mqtt5.read(data)[0]
    except (ValueError, IndexError) as error:
        raise ValueError("expected a packet of MQTT 5") from without_tracebacks(error)
    except BaseException as error:
        # The library panics over a text that is not UTF-8, with an error that is no Exception.
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise ValueError("expected a packet of MQTT 5") from without_tracebacks(error)
