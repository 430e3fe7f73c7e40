"""Sockets that are URLs without a user, and the patterns that they are compared with."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final, Self

import attrs
from evframe_wire.addresses import HostSocket, shown_authority, url_host_port
from evframe_wire.path_masking import masked
from evframe_wire.patterns import fits_stars

PORTS: Final = {"http": 80, "https": 443}
FORM: Final = "expected //host[:port][/path]"
_URL: Final = re.compile(r"//([^/?]*)(.*)", re.DOTALL)
_PATH: Final = re.compile(r"[!\"$-~]*")  # ASCII without blanks and without the mark of a fragment


@attrs.frozen(slots=True)
class UrlSocket(HostSocket):
    """``https://host[:port][/path][?query]``; ``http:`` without TLS."""

    scheme: str
    path: str = attrs.field(repr=False)
    """With the query."""
    shown_path: str
    """The path without its secrets."""

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The URL with its port, and with marks for the secrets in its path."""
        return f"{self.scheme}://{self.host}:{self.port}{self.shown_path}"

    @property
    def url(self) -> str:
        """The URL that requests are sent to."""
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"

    @classmethod
    def parse(cls, scheme: str, rest: str, *, mask_paths: bool = False) -> Self:
        """Return the socket of *rest*, what follows the colon; with *mask_paths*, nothing of its path is shown.

        Raises:
            ValueError: if the text does not fit.
        """
        authority, path = _split(rest)
        if "@" in authority:
            raise ValueError(f"{FORM} without a user, whose place is a header")
        if not _PATH.fullmatch(path):
            raise ValueError(f"{FORM} with a path in ASCII, without blanks and without a fragment")
        host, port = _host_and_port(scheme, authority)
        path = path if path.startswith("/") else f"/{path}"
        return cls(host, port, scheme, path, masked(path, whole=mask_paths))


def _host_and_port(scheme: str, authority: str) -> tuple[str, int]:
    host, port = url_host_port(authority, PORTS[scheme])
    return host.encode("idna").decode().lower() if not host.isascii() else host.lower(), port


def shown(scheme: str, rest: str, *, mask_paths: bool = False) -> str:
    """Return the text of a socket that was refused, without a user and without secrets in its path."""
    try:
        authority, path = _split(rest)
    except ValueError:
        return f"{scheme}:{masked(rest, whole=mask_paths)}"
    server = shown_authority(authority)
    if server.endswith("***") and "@" in path:  # a password with a slash
        path = f"/{path.rpartition('@')[2]}"
    return f"{scheme}://{server}{masked(path, whole=mask_paths)}"


def _split(rest: str) -> tuple[str, str]:
    """Return the authority and the path with the query."""
    found = _URL.fullmatch(rest)
    if found is None:
        raise ValueError(f"{FORM}, got no slashes in front of the host")
    return found[1], found[2]


@attrs.frozen
class UrlPattern:
    """What URLs match: each part by itself, so that no path makes a host fit."""

    scheme: str
    authority: str
    path: str

    @classmethod
    def of(cls, text: str) -> UrlPattern:
        """Return the pattern of *text*, a URL with ``*`` in its parts, or ``*`` for all URLs.

        Raises:
            ValueError: if it is none.
        """
        if text == "*":
            return cls("*", "*", "*")
        scheme, colon, rest = text.partition(":")
        if not colon or scheme not in PORTS:
            raise ValueError(f"expected '*', or a URL such as 'https://host/*', got {text!r}")
        authority, path = _split(rest)
        if "@" in authority or not authority:
            raise ValueError(f"{FORM} without a user, got {text!r}")
        has_port = ":" in authority.rpartition("]")[2]
        return cls(scheme, authority.lower() if has_port else f"{authority.lower()}:{PORTS[scheme]}", path or "/")

    @property
    def host(self) -> str:
        """The host, which may have wildcards."""
        return self.authority.rpartition(":")[0] or self.authority

    def fits(self, target: UrlSocket) -> bool:
        """Return whether *target* is one that is meant."""
        parts = ((target.scheme, self.scheme), (f"{target.host}:{target.port}", self.authority))
        return all(fits_stars(text, pattern) for text, pattern in (*parts, (target.path, self.path)))
