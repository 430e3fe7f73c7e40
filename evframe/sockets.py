"""Subscriber sockets: ``scheme:rest``, and the host and port grammar that transports share."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import ssl
from typing import Final, Protocol

from evframe.exceptions import SocketError
from evframe.visible import brief

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
# A tab may stand between the members of a combined socket. Bytes that are no UTF-8 are surrogates from U+DC80 on.
REFUSED: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]")
"""What no socket's text may have."""
_PORT: Final = re.compile(r"[0-9]{1,5}")
_MOST_HOST: Final = 254  # with the dot that may end it
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,253}")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # as a last label, it makes the host an address


class Socket(Protocol):
    """What a transport makes of a socket's text, without any lookup or connection.

    A socket that connects to hosts has an attribute `endpoints`, a tuple of host and port pairs: the hosts
    are names or numeric, without brackets. An empty one says that the socket connects to none, as a path or a
    callable does. Where the networks of run-time clients are limited, they may subscribe no socket without the
    attribute, but for files. A socket
    of a protocol without connections, whose peer cannot be asked, has a true attribute `is_connectionless`.
    A socket whose peer names other hosts to connect to, as a Kafka cluster does, has a true attribute `names_hosts`.

    One whose canonical text is not what was subscribed, because several texts are the same subscriber, may have
    the text for listings as `shown`.

    A socket whose text has parameters of the event (`evframe.plugin.Template`) has an attribute `parameters` with
    their names: they are compared with the declaration of the event that it is subscribed to.

    The policy of run-time clients reads three more attributes that a socket may have: `files`, the paths that it
    writes, `members`, the addresses that a combined socket is judged by, and `reserved`, the part of it that only the
    configuration may have, because it reads or runs something of this machine.
    """

    @property
    def canonical(self) -> str:
        """The text without secrets, also in listings unless there is a `shown`; equal texts are the same subscriber."""

    @property
    def expires(self) -> bool:
        """Whether a subscription with this socket can have a lease."""


def shown(socket: Socket) -> str:
    """Return the text of *socket* in listings, without secrets."""
    return getattr(socket, "shown", None) or socket.canonical


def endpoints_of(socket: Socket) -> tuple[tuple[str, int], ...]:
    """Return the host and port pairs that *socket* connects to; empty for files, UNIX paths and callables."""
    return getattr(socket, "endpoints", ())


def split_socket(text: str) -> tuple[str, str]:
    """Return the scheme and the rest of *text*.

    Raises:
        SocketError: if there is no colon or no scheme, or the text has what no transport can send: control
            characters but for the tab, and surrogates that stand for no byte.
    """
    scheme, colon, rest = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not colon or not scheme:
        raise SocketError(text, "expected scheme:address, for example udp:127.0.0.1:8081")
    refused = REFUSED.search(text)
    if refused is not None:
        raise SocketError(text, f"expected text without control characters, got {refused[0]!r}")
    return scheme, rest


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
