"""Where requests come in: the FIFO, kept at its path, and what is read from it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Final

from evframe_mi.traffic import Traffic
from evframe_wire.endpoints import Access

from evframe.plugin import PluginContext
from evframe_mi_fifo.fifo import Fifo
from evframe_mi_fifo.options import Options
from evframe_mi_fifo.requests import Request, RequestStream

log = logging.getLogger("evframe.mi-fifo")
_LOOK_EVERY_S: Final = 1.0
_REST_WITHIN_S: Final = 1.0
_LAST_WITHIN_S: Final = 10.0


class Inlet:
    """One FIFO.

    Args:
        path: where it is.
        options: who may use it, and the largest request.
        accept: takes each request.
        context: of the plugin.
        traffic: warns.

    Raises:
        OSError: if the path is in use or cannot be made, or there is no directory for replies.
    """

    def __init__(
        self, path: str, options: Options, accept: Callable[[Request], None], context: PluginContext, traffic: Traffic
    ) -> None:
        check_reply_folder(options)
        self._path = path
        self._access = access(options)
        self._accept = accept
        self._context = context
        self._traffic = traffic
        self._stream = RequestStream(options.max_request_bytes)
        self._patience: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._is_left = False
        self._task: asyncio.Task[None] | None = None
        try:
            self._fifo: Fifo | None = Fifo(path, self._access)
        except OSError as error:
            raise OSError(error.errno, f"plugins.mi-fifo.fifo_name: {path!r}: {error.strerror}") from None

    def is_at(self, options: Options) -> bool:
        """See `evframe_mi.server.Listener`."""
        return options.fifo_name == self._path and self._fifo is not None and self._fifo.is_there

    def adopt(self, options: Options) -> None:
        """See `evframe_mi.server.Listener`."""
        check_reply_folder(options)
        if self._fifo is not None:
            access(options).give(self._fifo.fd)
        self._access = access(options)
        self._stream.most_bytes = options.max_request_bytes

    def open(self) -> None:
        """Begin to read."""
        health = self._context.status.group("mi-fifo")
        health.add()
        health.set_status(1)
        self._read()
        log.info("management requests are taken from a FIFO", extra={"path": self._path})
        self._task = self._context.spawn(self._keep())
        self._task.add_done_callback(lambda _: self._release())  # of one that is cancelled before it began, too

    def _read(self) -> None:
        if self._fifo is not None and not self._is_paused:
            asyncio.get_running_loop().add_reader(self._fifo.fd, self._receive)

    def pause(self) -> None:
        """Leave what more there is in the FIFO."""
        self._is_paused = True
        if self._fifo is not None:
            asyncio.get_running_loop().remove_reader(self._fifo.fd)

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        self._read()

    async def _keep(self) -> None:
        try:
            while not self._is_left:
                await asyncio.sleep(_LOOK_EVERY_S)
                if not self._is_left and (self._fifo is None or not self._fifo.is_there):
                    self._make_again()
            # A client that has it open already may be about to write.
            async with asyncio.timeout(_LAST_WITHIN_S):
                await asyncio.sleep(_REST_WITHIN_S)
                while self._stream.unfinished:  # noqa: ASYNC110 each request has its own end
                    await asyncio.sleep(_REST_WITHIN_S)
        except TimeoutError:
            pass

    def _make_again(self) -> None:
        health = self._context.status.group("mi-fifo")
        self._close_fifo()
        try:
            self._fifo = Fifo(self._path, self._access)
        except OSError as error:
            health.set_status(-1, f"no FIFO: {error.strerror}")
            self._traffic.warn("the FIFO has gone and cannot be made again", path=self._path, problem=error.strerror)
        else:
            health.set_status(1)
            log.warning("the FIFO had gone and is made again", extra={"path": self._path})
            self._read()

    def leave(self) -> None:
        """Remove the path; what comes from clients that have it open is the last."""
        self._is_left = True
        self.resume()
        if self._fifo is not None:
            self._fifo.remove_path()

    def close(self) -> None:
        """Close the FIFO and cancel what waits; more than once does no harm."""
        if self._task is not None:
            self._task.cancel()
        self._release()

    def _release(self) -> None:
        self._close_fifo()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _close_fifo(self) -> None:
        if self._fifo is not None:
            asyncio.get_running_loop().remove_reader(self._fifo.fd)
            self._fifo.close()
            self._fifo = None

    def _receive(self) -> None:
        if self._fifo is not None:
            self._take(self._stream.feed(self._fifo.read()))

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


def access(options: Options) -> Access:
    """Return who may use the FIFO."""
    return Access.of(options.fifo_mode, options.fifo_user, options.fifo_group)


def check_reply_folder(options: Options) -> None:
    """Check that the directory for replies exists; an OSError names the option."""
    folder = options.reply_dir
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"plugins.mi-fifo.reply_dir: expected a directory that exists, got {folder!r}")
