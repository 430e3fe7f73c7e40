"""The plugin: each datagram is a request, and its reply goes back to where it came from."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Final

from evframe import hookimpl
from evframe.context import PluginContext
from evframe.endpoints import Access, OwnPath, bind_inet, bind_unix, endpoint_text
from evframe.management.commands import CommandTable
from evframe.management.dispatcher import PARSE_ERROR, unsendable
from evframe.management.printing import pretty
from evframe.management.traffic import Traffic
from evframe_mi_datagram.options import Options as DatagramOptions
from evframe_mi_datagram.options import parse_name
from evframe_mi_datagram.replies import Address, Replies

log = logging.getLogger("evframe.mi-datagram")
_AT_ONCE: Final = 16  # requests before the loop serves others
_NOT_JSON: Final = b"400 Parse_error"


class DatagramManagement:
    """The plugin object."""

    kind = "management"
    Options = DatagramOptions

    def __init__(self, options: DatagramOptions | None = None) -> None:
        self._options = DatagramOptions() if options is None else options
        self._traffic = Traffic("mi_datagram", "requests", "replies", "lost")
        self._context: PluginContext | None = None
        self._kernel: socket.socket | None = None
        self._own: OwnPath | None = None
        self.address: str | tuple[str, int] | None = None
        """Where it listens: the UNIX path, or the host and the port; None without ``socket_name``."""

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute what tells about the interface itself."""
        commands.add(self._traffic.command)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        self._context = context
        name = self._options.socket_name
        if name is not None:
            try:
                self._kernel = self._bind(parse_name(name))
            except OSError as error:
                raise OSError(error.errno, f"plugins.mi-datagram.socket_name: {name!r}: {error.strerror}") from None
            context.spawn(self._serve(self._kernel))

    def _bind(self, target: str | tuple[str, int]) -> socket.socket:
        options = self._options
        if isinstance(target, str):
            access = Access.of(options.unix_socket_mode, options.unix_socket_user, options.unix_socket_group)
            kernel, self._own = bind_unix(socket.SOCK_DGRAM, target, access)
            self.address = target
        else:
            kernel = bind_inet(socket.SOCK_DGRAM, *target)
            self.address = kernel.getsockname()[:2]
        kernel.setblocking(False)
        return kernel

    @hookimpl
    def stop(self) -> None:
        """Let the address go, where serving has not begun."""
        self._close()

    def _close(self) -> None:
        if self._own is not None:
            self._own.remove()
        if self._kernel is not None:
            self._kernel.close()

    async def _serve(self, kernel: socket.socket) -> None:
        assert self._context is not None
        assert self.address is not None
        loop = asyncio.get_running_loop()
        replies = Replies(kernel, self._context.spawn, self._traffic, self._options.socket_timeout_ms / 1000)
        loop.add_reader(kernel, self._receive, kernel, replies)
        log.info("management requests are taken from datagrams", extra={"bind": endpoint_text(self.address)})
        try:
            await asyncio.Event().wait()
        finally:
            loop.remove_reader(kernel)
            self._close()

    def _receive(self, kernel: socket.socket, replies: Replies) -> None:
        for _ in range(_AT_ONCE):
            try:
                request, client = kernel.recvfrom(self._options.socket_buf_size)
            except BlockingIOError:
                return
            except OSError as error:
                self._traffic.warn("a datagram cannot be received", problem=str(error))
                return
            if request:
                self._answer(request, client, replies)

    def _answer(self, request: bytes, client: Address, replies: Replies) -> None:
        assert self._context is not None
        self._traffic.count("requests")
        response = self._context.management.handle(request)
        if response is None or not client:  # a UNIX client without a name cannot be answered
            return
        replies.send(self._printed(response), client)

    def _printed(self, response: bytes) -> bytes:
        """Return *response* as it is sent."""
        if response == PARSE_ERROR:
            return _NOT_JSON
        printed = pretty(response) if self._options.pretty_printing else response
        most = self._options.socket_buf_size
        return printed if len(printed) <= most else unsendable(response, most)
