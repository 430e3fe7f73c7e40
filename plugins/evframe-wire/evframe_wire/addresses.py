"""Hosts and ports as texts, and what went wrong with a connection in a word."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import ssl
from typing import Final

import attrs

from evframe_wire.visible import brief

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "closed",
    errno.ETIMEDOUT: "timeout",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.ENOENT: "no_such_path",
    errno.ENOTDIR: "no_such_path",
    errno.EACCES: "no_permission",
    errno.EPERM: "no_permission",
    errno.EMSGSIZE: "too_large",
    errno.EMFILE: "too_many_files",
    errno.ENFILE: "too_many_files",
}
_PORT: Final = re.compile(r"[0-9]{1,5}")
_NO_PORT: Final = re.compile(r":(?![0-9A-Fa-f.:]*(?:%[^]]*)?\]|[0-9]{1,5}(?:,|$))[^,]*")  # outside of brackets
_MOST_HOST: Final = 254  # with the dot that may end it
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # as a last label, it makes the host an address


def split_host_port(text: str) -> tuple[str, int]:
    """Return host and port of ``host:port`` or ``[ipv6]:port``; the host keeps its text.

    Raises:
        ValueError: if the host is empty or the port is not a number from 1 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        address, percent, scope = host[1:-1].partition("%")
        try:
            ipaddress.IPv6Address(address)
            if percent and not _NAME.fullmatch(scope):
                raise ValueError
        except ValueError:
            raise ValueError(f"expected an IPv6 address in brackets, got {host!r}") from None
    elif not colon or not host or ":" in host or host != host.strip():
        raise ValueError(f"expected host:port or [ipv6]:port, got {text!r}")
    else:
        check_host(host)
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"expected a port from 1 to 65535, got {port!r}")
    return host, int(port)


def url_host_port(authority: str, port: int) -> tuple[str, int]:
    """Return host and port of the authority of a URL, without its user; the host keeps its text.

    A password with a slash or a question mark, which the URL should have as ``%2F`` and ``%3F``, makes its beginning
    the port: no error has a part of the text.

    Args:
        authority: ``host``, ``host:port``, ``[ipv6]`` or ``[ipv6]:port``.
        port: where the text has none.

    Raises:
        ValueError: as of `split_host_port`.
    """
    has_port = ":" in authority.rpartition("]")[2]
    try:
        return split_host_port(authority if has_port else f"{authority}:{port}")
    except ValueError as error:
        raise ValueError(f"{str(error).partition(', got ')[0]}, got another text") from None


def shown_authority(authority: str) -> str:
    """Return the authority of a URL that was refused, without its user, and with ``***`` for what is no port."""
    return _NO_PORT.sub(":***", authority.rpartition("@")[2])


def check_host(host: str) -> None:
    """Raise ValueError unless *host*, which has no brackets, can be a name or an IPv4 address."""
    if not _is_host(host):
        raise ValueError(f"expected a host name or an address, got {brief(host)}")


def _is_host(host: str) -> bool:
    """Return whether *host*, which has no brackets, can be a name or an IPv4 address."""
    if len(host) > _MOST_HOST:
        return False  # before the codec, whose time grows faster than the text
    try:
        text = host.encode("idna").decode("ascii")
        if _NUMBER.fullmatch(text.rstrip(".").rpartition(".")[2]):
            socket.inet_aton(text)
    except (OSError, UnicodeError):
        return False
    return _NAME.fullmatch(text) is not None


@attrs.frozen(slots=True)
class HostSocket:
    """The base of sockets with one host and one port."""

    host: str
    """As it was given, an IPv6 address in brackets."""
    port: int

    @property
    def expires(self) -> bool:
        """A lease may end."""
        return True

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """The host, without the brackets of an IPv6 address, and the port."""
        return ((without_brackets(self.host), self.port),)


def without_brackets(host: str) -> str:
    """Return the address of an IPv6 *host* as the system takes it; other hosts as they are."""
    return host[1:-1] if host.startswith("[") else host


def connection_problem(error: OSError) -> str:
    """Return the word for what went wrong with a connection, as a reason for `Unavailable`."""
    if isinstance(error, socket.gaierror):
        return "no_such_host"
    if isinstance(error, ssl.SSLError):
        return "tls"
    number = error.errno or 0
    return _BY_ERRNO.get(number) or errno.errorcode.get(number, "os_error").lower()
