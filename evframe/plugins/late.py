"""Modules that a plugin imports when it needs them: a library that takes long to import costs only those who use it."""

from __future__ import annotations

import asyncio
import importlib
import threading
from typing import Any, Final

_IMPORTS: Final = threading.Lock()
"""One import after the other: modules that import each other cannot be imported by two threads at once."""


class LateModule:
    """A module that is imported at its first use, on another thread.

    A library such as aiokafka takes 150 ms to import. At its first use the loop is running, and none of its turns may
    take that long; a thread shares the processor with the loop, a few milliseconds each. At the start of a process
    every command would wait for the libraries of all plugins that are installed.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None
        self._waiting = 0
        self._lock = asyncio.Lock()

    async def get(self) -> Any:
        """Return the module; callers get it in the order of their calls, so that no batch overtakes another one.

        Raises:
            ImportError: if it cannot be imported.
        """
        if self._module is not None and not self._waiting:
            return self._module
        self._waiting += 1
        try:
            async with self._lock:
                if self._module is None:
                    self._module = await asyncio.to_thread(_import, self._name)
        finally:
            self._waiting -= 1
        return self._module


def _import(name: str) -> Any:
    with _IMPORTS:
        return importlib.import_module(name)
