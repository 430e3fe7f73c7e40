"""The daemon: an interface that runs until a signal stops it."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from evframe_options import Setting
from evframe_wire.open_files import raise_limit

from evframe.calls import comes_from_outside
from evframe.exceptions import ConfigError
from evframe.interface import EventInterface
from evframe.logs import fold_libraries
from evframe.plugins.changes import describe_changes
from evframe.plugins.composition import Composition
from evframe.plugins.manager import DISABLED

log = logging.getLogger("evframe.gateway")
_THRESHOLDS: Final = (500, 5, 1)  # a full look when some 6,000 objects are new
_OLDEST: Final = 2  # generation
MOST_LOOKED_AT_AGAIN: Final = 4_000
"""How many objects may survive a full look of the collector and be looked at again."""


async def serve(path: str, settings: Sequence[Setting] = ()) -> None:
    """Run the gateway with the configuration in the file *path*, and *settings*, until SIGTERM or SIGINT.

    SIGHUP loads the file again. Leaving delivers what is queued, within its bound.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    events = EventInterface.from_toml(path, gateway=True, settings=settings)
    fold_logs(events.composition)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, events)
    for status in (each for each in events.plugin_status if each.problem is not None):
        level = logging.INFO if status.problem == DISABLED else logging.WARNING
        log.log(level, "a plugin is not loaded", extra={"plugin": status.name, "problem": status.problem})
    for hint in events.composition.hints:
        log.warning("a name in the configuration resembles another one", extra={"hint": hint})
    async with events:
        set_up_collector()  # again, for what the plugins have made
        log.info("the gateway is ready", extra={"subscriptions": len(events.subscriptions)})
        await stop.wait()
        log.info("the gateway is stopping")
    for counters in (each for each in events.statistics if each.reasons.get("shutdown")):
        log.error("events were not delivered in time", extra={"socket": counters.socket, **counters.reasons})
    log.info("the gateway has stopped")


def _reload(events: EventInterface) -> None:
    """Load the configuration again; on any error nothing changes, and every problem is a line of the log."""
    try:
        changes = events.reload()
    except ConfigError as error:
        for problem in error.problems:
            log.error("the configuration was not loaded again", extra={"problem": problem})  # noqa: TRY400 the problem says it
    else:
        fold_logs(events.composition)
        log.info("the configuration was loaded again", extra=describe_changes(changes))


def fold_logs(composition: Composition) -> None:
    """Leave out what the libraries of the plugins log about problems that the plugins log themselves."""
    for loaded in composition.loaded.values():
        fold_libraries(getattr(loaded.plugin, "library_logs", ()))


def run(path: str, settings: Sequence[Setting] = ()) -> None:
    """Run the gateway with the configuration in the file *path*, and *settings*, with this process set up for it.

    Raises:
        ConfigError: with every problem of the configuration.
        OSError: if an address or a file cannot be used.
    """
    raise_limit()
    set_up_collector()
    run_loop(serve(path, settings))


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run *work* on uvloop when it is installed, else on asyncio.

    An event loop stops at a SystemExit or KeyboardInterrupt of any task or callback, such as one
    that the code of a route has made; unless a signal caused it, the loop resumes.
    """
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415 an optional dependency

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        loop = runner.get_loop()
        task = loop.create_task(work)
        while not task.done():
            try:
                loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                if comes_from_outside(error):
                    raise
                log.exception("a task or a callback tried to end the process")
        task.result()


def set_up_collector() -> None:
    """Make the cyclic garbage collector a safety net: nothing of evframe waits for it, and its pauses stay short.

    What was there at the start is set aside for good. A full look is at what was made since then, so
    that it finds a cycle whenever that breaks off. When more than `MOST_LOOKED_AT_AGAIN` objects survive
    a look, as those of a long queue do, they are set aside too: each look would hold up the loop otherwise.
    Only a cycle that was set aside with so many others, and breaks off later, is missed.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)


def _set_aside(phase: str, info: dict[str, int]) -> None:
    is_full = phase == "stop" and info["generation"] == _OLDEST
    if is_full and len(gc.get_objects(generation=_OLDEST)) > MOST_LOOKED_AT_AGAIN:
        gc.freeze()
