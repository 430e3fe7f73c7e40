"""One address that is listened at."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

from evframe_wire.bound import BoundAddress
from evframe_wire.endpoints import Access, endpoint_text

from evframe.plugin import LateModule
from evframe_metrics.pages import Answer

log = logging.getLogger("evframe.metrics")
_LIBRARY: Final = "evframe_metrics.library"
_NOT_A_PATH: Final = Access(0o600)


class Site:
    """A bound port, at which requests are answered.

    Args:
        target: the host and the port.
        answer: see `evframe_metrics.pages.Answer`.
        spawn: runs a task.
        before: the site that it takes the place of.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(
        self,
        target: tuple[str, int],
        answer: Answer,
        spawn: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]],
        before: Site | None = None,
    ) -> None:
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
        self._task = spawn(self._serve())

    def is_at(self, target: tuple[str, int]) -> bool:
        """Return whether *target* is this address."""
        return self.bound.is_at(target)

    async def _serve(self) -> None:
        library = await LateModule(_LIBRARY).get()
        server = library.HttpServer(self._answer)
        self._listening = await asyncio.get_running_loop().create_server(server, sock=self.bound.socket)
        log.info("metrics are served", extra={"bind": endpoint_text(self.address)})
        try:
            await asyncio.Event().wait()
        finally:
            self._close()
            server.pre_shutdown()
            await server.shutdown(1.0)

    def close(self) -> None:
        """Close the address and its connections; more than once does no harm."""
        self._close()
        self._task.cancel()

    def _close(self) -> None:
        if self._listening is not None:  # before the socket: the loop finds what it waits for by the descriptor
            self._listening.close()
        self.bound.close()
