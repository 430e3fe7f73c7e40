"""The plugin: an HTTP server whose every request gets a complete answer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from evframe_mi import Dispatcher, Traffic, dispatcher_of
from evframe_wire.endpoints import endpoint_text, parse_endpoint

from evframe import hookimpl
from evframe.plugin import Command, CommandTable, LateModule, PluginContext, StatisticGroup
from evframe_mi_http.listener import Listener, access
from evframe_mi_http.options import Options as HttpOptions
from evframe_mi_http.rules import rules_of

if TYPE_CHECKING:
    from evframe_mi_http.connections import TellingServer

log = logging.getLogger("evframe.mi-http")
_NEVER_S: Final = 1e9


class HttpManagement:
    """The plugin object."""

    kind = "management"
    Options = HttpOptions

    def __init__(self, options: HttpOptions | None = None) -> None:
        self._rules = rules_of(HttpOptions() if options is None else options)
        self._library = LateModule("evframe_mi_http.library")
        self._traffic = Traffic("mi_http", "requests", "replies", "refused")
        self._context: PluginContext | None = None
        self._dispatcher: Dispatcher | None = None
        self._server: TellingServer | None = None
        self._listener: Listener | None = None

    @property
    def address(self) -> str | tuple[str, int] | None:
        """Where it listens, or did last: the UNIX path, or the host and the port."""
        return None if self._listener is None else self._listener.bound.address

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Count the requests and their outcomes."""
        return [self._traffic.statistics]

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
        commands.add(self._traffic.command)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        self._context = context
        self._dispatcher = dispatcher_of(context)
        self._listener = Listener(self._rules.options, self._connect)
        self._listen(self._listener)
        context.spawn(self._serve(context))

    def _listen(self, listener: Listener) -> None:
        listener.listen()
        log.info("the management interface listens", extra={"bind": endpoint_text(listener.bound.address)})

    async def _serve(self, context: PluginContext) -> None:
        try:
            await self._made_server(context)  # before the first connection, which would wait for the import
            await asyncio.Event().wait()
        finally:
            self.stop()
            if self._server is not None:
                self._server.pre_shutdown()
                await self._server.shutdown(1.0)

    async def _made_server(self, context: PluginContext) -> TellingServer:
        assert self._dispatcher is not None
        library = await self._library.get()
        if self._server is None:
            self._server = library.TellingServer(
                library.Answering(self._dispatcher, lambda: self._rules, self._traffic),
                partial(context.connection_closed, protocol="http"),
                # The connection's own limit also ends one that is kept open without a request.
                lambda: self._rules.options.conn_timeout_s or _NEVER_S,
                self._traffic,
            )
        return self._server

    def _connect(self, accepted: socket.socket) -> None:
        assert self._context is not None
        self._context.spawn(self._take_over(self._context, accepted))

    async def _take_over(self, context: PluginContext, accepted: socket.socket) -> None:
        try:
            server = await self._made_server(context)
        except BaseException:
            accepted.close()
            raise
        with suppress(OSError):  # of a client that has gone, or does not speak TLS
            await asyncio.get_running_loop().connect_accepted_socket(server, accepted, ssl=self._rules.tls)

    @hookimpl
    def reconfigure(self, options: HttpOptions) -> Callable[[], None]:
        """Take other options; another address is bound before the present one is closed.

        Raises:
            OSError: if the address cannot be used.
            ValueError: if a file with a secret cannot.
        """
        rules, before = rules_of(options), self._rules
        move_back = self._move(options)
        self._rules = rules

        def take_back() -> None:
            self._rules = before
            move_back()

        return take_back

    def _move(self, options: HttpOptions) -> Callable[[], None]:
        """Listen as *options* say; return what undoes it before the next turn of the loop."""
        old, old_options = self._listener, self._rules.options
        if old is None or self._context is None:
            return lambda: None  # it has not been started
        if old.bound.is_at(parse_endpoint(options.bind)):
            old.bound.give(access(options))
            return lambda: old.bound.give(access(old_options))
        new = self._listener = Listener(options, self._connect, old)
        self._listen(new)
        leaving = asyncio.get_running_loop().call_soon(old.leave)

        def undo() -> None:
            leaving.cancel()
            self._listener = old
            new.close()

        return undo

    @hookimpl
    def stop(self) -> None:
        """Let the address go."""
        if self._listener is not None:
            self._listener.close()
