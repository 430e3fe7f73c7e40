"""The daemon: an interface that runs until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Coroutine
from typing import Any

from evframe.config import Config
from evframe.interface import EventInterface

log = logging.getLogger("evframe.gateway")


async def serve(config: Config) -> None:
    """Run the gateway until SIGTERM or SIGINT; leaving delivers what is queued, within its bound."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    events = EventInterface(config)
    for status in events.plugin_status:
        if status.problem is not None:
            log.warning("a plugin is not loaded", extra={"plugin": status.name, "problem": status.problem})
    async with events:
        log.info("the gateway is ready", extra={"subscriptions": len(events.subscriptions)})
        await stop.wait()
        log.info("the gateway is stopping")
    lost = [counters for counters in events.statistics if counters.reasons.get("shutdown")]
    for counters in lost:
        log.error("events were not delivered in time", extra={"socket": counters.socket, **counters.reasons})
    log.info("the gateway has stopped")


def run(config: Config) -> None:
    """Run the gateway until it is told to stop, with this process set up for it."""
    _allow_open_files()
    set_up_collector()
    run_loop(serve(config))


def run_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run *work* on uvloop when it is installed, else on asyncio."""
    try:
        import uvloop  # noqa: PLC0415 an optional dependency
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def set_up_collector() -> None:
    """Have the cyclic garbage collector look at a queue full of events less often: none of them is a cycle."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def _allow_open_files() -> None:
    """Raise the limit of open files as far as it may be: every subscriber has a socket or a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
