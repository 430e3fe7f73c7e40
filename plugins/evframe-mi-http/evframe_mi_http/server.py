"""The plugin: an HTTP server whose every request gets a complete answer."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from functools import partial
from typing import Final

from aiohttp import web

from evframe import hookimpl
from evframe.context import PluginContext
from evframe.endpoints import Access, OwnPath, bind_inet, bind_unix, endpoint_text, parse_endpoint
from evframe.management.commands import Command, CommandTable
from evframe.management.printing import pretty
from evframe.management.traffic import Traffic
from evframe_mi_http.access import Guard
from evframe_mi_http.connections import TellingServer
from evframe_mi_http.options import Options as HttpOptions

log = logging.getLogger("evframe.mi-http")
_JSON: Final = "application/json"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


class HttpManagement:
    """The plugin object."""

    kind = "management"
    Options = HttpOptions

    def __init__(self, options: HttpOptions | None = None) -> None:
        self._options = HttpOptions() if options is None else options
        self._limit_s = self._options.conn_timeout_s or None
        self._guard = Guard(self._options)
        self._traffic = Traffic("mi_http", "requests", "replies", "refused")
        self._context: PluginContext | None = None
        self._listener: socket.socket | None = None
        self._own: OwnPath | None = None
        self.address: str | tuple[str, int] | None = None
        """Where it listens: the UNIX path, or the host and the port."""

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute what tells about the interface itself."""
        root = {"http_root": self._options.path.strip("/"), "module": "mi_http"}
        commands.add(
            Command(
                "httpd:list_root_path",
                ((),),
                lambda _: [root],
                "lists the paths that HTTP requests are answered at",
                ("httpd_list_root_path",),
            )
        )
        commands.add(self._traffic.command)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        self._context = context
        options = self._options
        target = parse_endpoint(options.bind)
        try:
            if isinstance(target, str):
                access = Access.of(options.unix_socket_mode, options.unix_socket_user, options.unix_socket_group)
                self._listener, self._own = bind_unix(socket.SOCK_STREAM, target, access)
                self.address = target
            else:
                self._listener = bind_inet(socket.SOCK_STREAM, *target)
                self.address = self._listener.getsockname()[:2]
            self._listener.listen(128)
        except OSError as error:
            self._close()
            raise OSError(error.errno, f"plugins.mi-http.bind: {options.bind!r}: {error.strerror}") from None
        context.spawn(self._serve(self._listener, endpoint_text(self.address), options.tls()))

    @hookimpl
    def stop(self) -> None:
        """Let the address go, where serving has not begun."""
        self._close()

    def _close(self) -> None:
        if self._own is not None:
            self._own.remove()
        if self._listener is not None:
            self._listener.close()

    async def _serve(self, listener: socket.socket, bind: str, tls: ssl.SSLContext | None) -> None:
        # The connection's own limit also ends one that is kept open without a request.
        assert self._context is not None
        server = TellingServer(
            self._answer,
            partial(self._context.connection_closed, protocol="http"),
            access_log=None,
            keepalive_timeout=self._limit_s or 1e9,
            lingering_time=1.0,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, listener, ssl_context=tls).start()
            log.info("the management interface listens", extra={"bind": bind})
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            self._close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = self._options.path
        if not self._guard.allows(request.headers.get("Authorization")):
            return self._refuse(request)
        if request.method not in {"GET", "POST"}:
            return _page(406, "Unsupported HTTP request!")
        if request.path != path and not request.path.startswith(f"{path}/"):
            return _page(400, "Unable to parse URL!")
        if request.method == "GET":
            return _empty(405)
        kind = request.headers.get("Content-Type", "").lower()
        if not kind.startswith(_JSON) and kind != "text/xml":
            return _empty(400 if kind.startswith(_FORMS) else 415)
        return await self._take(request)

    def _refuse(self, request: web.BaseRequest) -> web.StreamResponse:
        self._traffic.count("refused")
        self._traffic.warn("a management request was refused", peer=request.remote)
        response = _page(401, "Unauthorized")
        for challenge in self._guard.challenges:
            response.headers.add("WWW-Authenticate", challenge)
        response.force_close()  # what is left of the request is not read
        return response

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self._limit_s):
                body = await self._read(request)
        except TimeoutError:
            return _empty(408)
        if body is None:
            return _empty(413)
        return self._run(body) if body else _empty(400)

    async def _read(self, request: web.BaseRequest) -> bytes | None:
        most = self._options.max_body_bytes
        if (request.content_length or 0) > most:
            return None
        body = bytearray()
        async for part in request.content.iter_any():
            body += part
            if len(body) > most:
                return None
        return bytes(body)

    def _run(self, body: bytes) -> web.StreamResponse:
        assert self._context is not None
        self._traffic.count("requests")
        response = self._context.management.handle(body)
        if response is None:
            return _empty(202)
        self._traffic.count("replies")
        if self._options.pretty_printing:
            response = pretty(response)
        return web.Response(body=response, headers={"Content-Type": _JSON})


def _empty(status: int) -> web.Response:
    response = web.Response(status=status, body=b"", headers={"Content-Type": _JSON})
    if status in {408, 413, 415}:
        response.force_close()  # what is left of the request is not read
    return response


def _page(status: int, text: str) -> web.Response:
    page = f"<html><body>{text}</body></html>".encode()
    return web.Response(status=status, body=page, headers={"Content-Type": "text/html"})
