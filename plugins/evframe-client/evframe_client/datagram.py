"""Management by datagrams, over UDP and through a UNIX socket."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import attrs

from evframe_client.lookups import look_up
from evframe_client.protocol import Request
from evframe_client.sockets import FULL_S
from evframe_client.urls import UdpUrl, UnixUrl

MAX_BYTES = 1 << 18


@attrs.frozen
class Udp:
    """Sends requests to *url*, each from another socket, which takes no other datagrams."""

    url: UdpUrl

    async def exchange(self, request: Request) -> bytes:
        """Return the reply to *request*."""
        problem: OSError | None = None
        for family, _, _, _, address in await look_up(self.url.host, self.url.port, socket.SOCK_DGRAM):
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                try:
                    sock.connect(address)
                except OSError as error:
                    problem = error
                    continue
                try:
                    await asyncio.get_running_loop().sock_sendall(sock, request.data)
                    return await _reply(sock, request)
                except ConnectionRefusedError as error:  # no process has the request, so the next address may be asked
                    problem = error
        raise problem or OSError("expected a host with an address")


@attrs.frozen
class Unix:
    """Sends requests to the socket of *url*, each from another name, without which there would be no reply."""

    url: UnixUrl

    async def exchange(self, request: Request) -> bytes:
        """Return the reply to *request*."""
        with bound(self.url.reply_dir) as sock:
            # Replies come from a socket without a name, which a connected one would not take.
            while not _sent(sock, request.data, self.url.path):  # noqa: ASYNC110 the kernel has no event for it
                await asyncio.sleep(FULL_S)
            return await _reply(sock, request)


def _sent(sock: socket.socket, data: bytes, path: str) -> bool:
    """Return whether the queue at *path* had room for *data*."""
    try:
        sock.sendto(data, path)
    except BlockingIOError:
        return False
    return True


async def _reply(sock: socket.socket, request: Request) -> bytes:
    """Return the datagram that answers *request*; others, such as a late answer to an earlier one, are left out."""
    while True:
        await asyncio.sleep(0)  # the time limit holds, and others have their turn, even where datagrams never end
        reply = await asyncio.get_running_loop().sock_recv(sock, MAX_BYTES)
        if request.is_answered_by(reply):
            return reply


@contextmanager
def bound(folder: str | None = None) -> Iterator[socket.socket]:
    """Give a UNIX socket for datagrams as `bind_new_name` makes it; it is closed and its name removed afterwards."""
    sock, remove = bind_new_name(folder)
    try:
        with sock:
            yield sock
    finally:
        remove()


def bind_new_name(folder: str | None = None) -> tuple[socket.socket, Callable[[], None]]:
    """Return a UNIX socket for datagrams with a new name, and what removes the name.

    The user that runs the gateway can write to it; its folder cannot be listed by others.
    """
    own = tempfile.mkdtemp(prefix="evframe-", dir=folder)
    path = os.path.join(own, secrets.token_hex(8))

    def remove() -> None:
        with suppress(OSError):
            os.unlink(path)
        os.rmdir(own)

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.bind(path)
        os.chmod(path, 0o622)  # noqa: S103 the gateway may be another user
        os.chmod(own, 0o711)  # noqa: S103 as above
    except BaseException:
        sock.close()
        remove()
        raise
    return sock, remove
