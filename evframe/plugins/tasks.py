"""The tasks of the plugins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from evframe.calls import contained_task
from evframe.exceptions import PluginError

_Result = TypeVar("_Result")
log = logging.getLogger("evframe.plugins")


def log_error(task: asyncio.Future[Any]) -> None:
    """Log the error that has ended *task*, if one has."""
    if not task.cancelled() and task.exception() is not None:
        log.error("a plugin's task ended with an error", exc_info=task.exception())


async def in_thread(function: Callable[..., _Result], *args: Any) -> _Result:
    """Return the result of *function*, run in a thread, or in this one when the interpreter is about to end."""
    try:
        work = asyncio.get_running_loop().run_in_executor(None, partial(function, *args))
    except RuntimeError:  # at the end of the interpreter no thread can begin, and blocking the loop does no harm
        return function(*args)
    return await work


class PluginTasks:
    """Runs the tasks of a plugin until `stop` is called.

    Args:
        plugin: the name of the plugin that owns the tasks; it may spawn tasks from its `start` on.
    """

    def __init__(self, plugin: str | None = None) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        """Those that are not over."""
        self._plugin = plugin
        self.is_open = plugin is None
        """Whether tasks can be spawned."""

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run *work*; an error that ends it is logged.

        Raises:
            PluginError: if the plugin is not started yet.
        """
        if not self.is_open:
            work.close()
            raise PluginError(f"plugin {self._plugin!r}, spawn: expected a call from the hook 'start' on")
        task = contained_task(work)
        assert isinstance(task, asyncio.Task)
        self.tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        log_error(task)

    async def stop(self, timeout_s: float) -> None:
        """Cancel every task, and wait for their ends for at most *timeout_s* seconds."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)
