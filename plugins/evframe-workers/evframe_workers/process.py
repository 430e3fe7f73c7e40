"""A worker process as the front sees it: started, connected, ended, and started again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING, Final, cast

from evframe_wire.backoff import delay_s

from evframe.plugin import delivering
from evframe_workers import messages
from evframe_workers.mark import SIZE, Mark
from evframe_workers.watching import hung, is_looping

if TYPE_CHECKING:
    from evframe_workers.link import Link
    from evframe_workers.options import Options

log = logging.getLogger("evframe.workers")
_OF_SERVICE_MANAGER: Final = {
    f"{of}_{what}"
    for of, names in {"NOTIFY": ["SOCKET"], "WATCHDOG": ["USEC", "PID"], "LISTEN": ["PID", "FDS", "FDNAMES"]}.items()
    for what in names
}
"""Variables of the environment that are for the front alone."""
OF_FRONT: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals that a terminal and systemd send to all processes; the front says what to do."""
_CRASHES: Final = frozenset(
    {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGTRAP, signal.SIGSYS}
)
"""Signals by which a process ends because of what it does."""
_STEADY_S: Final = 10.0
"""A worker that has run for so long is started again at once."""
_END_S: Final = 1.0
"""How long a process may take to end after its connection did."""


class Connection(asyncio.Protocol):
    """The front's end of the socket of one process.

    Args:
        link: what the process is attached to when it is ready.
        start: its first message.
        on_ready: called when it is ready.
    """

    def __init__(self, link: Link, start: bytes, on_ready: Callable[[], None]) -> None:
        self._link = link
        self._start = start
        self._on_ready = on_ready
        self._reader = messages.Reader()
        self.is_ready = False
        """Whether the process takes messages about events."""
        self.has_answered = False
        """Whether it has answered since this was set to False."""
        self._context = Context()  # of the delivery: callbacks with outcomes may raise events
        self._context.run(delivering.set, True)
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.get_running_loop().create_future()
        """Done when the process has closed its end, and all that it has sent is read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the configuration."""
        self.transport = cast(asyncio.Transport, transport)  # that of uvloop is none by its class
        self.transport.write(messages.packed(messages.START, self._start))

    def data_received(self, data: bytes) -> None:
        """Take messages."""
        for kind, content in self._reader.feed(data):
            if kind == messages.ANSWER:
                self.has_answered = True
            elif self.is_ready:
                self._context.run(self._link.receive, kind, content)
            elif kind == messages.READY and self.transport is not None:
                self.is_ready = True
                self._link.attach(self.transport.write)
                self._on_ready()
            else:
                self._link.take_other(kind, content)

    def ask(self) -> None:
        """Have the process answer, if it has started."""
        if self.is_ready and self.transport is not None:
            self.transport.write(messages.packed(messages.QUESTION))

    def pause_writing(self) -> None:
        """Let frames grow: the process reads slowly."""
        if self.is_ready:
            self._link.pause()

    def resume_writing(self) -> None:
        """Send again."""
        if self.is_ready:
            self._link.resume()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 as in the base class
        """Keep the events for another process."""
        if self.is_ready:
            self.is_ready = False
            self._link.detach()
        if not self.closed.done():
            self.closed.set_result(None)


def _how(code: int) -> str:
    """Return how a process has ended, from its exit code."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:  # most real-time signals have no name
        return f"ended by signal {-code}"


class WorkerProcess:
    """Keeps one worker running.

    Args:
        index: of the worker, from 0.
        link: to whatever process it is.
        start: returns the first message of a process.
        changed: called when a worker is ready, or has ended, with a text that says so and whether it is ready.
        options: returns the options.
    """

    def __init__(
        self,
        index: int,
        link: Link,
        start: Callable[[], bytes],
        changed: Callable[[int, str, bool], None],
        options: Callable[[], Options],
    ) -> None:
        self.index = index
        self.link = link
        self.restarts = 0
        """How often a process took the place of another one."""
        self.hangs = 0
        """How often that was because a process did not answer."""
        self.given_up = 0
        """How many events have failed because processes have crashed with them."""
        self.process: subprocess.Popen[bytes] | None = None
        """The present process."""
        self._start = start
        self._changed = changed
        self._options = options
        self._mark = Mark()
        self._connection: Connection | None = None
        self._began_at = 0.0

    @property
    def is_running(self) -> bool:
        """Whether a process runs."""
        return self.process is not None and self.process.poll() is None

    async def run(self) -> None:
        """Start the process, and another one each time it ends, until this is cancelled; the process lives on then."""
        failures = 0
        while True:
            try:
                await self._begin()
                text = await self._follow()
            except Exception as error:  # noqa: BLE001 no memory, no descriptors, no interpreter: this may pass
                text = f"not started: {error}"
            self.restarts += 1
            failures = 1 if time.monotonic() - self._began_at > _STEADY_S else failures + 1
            self._changed(self.index, text, False)
            wait_s = delay_s(failures)
            log.error("a worker has ended", extra={"worker": self.index, "how": text, "again_in_s": round(wait_s, 2)})
            await asyncio.sleep(wait_s)

    async def _follow(self) -> str:
        """Return how the process has ended, which is killed when it does not answer."""
        assert self._connection is not None
        assert self.process is not None
        is_hung = await hung(self._connection, self.process.pid, lambda: self._options().hang_timeout_s)
        is_crash = is_hung and is_looping(self.process.pid)
        if is_hung:
            self.hangs += 1
            self.process.kill()
        code = await self._end()
        await asyncio.shield(self._connection.closed)
        if is_crash or code > 0 or -code in _CRASHES:  # a kill from outside is none
            known = self.link.targets.get(self._mark.number)
            self.given_up += known is not None and known[0].blame(self._options().crash_limit)
        text = _how(code)
        return f"{text}, because it did not answer" if is_hung else text

    async def _begin(self) -> None:
        self._connection = self.process = None
        self._began_at = time.monotonic()
        start = self._start()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.setblocking(False)
        try:
            env = {name: value for name, value in os.environ.items() if name not in _OF_SERVICE_MANAGER}
            loop = asyncio.get_running_loop()
            kind = type(loop).__module__.partition(".")[0]  # asyncio or uvloop
            mark = os.memfd_create("evframe-workers")
            os.ftruncate(mark, SIZE)
            self._mark = Mark(mark)
            words = [sys.executable, "-m", "evframe_workers.main", *map(str, (theirs.fileno(), self.index, kind, mark))]
            # The process ignores these signals once it has begun; until then, the mask that it inherits holds them.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, OF_FRONT)
            try:
                passed = theirs.fileno(), mark
                self.process = subprocess.Popen(words, pass_fds=passed, env=env, stdin=subprocess.DEVNULL)  # noqa: S603, ASYNC220 it does not wait
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                os.close(mark)
            pid = self.process.pid

            def ready() -> None:
                self._changed(self.index, f"process {pid}", True)
                log.info("a worker is ready", extra={"worker": self.index, "pid": pid})

            _, self._connection = await loop.create_unix_connection(
                lambda: Connection(self.link, start, ready), sock=ours
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    async def _end(self, timeout_s: float = _END_S) -> int:
        """Wait for the end of the process, which is killed when it takes too long; return its exit code."""
        assert self.process is not None
        until = time.monotonic() + timeout_s
        try:
            while (code := self.process.poll()) is None:
                if time.monotonic() > until:
                    self.process.kill()
                await asyncio.sleep(0.01)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                with suppress(subprocess.TimeoutExpired):
                    self.process.wait(_END_S)
            if self._connection is not None and self._connection.transport is not None:
                self._connection.transport.abort()
        return code

    async def drain(self, timeout_s: float, settle_s: float) -> None:
        """Have the process end once what is under way is delivered, and kill it after *timeout_s* seconds.

        What has no outcome after *settle_s* seconds has none: the front has it.
        """
        if self.process is None:
            return
        transport = None if self._connection is None else self._connection.transport
        if transport is None or transport.is_closing():  # it has ended by itself
            timeout_s = 0.0
        else:
            transport.write(messages.packed(messages.DRAIN, b"%g" % settle_s))
        await self._end(timeout_s)
