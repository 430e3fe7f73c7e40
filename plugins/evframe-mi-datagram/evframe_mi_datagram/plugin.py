"""The plugin: each datagram is a request, and its reply goes back to where it came from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from evframe_mi import Dispatcher, Traffic, dispatcher_of
from evframe_mi.responses import PARSE_ERRORS, unsendable
from evframe_wire.endpoints import endpoint_text

from evframe import hookimpl
from evframe.plugin import CommandTable, PluginContext, StatisticGroup
from evframe_mi_datagram.listener import Listener
from evframe_mi_datagram.options import Options as DatagramOptions
from evframe_mi_datagram.options import parse_name

log = logging.getLogger("evframe.mi-datagram")
_NOT_JSON: Final = b"400 Parse_error"


class DatagramManagement:
    """The plugin object."""

    kind = "management"
    Options = DatagramOptions

    def __init__(self, options: DatagramOptions | None = None) -> None:
        self._options = DatagramOptions() if options is None else options
        self._traffic = Traffic("mi_datagram", "requests", "replies", "lost", "dropped")
        self._context: PluginContext | None = None
        self._dispatcher: Dispatcher | None = None
        self._listener: Listener | None = None

    @property
    def address(self) -> str | tuple[str, int] | None:
        """Where it listens: the UNIX path, or the host and the port; None without ``socket_name``."""
        return None if self._listener is None else self._listener.bound.address

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
        """Bind, so that an address in use is an error of the start; then serve."""
        self._context = context
        self._dispatcher = dispatcher_of(context)
        self._listener = self._listen(context, self._options, None)
        context.spawn(self._serve())

    def _listen(self, context: PluginContext, options: DatagramOptions, before: Listener | None) -> Listener | None:
        name = options.socket_name
        if name is None:
            return None
        listener = Listener(
            name, options, self._answer, self._printed, context.spawn, traffic=self._traffic, before=before
        )
        listener.listen()
        log.info("management requests are taken from datagrams", extra={"bind": endpoint_text(listener.bound.address)})
        return listener

    async def _serve(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()

    @hookimpl
    def reconfigure(self, options: DatagramOptions) -> Callable[[], None]:
        """Take other options; another address is bound before the present one is closed.

        Raises:
            OSError: if the address cannot be used.
        """
        before = self._options
        move_back = self._move(options)
        self._options = options

        def take_back() -> None:
            self._options = before
            move_back()

        return take_back

    def _move(self, options: DatagramOptions) -> Callable[[], None]:
        """Listen as *options* say; return what undoes it before the next turn of the loop."""
        context, old, old_options = self._context, self._listener, self._options
        if context is None:
            return lambda: None  # it has not been started
        if old is not None and options.socket_name is not None and old.bound.is_at(parse_name(options.socket_name)):
            old.adopt(options)
            return lambda: old.adopt(old_options)
        new = self._listener = self._listen(context, options, old)
        leaving = None if old is None else asyncio.get_running_loop().call_soon(old.leave)

        def undo() -> None:
            self._listener = old
            if leaving is not None:
                leaving.cancel()
            if new is not None:
                new.close()

        return undo

    @hookimpl
    def stop(self) -> None:
        """Let the address go."""
        if self._listener is not None:
            self._listener.close()

    def _answer(self, request: bytes, client: object) -> asyncio.Future[bytes | None]:
        assert self._dispatcher is not None
        self._traffic.count("requests")
        options, most_bytes = self._options, self._options.socket_buf_size
        return self._dispatcher.submit(request, client, pretty=options.pretty_printing, most_bytes=most_bytes)

    def _printed(self, response: bytes) -> bytes:
        """Return *response* as it is sent."""
        if response in PARSE_ERRORS:
            return _NOT_JSON
        most = self._options.socket_buf_size
        return response if len(response) <= most else unsendable(response, most)
