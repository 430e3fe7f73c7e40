"""What takes a moment to close, while the plugin works on without it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any


class Closing:
    """The tasks that close something, until they have."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def add(self, closing: Coroutine[Any, Any, Any] | asyncio.Task[Any]) -> None:
        """Close something, by a coroutine or a task that does so."""
        task = closing if isinstance(closing, asyncio.Task) else asyncio.get_running_loop().create_task(closing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def wait(self) -> Awaitable[Any]:
        """Return what ends when everything is closed."""
        return asyncio.gather(*self._tasks)
