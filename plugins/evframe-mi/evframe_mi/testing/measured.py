"""An interface with one plugin in another process, which prints its open files, tasks and memory.

::

    with Measured("evframe_mi_http:HttpManagement", {"bind": "127.0.0.1:0"}) as measured:
        before = measured.held()
        ask(measured.address)
        assert measured.held().files == before.files
"""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Mapping
from typing import Any, Self

import attrs

from evframe import EventInterface, Socket, hookimpl
from evframe.testing.transports import MemorySocket
from evframe_mi.plugin import Management


@attrs.frozen
class Held:
    """What a process holds: open files, tasks of its loop, and memory in KiB."""

    files: int
    tasks: int
    memory_kib: int


class _Sink:
    """Takes the events of ``memory:`` subscribers with a name of one letter, and forgets them."""

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        if scheme != "memory":
            return None
        if len(rest) != 1 or not rest.isalpha() or not rest.isascii():
            raise ValueError(f"expected memory:letter, got {rest!r}")
        return MemorySocket(rest)

    @hookimpl
    def deliver(self, socket: Socket) -> Awaitable[None] | bool | None:
        return True if isinstance(socket, MemorySocket) else None


class Measured:
    """The process; its interface has the events E_A and E_B, and accepts ``memory:`` subscribers.

    Args:
        plugin: the plugin's class as ``module:Class``.
        options: its options.
    """

    def __init__(self, plugin: str, options: Mapping[str, Any]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 this module
            [sys.executable, "-m", __name__, plugin, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.address: Any = self._line()
        """The plugin's attribute `address`, or None."""

    def _line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(f"the process has ended with {self._process.wait()}")
        return json.loads(line)

    def held(self) -> Held:
        """Return the resources that the process holds now."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Held(**self._line())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def _hold() -> Held:
    gc.collect()
    with open("/proc/self/statm") as statm:
        pages = int(statm.read().split()[1])
    files = len(os.listdir("/proc/self/fd"))
    return Held(files, len(asyncio.all_tasks()), pages * os.sysconf("SC_PAGE_SIZE") // 1024)


async def _run(plugin: str, options: str) -> None:
    module, _, name = plugin.partition(":")
    kind = getattr(importlib.import_module(module), name)
    made = kind(kind.Options(**json.loads(options)))
    events = EventInterface(plugins={"sink": _Sink(), "mi": Management(), "under-test": made})
    events.register_event("E_A")
    events.register_event("E_B")
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with events:
        await asyncio.sleep(0)
        print(json.dumps(getattr(made, "address", None)), flush=True)  # noqa: T201 for the process that asks
        while await reader.readline():
            print(json.dumps(attrs.asdict(_hold())), flush=True)  # noqa: T201


if __name__ == "__main__":
    logging.disable()
    # Use the same kind of loop as the gateway.
    run = importlib.import_module("uvloop").run if importlib.util.find_spec("uvloop") else asyncio.run
    run(_run(*sys.argv[1:]))
