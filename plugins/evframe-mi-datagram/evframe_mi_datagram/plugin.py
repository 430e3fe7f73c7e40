"""The plugin: each datagram is a request, and its reply goes back to where it came from."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from evframe_mi import ManagementServer, Traffic
from evframe_mi.responses import PARSE_ERRORS, unsendable
from evframe_wire.endpoints import endpoint_text

from evframe import hookimpl
from evframe.plugin import PluginContext
from evframe_mi_datagram.listener import Listener
from evframe_mi_datagram.options import Options as DatagramOptions

log = logging.getLogger("evframe.mi-datagram")
_NOT_JSON: Final = b"400 Parse_error"


class DatagramManagement(ManagementServer[DatagramOptions, Listener]):
    """The plugin object."""

    Options = DatagramOptions

    def __init__(self, options: DatagramOptions | None = None) -> None:
        traffic = Traffic("mi_datagram", "requests", "replies", "lost", "dropped")
        super().__init__(DatagramOptions() if options is None else options, traffic)

    @property
    def address(self) -> str | tuple[str, int] | None:
        """Where it listens: the UNIX path, or the host and the port; None without ``socket_name``."""
        return None if self._listener is None else self._listener.bound.address

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; close it as soon as the interface is left."""
        super().start(context)
        context.spawn(self._serve())

    async def _serve(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()

    def _listen(self, options: DatagramOptions, before: Listener | None) -> Listener | None:
        name = options.socket_name
        if name is None:
            return None
        listener = Listener(
            name, options, self._answer, self._printed, self._context.spawn, traffic=self._traffic, before=before
        )
        listener.listen()
        log.info("management requests are taken from datagrams", extra={"bind": endpoint_text(listener.bound.address)})
        return listener

    def _answer(self, request: bytes, client: object) -> asyncio.Future[bytes | None]:
        self._traffic.count("requests")
        options, most_bytes = self._options, self._options.socket_buf_size
        return self._dispatcher.submit(request, client, pretty=options.pretty_printing, most_bytes=most_bytes)

    def _printed(self, response: bytes) -> bytes:
        """Return *response* as it is sent."""
        if response in PARSE_ERRORS:
            return _NOT_JSON
        most = self._options.socket_buf_size
        return response if len(response) <= most else unsendable(response, most)
