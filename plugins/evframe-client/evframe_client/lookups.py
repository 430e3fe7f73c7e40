"""Looking host names up, on threads that hold up neither an event loop nor the end of the process."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from concurrent.futures import Future
from typing import Any

from evframe_wire.addresses import without_brackets

Lookup = tuple[str, int, socket.SocketKind]


async def look_up(host: str, port: int, kind: socket.SocketKind) -> list[Any]:
    """Return what the system knows about *host*, which may be in brackets; addresses need no waiting.

    Raises:
        ValueError: if it does not resolve.
    """
    try:
        return socket.getaddrinfo(without_brackets(host), port, type=kind, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        found: list[Any] = await asyncio.wrap_future(_shared((host, port, kind)))
        return found


_lookups: dict[Lookup, Future[list[Any]]] = {}
_lock = threading.Lock()


def _shared(lookup: Lookup) -> Future[list[Any]]:
    """Return the answer to *lookup*: one that hangs has one thread, however often it is given up and wanted again."""
    with _lock:
        answer = _lookups.get(lookup)
        if answer is None:
            answer = _lookups[lookup] = Future()
            answer.set_running_or_notify_cancel()  # so that a caller who gives up does not cancel it for the others
            # A daemon: the pools of the standard library hold up the end of the process, and of the loop.
            threading.Thread(target=_work, args=(lookup, answer), name="evframe.client", daemon=True).start()
        return answer


def _work(lookup: Lookup, answer: Future[list[Any]]) -> None:
    host, port, kind = lookup
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except Exception as error:  # noqa: BLE001 raised where it was asked for
        _end(lookup)
        if isinstance(error, OSError | UnicodeError):
            error = ValueError(f"expected a host that resolves, got {host!r}: {error}")
        answer.set_exception(error.with_traceback(None))  # whose frame holds the answer
    else:
        _end(lookup)
        answer.set_result(found)


def _end(lookup: Lookup) -> None:
    with _lock:
        _lookups.pop(lookup, None)


def _forget() -> None:
    """Have a forked process look up anew: the threads are its parent's."""
    global _lock  # noqa: PLW0603 another thread of the parent may have held it
    _lock = threading.Lock()
    _lookups.clear()


os.register_at_fork(after_in_child=_forget)
