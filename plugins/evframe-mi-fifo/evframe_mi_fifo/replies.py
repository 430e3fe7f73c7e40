"""Replies: each goes into the FIFO that its client has made, and is over when that is closed."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from typing import Final

from evframe.plugin import reserved

_FIRST_PAUSE_S: Final = 0.001
_LONGEST_PAUSE_S: Final = 0.08
_PATIENCE_S: Final = 0.64  # a client opens its FIFO right after the request, if it has the processor
_FLAGS: Final = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY


def reply_path(folder: str, name: bytes) -> bytes:
    """Return the path of the reply FIFO called *name*, with a slash between whether *folder* has one or not.

    Raises:
        ValueError: for a name that leads elsewhere.
    """
    if set(name) & set(b"./\\\0"):
        raise ValueError("expected a name without . / and \\")
    return os.path.join(os.fsencode(folder), name)


async def open_reply(path: bytes) -> int:
    """Return the FIFO at *path*, open for writing, as soon as its client reads from it.

    Raises:
        OSError: if no client does in time, or it is no FIFO, or one that has links.
    """
    pause = _FIRST_PAUSE_S
    left = _PATIENCE_S
    while True:
        try:
            fd = _open(path)
            break
        except OSError as error:
            if error.errno != errno.ENXIO or left <= 0 or not _is_fifo(os.lstat(path)):
                raise
        await asyncio.sleep(pause)
        left -= pause
        pause = min(2 * pause, _LONGEST_PAUSE_S)
    if not _is_fifo(os.fstat(fd)):
        os.close(fd)
        raise OSError(errno.EINVAL, "expected a FIFO without links", path)
    return fd


def _open(path: bytes) -> int:
    """Return *path*, open; where all descriptors are taken, it has one of the reserve."""
    try:
        return os.open(path, _FLAGS)
    except OSError as error:
        if error.errno != errno.EMFILE:
            raise
    with reserved():
        return os.open(path, _FLAGS)


def _is_fifo(found: os.stat_result) -> bool:
    return stat.S_ISFIFO(found.st_mode) and found.st_nlink == 1


async def write_reply(fd: int, reply: bytes, timeout_s: float) -> None:
    """Write the whole *reply*, as fast as its client reads.

    Raises:
        OSError: if the client has gone.
        TimeoutError: if it does not read all of it within *timeout_s* seconds.
    """
    rest = memoryview(reply)
    async with asyncio.timeout(timeout_s):
        while rest:
            try:
                rest = rest[os.write(fd, rest) :]
            except BlockingIOError:
                await _writable(fd)


async def _writable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(fd, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(fd)
