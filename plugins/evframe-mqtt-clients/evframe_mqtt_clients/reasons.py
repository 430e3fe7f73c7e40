"""The words for what a server of MQTT 5 says with its reason codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLOSED: Final = "closed"
BAD_REPLY: Final = "bad_reply"
ACCESS_REFUSED: Final = "access_refused"
BROKER_ERROR: Final = "broker_error"
QUOTA_EXCEEDED: Final = "quota_exceeded"
_ACCESS: Final = dict.fromkeys((0x85, 0x86, 0x87, 0x8A, 0x8C), ACCESS_REFUSED)
_QUOTA: Final = dict.fromkeys((0x96, 0x97, 0x9F), QUOTA_EXCEEDED)
_OF_CONNECT: Final[Mapping[int, str]] = {**_ACCESS, **_QUOTA, 0x84: BAD_REPLY}
_OF_DISCONNECT: Final[Mapping[int, str]] = {
    **_ACCESS,
    **_QUOTA,
    0x8D: "timeout",
    0x8E: "taken_over",
    0x95: "too_large",
}


def reason_of_connect(code: int) -> str:
    """Return the word for the refusal of a login."""
    return _OF_CONNECT.get(code, BROKER_ERROR)


def reason_of_disconnect(code: int) -> str:
    """Return the word for the end of a connection by the server."""
    return _OF_DISCONNECT.get(code, CLOSED)
