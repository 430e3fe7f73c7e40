"""The sockets of the transport: URLs without a user, and the patterns that they are compared with."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

import attrs
from evframe_wire.addresses import shown_authority, url_host_port, without_brackets
from evframe_wire.path_masking import masked

from evframe.plugin import Network, is_within, numeric

PORTS: Final = {"http": 80, "https": 443}
FORM: Final = "expected //host[:port][/path]"
_URL: Final = re.compile(r"//([^/?]*)(.*)", re.DOTALL)
_PATH: Final = re.compile(r"[!\"$-~]*")  # ASCII without blanks and without the mark of a fragment
_NAT64: Final = IPv6Network("64:ff9b::/96")


@attrs.frozen(slots=True)
class WebhookSocket:
    """``https://host[:port][/path][?query]``; ``http:`` without TLS."""

    scheme: str
    host: str
    port: int
    path: str = attrs.field(repr=False)
    """With the query."""
    shown_path: str
    """The path without its secrets."""
    reserved: str | None = attrs.field(default=None, eq=False)
    """What makes the socket one of the configuration alone; None for nothing."""

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The URL with its port, and with marks for the secrets in its path."""
        return f"{self.scheme}://{self.host}:{self.port}{self.shown_path}"

    @property
    def url(self) -> str:
        """The URL that requests are sent to."""
        return f"{self.scheme}://{self.host}:{self.port}{self.path}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The host, without the brackets of an IPv6 address, and the port."""
        return ((without_brackets(self.host), self.port),)


def parse(scheme: str, rest: str, *, mask_paths: bool = False, networks: tuple[Network, ...] = ()) -> WebhookSocket:
    """Return the socket of *rest*.

    Args:
        scheme: ``http`` or ``https``.
        rest: what follows the colon.
        mask_paths: whether nothing of its path is shown.
        networks: those that run-time clients may subscribe though they are not public.

    Raises:
        ValueError: if the text does not fit.
    """
    authority, path = _split(rest)
    if "@" in authority:
        raise ValueError(f"{FORM} without a user, whose place is a header of a target")
    if not _PATH.fullmatch(path):
        raise ValueError(f"{FORM} with a path in ASCII, without blanks and without a fragment")
    host, port = _host_and_port(scheme, authority)
    path = path if path.startswith("/") else f"/{path}"
    found = numeric(host, port) or ()
    is_private = not all(is_permitted(address.ip, networks) for address in found)
    reserved = "addresses that are not public" if is_private else None
    return WebhookSocket(scheme, host, port, path, masked(path, whole=mask_paths), reserved)


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
class Pattern:
    """What the sockets of a target match: each part by itself, so that no path makes a host fit."""

    scheme: str
    authority: str
    path: str

    @classmethod
    def of(cls, text: str) -> Pattern:
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

    def fits(self, target: WebhookSocket) -> bool:
        """Return whether *target* is one that is meant."""
        parts = ((target.scheme, self.scheme), (f"{target.host}:{target.port}", self.authority))
        return all(fnmatchcase(text, pattern) for text, pattern in (*parts, (target.path, self.path)))


def is_permitted(address: str, networks: tuple[Network, ...]) -> bool:
    """Return whether run-time clients may have events sent to *address*: a public one, or one in *networks*."""
    return is_within(address, networks) or _is_public(ip_address(address.partition("%")[0]))


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None)
        if inner is not None:  # where a connection to it ends
            return _is_public(inner)
    return ip.is_global and not ip.is_multicast
