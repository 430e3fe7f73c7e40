"""Where a Redis is, and the login there: URLs, row by row as other clients take them."""

from __future__ import annotations

import re
from typing import Final

import attrs
from evframe_wire.addresses import url_host_port, without_brackets
from evframe_wire.urls import decoded, encoded

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
