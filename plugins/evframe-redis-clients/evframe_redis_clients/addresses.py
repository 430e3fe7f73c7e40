"""Where a Redis is, and the login there: URLs, row by row as other clients take them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

import attrs
from evframe_wire.addresses import url_host_port, without_brackets

SCHEMES: Final = ("redis", "rediss")
PORT: Final = 6379
FORM: Final = "//[user[:password]@]host[:port][/database]"
_PARTS: Final = re.compile(r"//(?:(?P<login>[^/?]*)@)?(?P<place>[^/?@]*)(?:/(?P<database>[0-9]{0,9}))?")


@attrs.frozen
class Address:
    """``redis://user:password@host:port/database``, with ``rediss`` for TLS; the password is in no text."""

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    database: int = 0

    @classmethod
    def of(cls, url: str) -> Address:
        """Return the address that *url* is.

        Raises:
            ValueError: if it is none; the error has no part of the text.
        """
        scheme, _, rest = url.partition(":")
        found = _PARTS.fullmatch(rest)
        if found is None or scheme not in SCHEMES:
            raise ValueError(f"expected redis[s]:{FORM}")
        host, port = url_host_port(found["place"], PORT)
        user, password = _login(found["login"])
        return cls(scheme, host.lower(), port, user, password, int(found["database"] or "0"))

    @property
    def shown(self) -> str:
        """The URL without the password."""
        user = "" if self.user is None else f"{encoded(self.user)}@"
        return f"{self.scheme}://{user}{self.host}:{self.port}/{self.database}"

    @property
    def endpoint(self) -> tuple[str, int]:
        """The host, without the brackets of an IPv6 address, and the port."""
        return without_brackets(self.host), self.port

    @property
    def is_encrypted(self) -> bool:
        """Whether connections have TLS."""
        return self.scheme == "rediss"


def _login(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    user, colon, password = text.partition(":")
    return decoded(user) or None, decoded(password) if colon else None


def decoded(text: str) -> str:
    """Return *text* with ``%HH`` decoded.

    Raises:
        ValueError: for a control character, and for what is no UTF-8.
    """
    raw = re.sub(rb"%(..?)?", lambda found: _byte(found[1]), text.encode("utf-8", "surrogateescape"), flags=re.DOTALL)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8 behind percent signs") from None


def _byte(digits: bytes | None) -> bytes:
    if digits is None or not re.fullmatch(rb"[0-9A-Fa-f]{2}", digits) or int(digits, 16) < 32 or int(digits, 16) == 127:
        raise ValueError("expected two digits of a printable character after a percent sign")
    return bytes([int(digits, 16)])


def encoded(text: str, safe: str = "") -> str:
    """Return *text* with ``%HH`` for what has a meaning in a URL, but for the characters in *safe*."""
    return "".join(each if ord(each) >= 128 else quote(each, safe=safe) for each in text)
