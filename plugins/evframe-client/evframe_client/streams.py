"""Connections step by step: look a host up, connect, shake hands for TLS, send and receive."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from evframe_wire.addresses import without_brackets

from evframe_client.steps import Aside, Pause, Ready, Result, Steps

FULL_S: Final = 0.005  # until a queue that cannot be waited for is tried again


def look_up(host: str, port: int, kind: socket.SocketKind) -> Steps[list[Any]]:
    """Return what the system knows about *host*, which may be in brackets; addresses need no waiting.

    Raises:
        ValueError: if it does not resolve.
    """
    name = without_brackets(host)
    try:
        return socket.getaddrinfo(name, port, type=kind, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        found: list[Any] = yield Aside(partial(_resolve, host, port, kind), ("look_up", host, port, kind))
        return found


def _resolve(host: str, port: int, kind: socket.SocketKind) -> list[Any]:
    """Return what the system knows about the name *host*, which may take long."""
    try:
        return socket.getaddrinfo(host, port, type=kind)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"expected a host that resolves, got {host!r}: {error}") from None


def connect(family: int, address: Any) -> Steps[socket.socket]:
    """Return a connection to *address* that does not block."""
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        while (code := connection.connect_ex(address)) == errno.EAGAIN:
            yield Pause(FULL_S)  # the queue of a UNIX socket is full
        if code == errno.EINPROGRESS:
            yield Ready(connection.fileno(), write=True)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        connection.close()
        raise
    return connection


def shake_hands(connection: socket.socket, context: ssl.SSLContext, host: str) -> Steps[ssl.SSLSocket]:
    """Return *connection* with TLS to *host*; it is closed when that does not come about."""
    try:
        secure = context.wrap_socket(connection, server_hostname=without_brackets(host), do_handshake_on_connect=False)
    except BaseException:
        connection.close()
        raise
    try:
        yield from _attempt(secure, secure.do_handshake)
    except BaseException:
        secure.close()
        raise
    return secure


def send(connection: socket.socket, data: bytes) -> Steps[None]:
    """Send all of *data*."""
    rest = memoryview(data)
    while rest:
        sent = yield from _attempt(connection, partial(connection.send, rest), write=True)
        rest = rest[sent:]


def receive(connection: socket.socket, most: int = 65536) -> Steps[bytes]:
    """Return what arrives next; nothing when the peer has ended."""
    yield Pause(0)  # the time limit holds, and others have their turn, even where bytes never end
    return (yield from _attempt(connection, lambda: connection.recv(most)))


def _attempt(connection: socket.socket, function: Callable[[], Result], *, write: bool = False) -> Steps[Result]:
    while True:
        try:
            return function()
        except ssl.SSLWantReadError:
            yield Ready(connection.fileno())
        except ssl.SSLWantWriteError:
            yield Ready(connection.fileno(), write=True)
        except BlockingIOError:
            yield Ready(connection.fileno(), write=write)
