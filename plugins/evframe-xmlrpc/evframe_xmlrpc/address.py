"""The sockets of the transport: host, port, path and method."""

from __future__ import annotations

from functools import cached_property
from typing import Final

import attrs
from evframe_wire.addresses import HostSocket
from evframe_wire.path_masking import masked

from evframe import split_host_port

DEFAULT_PATH: Final = "/RPC2"
FORM: Final = "expected host:port[/path]:method"


@attrs.frozen(slots=True)
class XmlrpcSocket(HostSocket):
    """``xmlrpc:host:port[/path]:method``; ``xmlrpcs:`` for TLS."""

    scheme: str
    path: str = attrs.field(repr=False)
    method: str
    shown_path: str
    """The path without its secrets."""

    @cached_property  # every batch needs it
    def canonical(self) -> str:
        """The text with the path, unless that is the default, and with marks for its secrets."""
        path = "" if self.path == DEFAULT_PATH else self.shown_path
        return f"{self.scheme}:{self.host}:{self.port}{path}:{self.method}"


def parse(scheme: str, rest: str, *, mask_paths: bool = False) -> XmlrpcSocket:
    """Return the socket of *rest*; with *mask_paths*, nothing of its path is shown.

    Raises:
        ValueError: if the text does not fit.
    """
    host, port, path, method = _split(rest)
    if not method:
        raise ValueError(f"{FORM}, got no method")
    if method.startswith("/"):
        raise ValueError(f"{FORM}, got a colon between the port and the path")
    if path is not None and any(character in path for character in " \t\r\n\0"):
        raise ValueError(f"{FORM} with a path without blanks")
    if any("\ud800" <= character <= "\udfff" for character in method):
        raise ValueError(f"{FORM} with a method that is UTF-8, got {method!r}")
    host, number = split_host_port(f"{host}:{port}")
    path = DEFAULT_PATH if path is None else path
    return XmlrpcSocket(host, number, scheme, path, method, masked(path, whole=mask_paths))


def shown(scheme: str, rest: str, *, mask_paths: bool = False) -> str:
    """Return the text of a socket that was refused, without secrets in its path."""
    host, port, path, method = _split(rest)
    if path is None and not method.startswith("/"):
        return f"{scheme}:{rest}"
    if path is None:
        return f"{scheme}:{host}:{port}:{masked(method, whole=mask_paths)}"
    return f"{scheme}:{host}:{port}{masked(path, whole=mask_paths)}{':' if method else ''}{method}"


def _split(rest: str) -> tuple[str, str, str | None, str]:
    """Return host, port, path (None without one) and method, each as it is in *rest*."""
    host, _, tail = rest.partition("]:") if rest.startswith("[") else rest.partition(":")
    host += "]" if rest.startswith("[") else ""
    target, _, method = tail.partition(":")
    port, slash, path = target.partition("/")
    return host, port, f"/{path}" if slash else None, method
