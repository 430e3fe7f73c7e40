"""The loops of the plugin, which follow its options."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Watches:
    """Keeps each watch running with the settings that it was begun with, until they are others.

    Args:
        spawn: runs a task.
    """

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[Any]]) -> None:
        self._spawn = spawn
        self._running: dict[str, tuple[float, asyncio.Task[Any]]] = {}

    def follow(self, name: str, setting: float, watch: Callable[[float], Coroutine[Any, Any, None]]) -> None:
        """Have *watch* running with *setting*, and nothing of this name with 0."""
        running = self._running.get(name)
        if running is not None and running[0] == setting:
            return
        if running is not None:
            self._running.pop(name)[1].cancel()
        if setting:
            self._running[name] = setting, self._spawn(watch(setting))
