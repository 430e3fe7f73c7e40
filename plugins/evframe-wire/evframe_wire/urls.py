"""Parts of URLs: percent-encoded texts, and hosts."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from evframe_wire.addresses import url_host_port

_ESCAPE: Final = re.compile(rb"%(..?)?", re.DOTALL)
_DIGITS: Final = re.compile(rb"[0-9A-Fa-f]{2}")
_DELETE: Final = 127


def decoded(text: str) -> str:
    """Return *text* with ``%HH`` decoded.

    Raises:
        ValueError: for what stands for a control character, and for what is no UTF-8; the error has no part of the
            text, which may be a password.
    """
    try:
        return _ESCAPE.sub(lambda found: _byte(found[1]), text.encode("utf-8", "surrogateescape")).decode()
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8 behind percent signs, got another text") from None


def _byte(digits: bytes | None) -> bytes:
    if digits is None or not _DIGITS.fullmatch(digits) or int(digits, 16) < ord(" ") or int(digits, 16) == _DELETE:
        raise ValueError("expected two digits of a printable character after a percent sign, got another text")
    return bytes([int(digits, 16)])


def encoded(text: str, safe: str = "") -> str:
    """Return *text* with ``%HH`` for what has a meaning in a URL, but for the characters in *safe*."""
    return "".join(each if ord(each) >= 128 else quote(each, safe=safe) for each in text)


def host_and_port(authority: str, port: int) -> tuple[str, int]:
    """Return the host in lower case, a name in the form of the DNS, and the port, *port* where the text has none.

    Raises:
        ValueError: if the text does not fit.
    """
    host, found = url_host_port(authority, port)
    return host.lower() if host.isascii() else host.encode("idna").decode().lower(), found
