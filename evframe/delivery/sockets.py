"""Subscriber sockets: ``scheme:rest``, and the host and port grammar that transports share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Protocol

from evframe.exceptions import SocketError

# A tab may stand between the members of a combined socket. Bytes that are no UTF-8 are surrogates from U+DC80 on.
REFUSED: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udc7f\udd00-\udfff]")
"""What no socket's text may have."""


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


def shown_socket(socket: Socket) -> str:
    """Return the text of *socket* in listings, without secrets."""
    return getattr(socket, "shown", None) or socket.canonical


def leaves(target: Socket) -> Iterator[Socket]:
    """Yield the sockets that a subscription of *target* delivers to: itself, or its members and theirs."""
    members = getattr(target, "members", ())
    if not members:
        yield target
    for member in members:
        yield from leaves(member.socket)


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
