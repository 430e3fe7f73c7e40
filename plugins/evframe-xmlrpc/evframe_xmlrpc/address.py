"""The sockets of the transport: host, port, path and method."""

from __future__ import annotations

import socket
from typing import Final

import attrs

from evframe import split_host_port
from evframe.sockets import resolve, without_brackets

DEFAULT_PATH: Final = "/RPC2"
FORM: Final = "expected host:port[/path]:method"


@attrs.frozen(slots=True)
class XmlrpcSocket:
    """``xmlrpc:host:port[/path]:method``; ``xmlrpcs:`` for TLS."""

    scheme: str
    host: str
    port: int
    path: str
    method: str

    @property
    def canonical(self) -> str:
        """The text with the path, unless that is the default."""
        path = "" if self.path == DEFAULT_PATH else self.path
        return f"{self.scheme}:{self.host}:{self.port}{path}:{self.method}"

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def name(self) -> str:
        """The host without the brackets of an IPv6 address."""
        return without_brackets(self.host)


def parse(scheme: str, rest: str) -> XmlrpcSocket:
    """Return the socket of *rest*.

    Raises:
        ValueError: if the text does not fit, or the host does not resolve.
    """
    host, _, tail = rest.partition("]:") if rest.startswith("[") else rest.partition(":")
    host += "]" if rest.startswith("[") else ""
    target, colon, method = tail.partition(":")
    port, slash, path = target.partition("/")
    if not colon or not method:
        raise ValueError(f"{FORM}, got {rest!r}")
    if any(character in path for character in " \t\r\n\0"):
        raise ValueError(f"{FORM} with a path without blanks, got {path!r}")
    if any("\ud800" <= character <= "\udfff" for character in method):
        raise ValueError(f"{FORM} with a method that is UTF-8, got {method!r}")
    host, number = split_host_port(f"{host}:{port}")
    resolve(host, number, socket.SOCK_STREAM)
    return XmlrpcSocket(scheme, host, number, f"/{path}" if slash else DEFAULT_PATH, method)
