"""Descriptors and sockets that an event loop waits for."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any, Final

FULL_S: Final = 0.005  # until a queue that cannot be waited for is tried again


async def ready(fd: int, *, write: bool = False, unless: asyncio.Future[None] | None = None) -> None:
    """Wait until the file descriptor *fd* can be read, or written, or *unless* is done."""
    loop = asyncio.get_running_loop()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)
    event = asyncio.Event()

    def wake(*_: Any) -> None:
        event.set()

    add(fd, wake)
    try:
        if unless is not None:
            unless.add_done_callback(wake)
        await event.wait()
    finally:
        remove(fd)
        if unless is not None:
            unless.remove_done_callback(wake)


async def connect(family: int, address: Any) -> socket.socket:
    """Return a connection to *address* that does not block.

    `loop.sock_connect` takes a UNIX socket whose queue is full for connected, and has names looked up in its pool.
    """
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        while (code := connection.connect_ex(address)) == errno.EAGAIN:  # noqa: ASYNC110 the kernel has no event for it
            await asyncio.sleep(FULL_S)
        if code == errno.EINPROGRESS:
            await ready(connection.fileno(), write=True)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
    except BaseException:
        connection.close()
        raise
    return connection
