"""Messages as frames of RFC 6455; those of a server are not masked."""

from __future__ import annotations

import json
from typing import Any, Final

_TEXT: Final = 0x81
PING: Final = b"\x89\x00"
"""A ping, which a client answers."""


def text(message: bytes) -> bytes:
    """Return the frame of a message; what is not UTF-8, which a browser would end the connection for, is replaced."""
    try:
        message.decode()
    except UnicodeDecodeError:
        message = message.decode(errors="replace").encode()
    size = len(message)
    if size < 126:
        return b"%c%c%b" % (_TEXT, size, message)
    if size < 1 << 16:
        return b"%c\x7e%b%b" % (_TEXT, size.to_bytes(2, "big"), message)
    return b"%c\x7f%b%b" % (_TEXT, size.to_bytes(8, "big"), message)


def notification(method: str, **params: Any) -> bytes:
    """Return the frame of a notification about the connection itself."""
    return text(json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
