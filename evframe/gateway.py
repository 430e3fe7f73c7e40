"""The daemon: an interface that runs until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal

from evframe.config import Config
from evframe.interface import EventInterface

log = logging.getLogger("evframe.gateway")


async def serve(config: Config) -> None:
    """Run the gateway until SIGTERM or SIGINT; leaving delivers what is queued, within its bound."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with EventInterface(config) as events:
        for status in events.plugin_status:
            if status.problem is not None:
                log.warning("a plugin is not loaded", extra={"plugin": status.name, "problem": status.problem})
        log.info("the gateway is ready")
        await stop.wait()
        log.info("the gateway is stopping")


def run(config: Config) -> None:
    """Run the gateway on uvloop when it is installed, else on asyncio."""
    try:
        import uvloop  # noqa: PLC0415 an optional dependency
    except ImportError:
        asyncio.run(serve(config))
    else:
        uvloop.run(serve(config))
