"""Whether a worker process still answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

_QUESTIONS: Final = 10
"""How many questions in a row a process may leave without an answer."""
_LEAST_TO_START_S: Final = 60.0
"""How long a process may take to start, on a machine that has much else to do."""
_OFF_S: Final = 1.0


class Answering(Protocol):
    """A connection to a process."""

    closed: asyncio.Future[None]
    """Done when the process has ended."""
    is_ready: bool
    """Whether the process has started."""
    has_answered: bool
    """Whether it has answered since this was set to False."""

    def ask(self) -> None:
        """Have the process answer."""


async def hung(connection: Answering, pid: int, timeout_s: Callable[[], float]) -> bool:
    """Return True when a process does not answer for *timeout_s* seconds, and False when it has ended.

    Questions are counted, and not seconds: when this process was stopped, or the machine slept, the first question
    afterwards decides nothing. A process that a debugger has stopped does not count as one that hangs.

    Args:
        connection: to the process.
        pid: of the process.
        timeout_s: returns the seconds; 0 for any time.
    """
    silent_s = 0.0
    while not connection.closed.done():
        bound_s = timeout_s()
        step_s = bound_s / _QUESTIONS or _OFF_S
        connection.has_answered = False
        connection.ask()
        await _ended(connection.closed, step_s)
        if connection.closed.done():
            break
        silent_s = 0.0 if connection.has_answered or is_traced(pid) or not bound_s else silent_s + step_s
        if bound_s and silent_s > (bound_s if connection.is_ready else max(bound_s, _LEAST_TO_START_S)) - step_s / 2:
            return True
    return False


async def _ended(future: asyncio.Future[None], timeout_s: float) -> None:
    shielded: Awaitable[None] = asyncio.shield(future)
    with suppress(TimeoutError):
        await asyncio.wait_for(shielded, timeout_s)


def is_looping(pid: int) -> bool:
    """Return whether a process computes; one that is stopped, or waits for a disk, does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"R"
    except OSError:  # it has ended
        return False


def is_traced(pid: int) -> bool:
    """Return whether a debugger is attached to a process."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            return any(line.startswith("TracerPid:") and line.split()[1] != "0" for line in file)
    except OSError:  # it has ended
        return False
