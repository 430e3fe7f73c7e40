"""What a destination's URI says about how it is probed."""

from __future__ import annotations

import re
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import attrs
from evframe_wire.addresses import without_brackets

from evframe import split_host_port

FORM: Final = "expected sip:host[:port], tcp://host:port, http://… or https://…"
Kind = Literal["sip", "tcp", "http"]
_SIP: Final = re.compile(
    r"sips?:(?:(?P<user>[^@\s<>]*)@)?(?P<host>\[[^\]\s]*\]|[^\[\]@:;?\s<>]+)(?::(?P<port>[0-9]+))?"
    r"(?P<params>(?:;[^;?\s<>]+)*)(?:\?[^\s<>]*)?",
    re.IGNORECASE,
)


@attrs.frozen
class Target:
    """Where a probe goes, and how."""

    kind: Kind
    """``sip`` for a request, ``tcp`` for a connection, ``http`` for a request."""
    transport: str
    """``udp``, ``tcp`` or ``tls``."""
    host: str
    """A name or an address, without brackets."""
    port: int
    """From 1 to 65535."""
    uri: str
    """As it goes into a request."""


def parse_target(uri: str) -> Target:
    """Return the target that *uri* names.

    A ``sip:`` URI is reached over UDP, or what its parameter ``transport`` says; ``sips:`` over TLS.

    Raises:
        ValueError: if it does not fit, or holds a password, which a listing would show.
    """
    if not isinstance(uri, str) or not uri.isprintable() or " " in uri:
        raise ValueError(f"{FORM}, got {uri!r}")
    scheme = uri.partition(":")[0].lower()
    if scheme in {"sip", "sips"}:
        return _sip(uri)
    if scheme == "tcp":
        host, port = split_host_port(uri[4:].removeprefix("//").removesuffix("/"))
        return Target("tcp", "tcp", without_brackets(host), port, uri)
    if scheme in {"http", "https"}:
        return _http(uri, scheme)
    raise ValueError(f"{FORM}, got {uri!r}")


def _sip(uri: str) -> Target:
    found = _SIP.fullmatch(uri)
    if found is None:
        raise ValueError(f"expected sip:[user@]host[:port][;transport=udp|tcp|tls], got {uri!r}")
    if ":" in (found["user"] or ""):
        raise ValueError("expected a URI without a password")
    params = dict(part.lower().partition("=")[::2] for part in found["params"].split(";"))
    secure = uri[:5].lower() == "sips:"
    transport = "tls" if secure else params.get("transport", "udp")
    if transport not in {"udp", "tcp", "tls"}:
        raise ValueError(f"expected the transport udp, tcp or tls, got {transport!r}")
    port = found["port"] or ("5061" if transport == "tls" else "5060")
    host, number = split_host_port(f"{found['host']}:{port}")
    # A Request-URI has no headers (RFC 3261, 19.1.1).
    return Target("sip", transport, without_brackets(host), number, uri.partition("?")[0])


def _http(uri: str, scheme: str) -> Target:
    parts = urlsplit(uri)
    if parts.password is not None or parts.username is not None:
        raise ValueError("expected a URL without a name and a password")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if not parts.hostname or port == 0:
        raise ValueError(f"expected http(s)://host[:port][/path], got {uri!r}")
    transport = "tls" if scheme == "https" else "tcp"
    return Target("http", transport, parts.hostname, port or (443 if transport == "tls" else 80), uri)


def is_target(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    """Validate an option that is the URI of a destination."""
    try:
        parse_target(value)
    except ValueError as error:
        raise ValueError(f"{attribute.name}: {error}") from None
