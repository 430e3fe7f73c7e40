"""The end of a client of the library, within its bound."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

CLOSE_S: Final = 1.0


async def end(client: Any, connections: Any, *parts: Any) -> None:
    """End a consumer or a producer; when brokers do not answer, what it has under way is cancelled.

    Args:
        client: the consumer or producer.
        connections: its connections to the brokers.
        parts: those of it that have tasks.
    """
    try:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_S):
                await client.stop()
                return
    finally:
        for task in asyncio.all_tasks():
            if _runs_in(task, parts):
                task.cancel()
    with suppress(Exception):
        async with asyncio.timeout(CLOSE_S):
            await connections.close()


def _runs_in(task: asyncio.Task[Any], parts: tuple[Any, ...]) -> bool:
    """Return whether the coroutine of *task* is a method of one of *parts*."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame is not None and any(frame.f_locals.get("self") is part for part in parts if part is not None)
