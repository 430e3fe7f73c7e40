"""The plugin: keeps the FIFO, and answers what is written into it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from typing import Final

from evframe import hookimpl
from evframe.context import PluginContext
from evframe.endpoints import Access
from evframe.management.commands import CommandTable
from evframe.management.dispatcher import PARSE_ERROR
from evframe.management.printing import pretty
from evframe.management.traffic import Traffic
from evframe_mi_fifo.fifo import Fifo
from evframe_mi_fifo.options import Options as FifoOptions
from evframe_mi_fifo.replies import open_reply, reply_path, write_reply
from evframe_mi_fifo.requests import Request, RequestStream

log = logging.getLogger("evframe.mi-fifo")
_LOOK_EVERY_S: Final = 1.0
_REST_WITHIN_S: Final = 1.0
_MOST_OPEN: Final = 1024
_MOST_OF_ONE: Final = 64


class FifoManagement:
    """The plugin object."""

    kind = "management"
    Options = FifoOptions

    def __init__(self, options: FifoOptions | None = None) -> None:
        self._options = options = FifoOptions() if options is None else options
        self._access = Access.of(options.fifo_mode, options.fifo_user, options.fifo_group)
        self._traffic = Traffic("mi_fifo", "requests", "replies", "refused", "lost")
        self._context: PluginContext | None = None
        self._fifo: Fifo | None = None
        self._stream = RequestStream(options.max_request_bytes)
        self._patience: asyncio.TimerHandle | None = None
        # One queue for each reply FIFO: its requests stay in order, and wait for no other client.
        self._queues: dict[bytes, deque[Request]] = {}
        self._open = 0

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute what tells about the interface itself."""
        commands.add(self._traffic.command)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Make the FIFO, so that a path in use is an error of the start; then read."""
        self._context = context
        path = self._options.fifo_name
        if path is None:
            return
        folder = self._options.reply_dir
        if not os.path.isdir(folder):
            raise NotADirectoryError(f"plugins.mi-fifo.reply_dir: expected a directory that exists, got {folder!r}")
        try:
            self._fifo = Fifo(path, self._access)
        except OSError as error:
            raise OSError(error.errno, f"plugins.mi-fifo.fifo_name: {path!r}: {error.strerror}") from None
        context.status.group("mi-fifo").add()
        context.spawn(self._serve(path))

    @hookimpl
    def stop(self) -> None:
        """Let the FIFO go, where reading has not begun."""
        if self._fifo is not None:
            self._fifo.close()

    async def _serve(self, path: str) -> None:
        self._begin()
        log.info("management requests are taken from a FIFO", extra={"path": path})
        try:
            while True:
                await asyncio.sleep(_LOOK_EVERY_S)
                if self._fifo is None or not self._fifo.is_there:
                    self._make_again(path)
        finally:
            self._end()
            if self._patience is not None:
                self._patience.cancel()

    def _begin(self) -> None:
        if self._fifo is not None and self._open < _MOST_OPEN:
            asyncio.get_running_loop().add_reader(self._fifo.fd, self._receive)

    def _end(self) -> None:
        if self._fifo is not None:
            asyncio.get_running_loop().remove_reader(self._fifo.fd)
            self._fifo.close()
            self._fifo = None

    def _make_again(self, path: str) -> None:
        assert self._context is not None
        health = self._context.status.group("mi-fifo")
        self._end()
        try:
            self._fifo = Fifo(path, self._access)
        except OSError as error:
            health.set_status(-1, f"no FIFO: {error.strerror}")
            self._traffic.warn("the FIFO has gone and cannot be made again", path=path, problem=error.strerror)
        else:
            health.set_status(1)
            log.warning("the FIFO had gone and is made again", extra={"path": path})
            self._begin()

    def _receive(self) -> None:
        if self._fifo is not None:
            requests = self._stream.feed(self._fifo.read())
            self._take(requests)

    def _take(self, requests: list[Request]) -> None:
        for request in requests:
            self._accept(request)
        if self._patience is not None and (requests or not self._stream.unfinished):
            self._patience.cancel()
            self._patience = None
        if self._patience is None and self._stream.unfinished:
            self._patience = asyncio.get_running_loop().call_later(_REST_WITHIN_S, self._give_up)

    def _give_up(self) -> None:
        self._patience = None
        self._take(self._stream.give_up())

    def _accept(self, request: Request) -> None:
        assert self._context is not None
        self._traffic.count("requests")
        if not request.reply:
            self._run(request)
            return
        queue = self._queues.get(request.reply)
        if queue is None:
            queue = self._queues[request.reply] = deque()
            self._context.spawn(self._work(request.reply, queue))
        if len(queue) >= _MOST_OF_ONE:
            self._refuse(request.reply, 1, "too many wait for this reply")
            return
        queue.append(request)
        self._open += 1
        if self._open == _MOST_OPEN and self._fifo is not None:
            # What more there is waits in the FIFO.
            asyncio.get_running_loop().remove_reader(self._fifo.fd)

    def _refuse(self, name: bytes, number: int, problem: str) -> None:
        self._traffic.count("refused", number)
        self._traffic.warn("a request has no FIFO for its reply", reply=repr(name), problem=problem)

    async def _work(self, name: bytes, queue: deque[Request]) -> None:
        try:
            while queue:
                taken = await self._answer(name, queue.popleft())
                self._close(1)
                if not taken and queue:
                    # Whoever does not take a reply does not take the next one either.
                    self._refuse(name, len(queue), "the reply before was not taken")
                    self._close(len(queue))
                    queue.clear()
        finally:
            del self._queues[name]

    def _close(self, number: int) -> None:
        was, self._open = self._open, self._open - number
        if self._open < _MOST_OPEN <= was:
            self._begin()

    async def _answer(self, name: bytes, request: Request) -> bool:
        """Run a request and write its reply; return whether somebody has taken it."""
        try:
            fd = await open_reply(reply_path(self._options.reply_dir, name))
        except (OSError, ValueError) as error:
            self._refuse(name, 1, str(error))
            return False
        try:
            response = self._run(request)
            if response is not None:
                await write_reply(fd, response, self._options.reply_timeout_ms / 1000)
                self._traffic.count("replies")
        except OSError as error:
            self._traffic.count("lost")
            self._traffic.warn("a reply is lost", reply=repr(name), problem=str(error) or "timeout")
            return False
        else:
            return True
        finally:
            os.close(fd)

    def _run(self, request: Request) -> bytes | None:
        assert self._context is not None
        response = PARSE_ERROR if request.text is None else self._context.management.handle(request.text)
        return pretty(response) if response is not None and self._options.pretty_printing else response
