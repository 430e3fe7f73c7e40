"""Management through FIFOs: requests are written into one, and each reply comes in another that the client makes."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from evframe_client.protocol import MAX_REPLY_BYTES, Request
from evframe_client.sockets import FULL_S, ready
from evframe_client.urls import FifoUrl


@attrs.frozen
class Fifo:
    """Writes requests to the FIFO of *url*, and reads each reply from another FIFO."""

    url: FifoUrl

    async def exchange(self, request: Request) -> bytes:
        """Return the reply to *request*."""
        with _reply_fifo(self.url.reply_dir) as (name, replies), _opened(self.url.path) as requests:
            await _write(requests, f":{name}:".encode() + request.data)
            return await _read(replies)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """Give the descriptor of the gateway's FIFO, which a process reads."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "no process reads the FIFO") from None
        raise
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            raise ValueError("expected a FIFO, got another kind of file")
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _reply_fifo(folder: str) -> Iterator[tuple[str, int]]:
    """Give the name and the descriptor of a new FIFO, which only this user can read; it is removed afterwards."""
    name = f"evframe_reply_{secrets.token_hex(8)}"
    path = os.path.join(folder, name)
    os.mkfifo(path, 0o600)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fchmod(fd, 0o622)  # the gateway may be another user
            yield name, fd
        finally:
            os.close(fd)
    finally:
        os.unlink(path)


async def _write(fd: int, message: bytes) -> None:
    """Write *message* in parts, as there is room; no other client that does the same writes between them."""
    while not _locked(fd):  # noqa: ASYNC110 the kernel has no event for it
        await asyncio.sleep(FULL_S)
    try:
        rest = memoryview(message)
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                await ready(fd, write=True)
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _locked(fd: int) -> bool:
    """Return whether this descriptor has the lock of its FIFO now."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _read(fd: int) -> bytes:
    """Return what is written until the gateway closes its end."""
    reply = bytearray()
    while True:
        await ready(fd)
        try:
            part = os.read(fd, 65536)
        except BlockingIOError:
            continue
        if not part:
            return bytes(reply)
        reply += part
        if len(reply) > MAX_REPLY_BYTES:
            raise ValueError(f"expected a reply of at most {MAX_REPLY_BYTES} bytes")
