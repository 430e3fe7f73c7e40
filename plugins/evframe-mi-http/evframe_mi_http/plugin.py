"""The plugin: an HTTP server whose every request gets a complete answer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from evframe_http import Access, Serving
from evframe_mi import ManagementServer, Traffic
from evframe_wire.endpoints import endpoint_text

from evframe import hookimpl
from evframe.plugin import Command, CommandTable, PluginContext
from evframe_mi_http.listener import Listener
from evframe_mi_http.options import Options as HttpOptions

if TYPE_CHECKING:
    from evframe_http.connections import HttpServer

log = logging.getLogger("evframe.mi-http")
_NEVER_S: Final = 1e9


class HttpManagement(ManagementServer[HttpOptions, Listener]):
    """The plugin object."""

    Options = HttpOptions

    def __init__(self, options: HttpOptions | None = None) -> None:
        options = HttpOptions() if options is None else options
        super().__init__(options, Traffic("mi_http", "requests", "replies", "refused"))
        self._rules = Access(options, log, options.origins)
        self._serving = Serving("evframe_mi_http.library", self._made_with, lambda: self._rules.tls)

    @property
    def address(self) -> str | tuple[str, int] | None:
        """Where it listens, or did last: the UNIX path, or the host and the port."""
        return None if self._listener is None else self._listener.bound.address

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands about the interface itself."""
        commands.add(
            Command(
                "httpd:list_root_path",
                ((),),
                lambda _: [{"http_root": self._rules.options.path.strip("/"), "module": "mi_http"}],
                "lists the paths that HTTP requests are answered at",
                ("httpd_list_root_path",),
            )
        )
        super().management_commands(commands)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        super().start(context)
        context.spawn(self._serve())

    def _listen(self, options: HttpOptions, before: Listener | None) -> Listener:
        listener = Listener(options, self._connect, before)
        listener.listen()
        log.info("the management interface listens", extra={"bind": endpoint_text(listener.bound.address)})
        return listener

    async def _serve(self) -> None:
        try:
            await self._serving.begin()  # before the first connection, which would wait for the import
            await asyncio.Event().wait()
        finally:
            self.stop()
            await self._serving.end()

    def _made_with(self, library: Any) -> HttpServer:
        server: HttpServer = library.HttpServer(
            library.Answering(self._dispatcher, lambda: self._rules, self._traffic, self._context_of),
            self._traffic.warn,
            # The connection's own limit also ends one that is kept open without a request.
            lambda: self._rules.options.conn_timeout_s or _NEVER_S,
            partial(self._context.connection_closed, protocol="http"),
        )
        return server

    def _context_of(self, headers: Mapping[str, str]) -> Context | None:
        """Return the context that the headers of a request name, for the events that it raises."""
        tracing = self._context.raising.tracing
        if tracing is None:
            return None
        with tracing.within(headers):
            return copy_context()

    def _connect(self, accepted: socket.socket) -> None:
        self._context.spawn(self._serving.take_over(accepted))

    @hookimpl
    def reconfigure(self, options: HttpOptions) -> Callable[[], None]:
        """Take other options; another address is bound before the present one is closed.

        Raises:
            OSError: if the address cannot be used.
            ValueError: if a file with a secret cannot.
        """
        rules, before = Access(options, log, options.origins), self._rules
        move_back = super().reconfigure(options)
        self._rules = rules

        def take_back() -> None:
            self._rules = before
            move_back()

        return take_back
