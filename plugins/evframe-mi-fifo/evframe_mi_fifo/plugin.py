"""The plugin: keeps the FIFO, and answers what is written into it."""

from __future__ import annotations

import os
from collections import deque
from typing import Final

from evframe_mi import ManagementServer, Traffic

from evframe.plugin import MAIN
from evframe_mi_fifo.inlet import Inlet
from evframe_mi_fifo.options import Options as FifoOptions
from evframe_mi_fifo.replies import open_reply, reply_path, write_reply
from evframe_mi_fifo.requests import Request

_MOST_OPEN: Final = 1024
_MOST_OF_ONE: Final = 64
_Open = tuple[Request, str]  # with the directory of its reply


class FifoManagement(ManagementServer[FifoOptions, Inlet]):
    """The plugin object."""

    Options = FifoOptions

    def __init__(self, options: FifoOptions | None = None) -> None:
        traffic = Traffic("mi_fifo", "requests", "replies", "refused", "lost")
        super().__init__(FifoOptions() if options is None else options, traffic)
        # One queue for each reply FIFO: its requests stay in order, and wait for no other client.
        self._queues: dict[bytes, deque[_Open]] = {}
        self._open = 0

    def _listen(self, options: FifoOptions, before: Inlet | None) -> Inlet | None:  # noqa: ARG002 its path is another
        if options.fifo_name is None:
            return None
        inlet = Inlet(options.fifo_name, options, self._accept, self._context, self._traffic)
        inlet.open()
        if self._open >= _MOST_OPEN:
            inlet.pause()
        return inlet

    def _leave(self, old: Inlet) -> None:
        super()._leave(old)
        if self._listener is None:
            self._context.status.group("mi-fifo").remove(MAIN)

    def _accept(self, request: Request) -> None:
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
        if self._open == _MOST_OPEN and self._listener is not None:
            self._listener.pause()

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
        if self._open < _MOST_OPEN <= was and self._listener is not None:
            self._listener.resume()

    async def _answer(self, name: bytes, request: Request, folder: str) -> bool:
        """Run a request and write its reply; return whether its client has taken it."""
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
        text = b"" if request.text is None else request.text  # which is no JSON either
        return await self._dispatcher.answer(text, request.reply, pretty=self._options.pretty_printing)
