"""The sockets of the transport: URLs of Redis, with the stream in the query."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final
from urllib.parse import quote

import attrs
from evframe_wire.addresses import without_brackets

from evframe import split_host_port
from evframe.plugin import Template, template_of, template_text

SCHEMES: Final = ("redis", "rediss")
FORM: Final = "expected //[user[:password]@]host[:port][/database]?stream=name[&maxlen=entries]"
PORT: Final = 6379
_URL: Final = re.compile(r"//(?:(?P<login>[^/?]*)@)?(?P<place>[^/?@]*)(?:/(?P<database>[^?]*))?\?(?P<query>.*)")
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_MOST_BYTES: Final = 1024  # of the name of a stream


@attrs.frozen(slots=True)
class RedisSocket:
    """``redis://user:password@host:port/database?stream=name&maxlen=entries``; the password is in no text."""

    scheme: str
    host: str
    port: int
    stream: str
    """With braces of parameters, and ``{{`` for a brace."""
    user: str | None = None
    password: str | None = attrs.field(default=None, repr=False)
    database: int = 0
    maxlen: int | None = None
    template: Template | None = attrs.field(default=None, eq=False, repr=False)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters of the event that the name of the stream has."""
        return () if self.template is None else self.template.parameters

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """A text that can be parsed again, but for the password."""
        user = "" if self.user is None else f"{_encode(self.user)}@"
        limit = "" if self.maxlen is None else f"&maxlen={self.maxlen}"
        stream = _encode(self.stream, ":{}" if "{" in self.stream else ":")
        return f"{self.scheme}://{user}{self.host}:{self.port}/{self.database}?stream={stream}{limit}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The host, without the brackets of an IPv6 address, and the port."""
        return ((without_brackets(self.host), self.port),)


def parse(scheme: str, rest: str) -> RedisSocket:
    """Return the socket of *rest*.

    Args:
        scheme: ``redis`` or ``rediss``.
        rest: what follows the colon.

    Raises:
        ValueError: if the text does not fit.
    """
    found = _URL.fullmatch(rest)
    if found is None:
        raise ValueError(FORM)
    place = found["place"]
    has_port = ":" in place.rpartition("]")[2]
    host, port = split_host_port(place if has_port else f"{place}:{PORT}")
    user, password = _login(found["login"])
    stream, maxlen = _query(found["query"])
    return RedisSocket(
        scheme,
        host.lower(),
        port,
        stream,
        user,
        password,
        _number("a database", found["database"] or "0"),
        maxlen,
        template_of(stream),
    )


def _login(text: str | None) -> tuple[str | None, str | None]:
    if text is None:
        return None, None
    user, colon, password = text.partition(":")
    return _decode(user) or None, _decode(password) if colon else None


def _query(text: str) -> tuple[str, int | None]:
    """Return the name of the stream and the bound of its length."""
    values: dict[str, str] = {}
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if name not in {"stream", "maxlen"} or name in values or not equals:
            raise ValueError(f"{FORM}, got another parameter")  # which may be a secret
        values[name] = value
    stream = _decode(template_text(values.get("stream", "")))
    if not 1 <= len(stream.encode("utf-8", "surrogateescape")) <= _MOST_BYTES:
        raise ValueError(f"{FORM} with a stream of 1 to {_MOST_BYTES} bytes")
    maxlen = _number("entries", values["maxlen"]) if "maxlen" in values else None
    if maxlen == 0:
        raise ValueError("expected 1 entry or more as maxlen")
    return stream, maxlen


def _number(what: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"expected {what} as a number, got {text!r}")
    return int(text)


def stream_of(name: str) -> bytes | None:
    """Return the key of the stream that an event has named; None for one that it cannot have."""
    try:
        key = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None
    return key if 1 <= len(key) <= _MOST_BYTES else None


def _decode(text: str) -> str:
    """Return *text* with ``%HH`` decoded; control characters and what is no UTF-8 are refused."""
    raw = re.sub(rb"%(..?)?", lambda found: _byte(found[1]), text.encode("utf-8", "surrogateescape"), flags=re.DOTALL)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8 behind percent signs") from None


def _byte(digits: bytes | None) -> bytes:
    if digits is None or not re.fullmatch(rb"[0-9A-Fa-f]{2}", digits) or int(digits, 16) < 32 or int(digits, 16) == 127:
        raise ValueError("expected two digits of a printable character after a percent sign")
    return bytes([int(digits, 16)])


def _encode(text: str, safe: str = "") -> str:
    return "".join(each if ord(each) >= 128 else quote(each, safe=safe) for each in text)
