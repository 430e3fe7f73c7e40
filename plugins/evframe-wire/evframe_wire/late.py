"""Modules that a plugin imports when it needs them: a library that takes long to import costs only those who use it."""

from __future__ import annotations

import asyncio
import importlib
import threading
from typing import Any, Final

_IMPORTS: Final = threading.Lock()
"""Serialises imports, because two threads cannot import modules at once that import each other."""


class LateModule:
    """A module that is imported at its first use, on another thread.

    A library such as aiokafka takes 150 ms to import. An import at the start would delay every command by the
    libraries of all installed plugins. An import on the loop would block it for that time, while a thread shares
    the processor with the loop, a few milliseconds each.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._module: Any = None
        self._waiting = 0
        self._lock = asyncio.Lock()

    async def get(self) -> Any:
        """Return the module; callers get it in the order of their calls, so that batches stay in order.

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
