"""The plugin: keeps the FIFO, and answers what is written into it."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable
from typing import Final

from evframe_mi import Dispatcher, Traffic, dispatcher_of

from evframe import hookimpl
from evframe.plugin import MAIN, CommandTable, PluginContext, StatisticGroup
from evframe_mi_fifo.inlet import Inlet
from evframe_mi_fifo.options import Options as FifoOptions
from evframe_mi_fifo.replies import open_reply, reply_path, write_reply
from evframe_mi_fifo.requests import Request

_MOST_OPEN: Final = 1024
_MOST_OF_ONE: Final = 64
_Open = tuple[Request, str]  # with the directory of its reply


class FifoManagement:
    """The plugin object."""

    kind = "management"
    Options = FifoOptions

    def __init__(self, options: FifoOptions | None = None) -> None:
        self._options = FifoOptions() if options is None else options
        self._traffic = Traffic("mi_fifo", "requests", "replies", "refused", "lost")
        self._context: PluginContext | None = None
        self._dispatcher: Dispatcher | None = None
        self._inlet: Inlet | None = None
        # One queue for each reply FIFO: its requests stay in order, and wait for no other client.
        self._queues: dict[bytes, deque[_Open]] = {}
        self._open = 0

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Count the requests and their outcomes."""
        return [self._traffic.statistics]

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands about the interface itself."""
        commands.add(self._traffic.command)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Make the FIFO, so that a path in use is an error of the start; then read."""
        self._context = context
        self._dispatcher = dispatcher_of(context)
        self._inlet = self._make(context, self._options)

    def _make(self, context: PluginContext, options: FifoOptions) -> Inlet | None:
        path = options.fifo_name
        if path is None:
            return None
        _check_folder(options)
        inlet = Inlet(path, options, self._accept, context, self._traffic)
        inlet.open()
        if self._open >= _MOST_OPEN:
            inlet.pause()
        return inlet

    @hookimpl
    def reconfigure(self, options: FifoOptions) -> Callable[[], None]:
        """Take other options; another FIFO is made before the present one is removed.

        Raises:
            OSError: if it cannot be made.
        """
        before = self._options
        move_back = self._move(options)
        self._options = options

        def take_back() -> None:
            self._options = before
            move_back()

        return take_back

    def _move(self, options: FifoOptions) -> Callable[[], None]:
        """Read where *options* say; return what undoes it before the next turn of the loop."""
        context, old, old_options = self._context, self._inlet, self._options
        if context is None:
            return lambda: None  # it has not been started
        if old is not None and options.fifo_name is not None and old.is_at(options.fifo_name):
            _check_folder(options)
            old.adopt(options)
            return lambda: old.adopt(old_options)
        new = self._inlet = self._make(context, options)
        leaving = None if old is None else asyncio.get_running_loop().call_soon(self._leave, context, old)

        def undo() -> None:
            self._inlet = old
            if leaving is not None:
                leaving.cancel()
            if new is not None:
                new.close()

        return undo

    def _leave(self, context: PluginContext, old: Inlet) -> None:
        old.leave()
        if self._inlet is None:
            context.status.group("mi-fifo").remove(MAIN)

    @hookimpl
    def stop(self) -> None:
        """Let the FIFO go, where reading has not begun."""
        if self._inlet is not None:
            self._inlet.close()

    def _accept(self, request: Request) -> None:
        assert self._context is not None
        self._traffic.count("requests")
        queue = self._queues.get(request.reply)
        if queue is None:
            queue = self._queues[request.reply] = deque()
            self._context.spawn(self._work(request.reply, queue))
        if len(queue) >= _MOST_OF_ONE:
            self._refuse(request.reply, 1, "too many wait for this reply")
            return
        queue.append((request, self._options.reply_dir))
        self._open += 1
        if self._open == _MOST_OPEN and self._inlet is not None:
            self._inlet.pause()

    def _refuse(self, name: bytes, number: int, problem: str) -> None:
        self._traffic.count("refused", number)
        self._traffic.warn("a request has no FIFO for its reply", reply=repr(name), problem=problem)

    async def _work(self, name: bytes, queue: deque[_Open]) -> None:
        try:
            while queue:
                taken = await self._answer(name, *queue.popleft())
                self._close(1)
                if not taken and queue:
                    # A client that does not take a reply does not take the next one either.
                    self._refuse(name, len(queue), "the reply before was not taken")
                    self._close(len(queue))
                    queue.clear()
        finally:
            del self._queues[name]

    def _close(self, number: int) -> None:
        was, self._open = self._open, self._open - number
        if self._open < _MOST_OPEN <= was and self._inlet is not None:
            self._inlet.resume()

    async def _answer(self, name: bytes, request: Request, folder: str) -> bool:
        """Run a request and write its reply; return whether somebody has taken it."""
        if not name:
            await self._run(request)
            return True
        try:
            fd = await open_reply(reply_path(folder, name))
        except (OSError, ValueError) as error:
            self._refuse(name, 1, str(error))
            return False
        try:
            response = await self._run(request)
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

    async def _run(self, request: Request) -> bytes | None:
        assert self._dispatcher is not None
        text = b"" if request.text is None else request.text  # which is no JSON either
        return await self._dispatcher.answer(text, request.reply, pretty=self._options.pretty_printing)


def _check_folder(options: FifoOptions) -> None:
    folder = options.reply_dir
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"plugins.mi-fifo.reply_dir: expected a directory that exists, got {folder!r}")
