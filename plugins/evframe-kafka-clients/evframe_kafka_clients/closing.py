"""The end of a client of the library, within its bound, and of a request that it shields."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final

from evframe_kafka_clients.starting import closing, closing_connections, connections_of

CLOSE_S: Final = 1.0


async def end(client: Any) -> None:
    """End a consumer or a producer; when brokers do not answer, what it has under way is cancelled."""
    connections = connections_of(client)
    parts = client, *(getattr(client, name, None) for name in ("_coordinator", "_fetcher"))  # which have tasks
    try:
        await _within(client.stop(), CLOSE_S)
    finally:  # also when this is cancelled
        connections._get_conn = _none  # noqa: SLF001 what is left of the library may not connect any more
        try:
            await _cancel([task for task in asyncio.all_tasks() if _runs_in(task, parts)])
        finally:
            # Again, also after a stop that ended well: a request that the library shields, such as a commit, may have
            # made a connection behind it.
            await _within(_close(connections), CLOSE_S)


async def commit(consumer: Any, offsets: Mapping[Any, int]) -> None:
    """Commit *offsets*, each by its partition; the request may be given up.

    The library shields it: nothing waits for its end then, and asyncio would log its error as a fault.
    """
    try:
        await closing(consumer.commit(dict(offsets)))
    except asyncio.CancelledError:
        for task in asyncio.all_tasks():
            if _runs_in(task, (consumer._coordinator,)):  # noqa: SLF001 there is no other way to find it
                task.add_done_callback(_take)
        raise


def _take(ended: asyncio.Future[Any]) -> None:
    """Take the error of what nothing waits for."""
    if not ended.cancelled():
        ended.exception()


async def _none(*_: Any, **__: Any) -> None:
    """Return no connection: the library takes the broker for one that cannot be reached."""


async def _close(connections: Any) -> None:
    """Close the connections, also one that is being made."""
    async with connections._get_conn_lock:  # noqa: SLF001 as above
        await connections.close()


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel *tasks*, and close the connections that they were about to make."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSE_S)
    for task in tasks:
        with suppress(BaseException), closing_connections():  # what has ended it was a cancellation, or of no use
            task.result()


async def _within(work: Coroutine[Any, Any, Any], limit_s: float) -> None:
    """Wait for the end of *work*, within its bound.

    It is a separate task: the library may end it with a cancellation, which is not meant for this one.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait((task,), timeout=limit_s)
    finally:
        task.cancel()
        task.add_done_callback(_take)


def _runs_in(task: asyncio.Task[Any], parts: tuple[Any, ...]) -> bool:
    """Return whether the coroutine of *task* is a method of one of *parts*."""
    frame = getattr(task.get_coro(), "cr_frame", None)
    return frame is not None and any(frame.f_locals.get("self") is part for part in parts if part is not None)
