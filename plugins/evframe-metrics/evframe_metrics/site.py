"""One address that is listened at."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

from evframe_wire.bound import BoundAddress
from evframe_wire.endpoints import Access, endpoint_text

from evframe.plugin import LateModule
from evframe_metrics.pages import Answer

log = logging.getLogger("evframe.metrics")
_LIBRARY: Final = "evframe_metrics.library"
_NOT_A_PATH: Final = Access(0o600)
_SHUTDOWN_S: Final = 1.0  # for requests under way


class Site:
    """A bound port, at which requests are answered until `close`.

    Its task is none of the plugin's, which end before what waits is delivered: that the process is not ready any more,
    and what it loses at its end, can be read until the end.

    Args:
        target: the host and the port.
        answer: see `evframe_metrics.pages.Answer`.
        before: the site that it takes the place of.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(self, target: tuple[str, int], answer: Answer, before: Site | None = None) -> None:
        self._answer = answer
        beside = None if before is None else before.bound
        try:
            self.bound: BoundAddress = BoundAddress(socket.SOCK_STREAM, target, _NOT_A_PATH, beside)
        except OSError as error:
            text = endpoint_text(target)
            raise OSError(error.errno, f"plugins.metrics.bind: {text!r}: {error.strerror}") from None
        self.address = self.bound.address
        """The host and the port."""
        self._listening: asyncio.Server | None = None
        self._task = asyncio.get_running_loop().create_task(self._serve())

    def is_at(self, target: tuple[str, int]) -> bool:
        """Return whether *target* is this address."""
        return self.bound.is_at(target)

    async def _serve(self) -> None:
        try:
            library = await LateModule(_LIBRARY).get()
            server = library.HttpServer(self._answer)
            self._listening = await asyncio.get_running_loop().create_server(server, sock=self.bound.socket)
            log.info("metrics are served", extra={"bind": endpoint_text(self.address)})
        except Exception:
            log.exception("metrics cannot be served")
            self._close()
            return
        try:
            await asyncio.Event().wait()
        finally:
            self._close()
            server.pre_shutdown()
            await server.shutdown(_SHUTDOWN_S)

    def close(self) -> asyncio.Task[None]:
        """Close the address; return what ends with the connections. More than once does no harm."""
        self._close()
        self._task.cancel()
        return self._task

    def _close(self) -> None:
        if self._listening is not None:  # before the socket: the loop finds what it waits for by the descriptor
            self._listening.close()
        self.bound.close()
