"""One address that is served, until another one takes its place."""

from __future__ import annotations

import asyncio
import logging
import socket

from evframe_wire.bound import Target
from evframe_wire.endpoints import endpoint_text

from evframe_http.listener import Listener
from evframe_http.serving import Serving


class Site:
    """A bound port, at which requests are answered until `close`.

    Its tasks are none of the plugin's, which end before what waits is delivered: what a server says about the process
    can be read until the end.

    Args:
        target: the host and the port.
        serving: answers the requests; it is ended with the site.
        log: of the plugin.
        before: the site that it takes the place of.
        option: the path of the option that has the address, for errors.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(
        self,
        target: Target,
        serving: Serving,
        log: logging.Logger,
        before: Site | None = None,
        *,
        option: str,
    ) -> None:
        self._serving = serving
        self._log = log
        beside = None if before is None else before.listener
        self.listener: Listener = Listener(target, self._connect, beside, option=option)
        """What has the address; see `evframe_http.listener.Listener`."""
        self._connecting: set[asyncio.Task[None]] = set()
        self._task = asyncio.get_running_loop().create_task(self._serve())

    @property
    def address(self) -> Target:
        """The host and the port."""
        return self.listener.bound.address

    def is_at(self, target: Target) -> bool:
        """Return whether *target* is this address."""
        return self.listener.bound.is_at(target)

    async def _serve(self) -> None:
        try:
            await self._serving.begin()  # before the first connection is accepted; it waits for the import
            self.listener.listen()
            self._log.info("an address is served", extra={"bind": endpoint_text(self.address)})
        except ImportError:
            self._log.exception("an address cannot be served")
            self.listener.close()
            return
        try:
            await asyncio.Event().wait()
        finally:
            self.listener.leave()
            for task in self._connecting:
                task.cancel()
            await self._serving.end()

    def _connect(self, accepted: socket.socket) -> None:
        task = asyncio.get_running_loop().create_task(self._serving.take_over(accepted))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    def close(self) -> asyncio.Task[None]:
        """Close the address; return what ends with the connections. More than once does no harm."""
        self.listener.close()
        self._task.cancel()
        return self._task
