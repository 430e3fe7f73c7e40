"""The process of a worker: ``python -m evframe_workers.main DESCRIPTOR INDEX LOOP MARK``, which the front starts."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import pickle
import signal
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final, cast

import attrs
from evframe_wire.ids import adopt
from evframe_wire.open_files import raise_limit

from evframe import Config, ConfigError, EventInterface
from evframe_workers import messages
from evframe_workers.commands import answer, raised_message
from evframe_workers.deliveries import Deliveries
from evframe_workers.engine import InterfaceEngine
from evframe_workers.mark import Mark
from evframe_workers.plugin import WorkersPlugin
from evframe_workers.process import OF_FRONT
from evframe_workers.records import Forwarding
from evframe_workers.reporting import Reports
from evframe_workers.settings import NAME

if TYPE_CHECKING:
    from evframe.plugin import Subscriber

log = logging.getLogger("evframe.workers")
_PR_SET_PDEATHSIG: Final = 1


class FrontConnection(asyncio.Protocol):
    """The worker's end of the socket."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.started: asyncio.Future[bytes] = loop.create_future()
        """The content of the first message."""
        self.drained: asyncio.Future[float] = loop.create_future()
        """Done when the process is to end, with the seconds that deliveries under way have."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when the last bytes are sent."""
        self.take: Callable[[bytes, bytes], None] | None = None
        """Takes the other messages."""
        self._reader = messages.Reader()
        self._transport: asyncio.Transport | None = None

    def write(self, message: bytes) -> None:
        """Send a message."""
        if self._transport is not None:
            self._transport.write(message)

    def close(self) -> None:
        """Close this end when everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what writes."""
        self._transport = cast(asyncio.Transport, transport)  # that of uvloop is none by its class

    def data_received(self, data: bytes) -> None:
        """Take messages."""
        for kind, content in self._reader.feed(data):
            if kind == messages.START:
                self.started.set_result(content)
            elif kind == messages.QUESTION:
                self.write(messages.packed(messages.ANSWER))
            elif kind == messages.DRAIN:
                self.drained.set_result(float(content))
            elif self.take is not None:
                self.take(kind, content)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 as in the base class
        """End at once when the front has ended: another one has the events, or they are lost with this one."""
        if not self.drained.done():
            os._exit(os.EX_UNAVAILABLE)
        if not self.closed.done():
            self.closed.set_result(None)


async def serve(sock: socket.socket) -> int:
    """Deliver what the front sends, until it says that this is all; return the exit code."""
    connection = FrontConnection()
    await asyncio.get_running_loop().create_unix_connection(lambda: connection, sock=sock)
    config, level = _read(await connection.started)
    logging.basicConfig(level=level, handlers=[Forwarding(connection.write)], force=True)
    code = os.EX_OK
    try:
        await _deliver(EventInterface(config), connection)
    except ConfigError as error:
        code = os.EX_CONFIG
        for problem in error.problems:
            log.error("a worker cannot use the configuration", extra={"problem": problem})  # noqa: TRY400 the problem says it
    if not connection.drained.done():
        connection.drained.set_result(0.0)
    connection.close()
    await connection.closed
    return code


def _read(content: bytes) -> tuple[Config, int]:
    config, level, numbering = pickle.loads(content)  # noqa: S301 the front has started this process
    adopt(numbering)  # what this process sends again has the ids that an earlier one gave it
    assert isinstance(config, Config)
    return config, int(level)


async def _deliver(events: EventInterface, connection: FrontConnection) -> None:
    async with events:
        plugin = events.plugin(NAME)
        assert isinstance(plugin, WorkersPlugin)
        assert plugin.context is not None
        loop = asyncio.get_running_loop()
        mark = Mark(int(sys.argv[4]))
        engine = InterfaceEngine(plugin.context, mark)
        deliveries: Deliveries[Subscriber] = Deliveries(engine, connection.write, loop.call_soon, mark)
        reports = Reports(plugin.context, deliveries, connection.write)
        plugin.work(engine, reports.delivery_changed)

        def take(kind: bytes, content: bytes) -> None:
            if kind == messages.RELOAD:
                _reload(events, content)
                deliveries.open_refused()
            elif kind == messages.COMMAND:
                answer(events.commands, content, connection.write)
            else:
                deliveries.receive(kind, content)

        connection.take = take
        tasks = [plugin.context.spawn(work) for work in (reports.run(), _raise_at_front(events, connection))]
        gc.collect()
        gc.freeze()  # nothing of what was loaded is looked at again
        connection.write(messages.packed(messages.READY))
        settle_s = await connection.drained
        for task in tasks:
            task.cancel()
        events.core = attrs.evolve(events.core, drain_timeout_s=settle_s)
    deliveries.flush()


async def _raise_at_front(events: EventInterface, connection: FrontConnection) -> None:
    """Have the front raise what plugins of this process raise, for its subscribers."""
    async with events.listen() as stream:
        async for event in stream:
            connection.write(raised_message(event.name, event.raised_at, event.payload))


def _reload(events: EventInterface, content: bytes) -> None:
    """Apply another configuration; a process that cannot do so is ended, and the next one starts with it."""
    config, level = _read(content)
    try:
        events.reload(config)
    except ConfigError as error:
        for problem in error.problems:
            log.warning("a worker is started again with the configuration", extra={"problem": problem})
        raise
    logging.getLogger().setLevel(level)


def _end_with_front() -> None:
    """Have the kernel kill this process when the front ends, also one that is stopped, or never returns to its loop."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Run a worker."""
    _end_with_front()
    for number in OF_FRONT:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, OF_FRONT)  # the front has blocked them until now
    raise_limit()
    loops = import_module(sys.argv[3])
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    sys.exit(main())
