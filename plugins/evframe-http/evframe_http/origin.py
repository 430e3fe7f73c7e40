"""Whether a request may come from a web page: what its headers ``Host``, ``Origin`` and ``Sec-Fetch-Site`` say."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from typing import Final

import attrs

_AUTHORITY: Final = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%[0-9A-Za-z._~%-]+)?\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
_NUMERIC: Final = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}
_OWN_SITES: Final = frozenset({"none", "same-origin"})
_MOST: Final = 200  # characters of a header that are logged


@attrs.frozen
class Authority:
    """Host and port of a header; the port is None where there is none."""

    host: str
    port: int | None

    @classmethod
    def of(cls, text: str) -> Authority | None:
        """Return what *text* says in lower case and without a trailing dot, or None when it is no host."""
        found = _AUTHORITY.fullmatch(text)
        if found is None:
            return None
        host = found[1].lower()
        host = host if host.startswith("[") else host.removesuffix(".")
        return cls(host, int(found[2]) if found[2] else None) if host else None

    @property
    def is_literal(self) -> bool:
        """Whether it is an address, in any notation: a page that came by a name never sends one."""
        host = self.host
        try:
            if host.startswith("["):
                ipaddress.IPv6Address(host[1:-1].partition("%")[0])
                return True
            return _NUMERIC.fullmatch(host) is not None and bool(socket.inet_aton(host))
        except (OSError, ValueError):
            return False

    @property
    def is_loopback(self) -> bool:
        """Whether it is ``localhost``, or an address that only this machine reaches."""
        if self.host == "localhost":
            return True
        if not self.is_literal:
            return False
        if self.host.startswith("["):
            return ipaddress.IPv6Address(self.host[1:-1].partition("%")[0]).is_loopback
        return ipaddress.IPv4Address(socket.inet_aton(self.host)).is_loopback


def parse_origin(text: str) -> tuple[str, Authority] | None:
    """Return scheme and authority of an origin such as ``https://ops.example:8443``, or None for anything else."""
    scheme, separator, rest = text.partition("://")
    authority = Authority.of(rest) if separator else None
    scheme = scheme.lower()
    return (scheme, authority) if authority is not None and scheme in _PORTS else None


class OriginGuard:
    """Refuses the requests that web pages of others make, those that got here by DNS rebinding included.

    Args:
        bound: the host of the option ``bind``; None for a UNIX path.
        hosts: further names that clients may use for this interface.
        origins: the web pages that may use it.
    """

    def __init__(self, bound: str | None, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._is_path = bound is None
        named = ("localhost", *hosts) if bound is None else ("localhost", bound, *hosts)
        self._hosts = {host.lower().removesuffix(".") for host in named}
        self._origins = [_with_port(*known) for known in map(parse_origin, origins) if known is not None]

    def problem(
        self, hosts: Sequence[str], origin: str | None, site: str | None, *, is_known: bool = False
    ) -> str | None:
        """Return why a request is refused, or None.

        Args:
            hosts: every host that it names, in its ``Host`` and in its target.
            origin: its ``Origin``.
            site: its ``Sec-Fetch-Site``.
            is_known: whether it has brought the token or the password; any host is accepted then.
        """
        named = [(host, Authority.of(host)) for host in hosts]
        for text, authority in named:
            if not (is_known or self._is_path or self._accepts(authority)):
                return f"expected a Host of this interface, got {text[:_MOST]!r}"
        if origin is not None:
            if self.permits(origin):
                return None
            if not self._is_own(origin, [authority for _, authority in named]):
                return f"expected a permitted Origin, got {origin[:_MOST]!r}"
        if site is not None and site.lower() not in _OWN_SITES:
            return f"expected the Sec-Fetch-Site none or same-origin, got {site[:_MOST]!r}"
        return None

    def _accepts(self, authority: Authority | None) -> bool:
        return authority is not None and (authority.host in self._hosts or authority.is_literal)

    def permits(self, origin: str) -> bool:
        """Return whether the option ``origins`` has *origin*."""
        parsed = parse_origin(origin)
        return parsed is not None and _with_port(*parsed) in self._origins

    @staticmethod
    def _is_own(origin: str, hosts: Sequence[Authority | None]) -> bool:
        """Return whether *origin* is the interface itself, by the name that the request has for it, or local."""
        parsed = parse_origin(origin)
        return parsed is not None and (_is_same(*parsed, hosts) or parsed[1].is_loopback)


def is_same_origin(origin: str | None, hosts: Sequence[str]) -> bool:
    """Return whether *origin* is the server itself, by a name of *hosts*; no other page of this machine is either."""
    parsed = None if origin is None else parse_origin(origin)
    return parsed is not None and _is_same(*parsed, [Authority.of(host) for host in hosts])


def _is_same(scheme: str, authority: Authority, hosts: Sequence[Authority | None]) -> bool:
    own = _with_port(scheme, authority)
    return any(host is not None and _with_port(scheme, host) == own for host in hosts)


def _with_port(scheme: str, authority: Authority) -> tuple[str, Authority]:
    """Return an origin with the port that its scheme stands for where it names none."""
    return scheme, attrs.evolve(authority, port=authority.port or _PORTS[scheme])


def cors_headers(origin: str) -> dict[str, str]:
    """Return the headers that let a web page of *origin* read an answer."""
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def preflight_headers(origin: str) -> dict[str, str]:
    """Return the headers that let a web page of *origin* make a request."""
    return cors_headers(origin) | {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "authorization, content-type",
        "Access-Control-Allow-Private-Network": "true",
        "Access-Control-Max-Age": "600",
    }
