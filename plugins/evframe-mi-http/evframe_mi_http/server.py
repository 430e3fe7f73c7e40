"""The plugin: an HTTP server whose every request gets a complete answer."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from evframe import hookimpl
from evframe.context import PluginContext
from evframe.management.printing import pretty
from evframe_mi_http.options import Options as HttpOptions
from evframe_mi_http.options import parse_bind

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
        self._context: PluginContext | None = None
        self._path: str | None = None
        self.address: str | tuple[str, int] | None = None
        """Where it listens: the UNIX path, or the host and the port."""

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        self._context = context
        context.spawn(self._serve(self._listen()))

    def _listen(self) -> socket.socket:
        target = parse_bind(self._options.bind)
        if isinstance(target, str):
            _remove_stale(target)
            listener = socket.socket(socket.AF_UNIX)
            address: Any = target
            self._path = target
        else:
            found = socket.getaddrinfo(*target, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
            family, address = found[0], tuple(found[4])
            listener = socket.socket(family)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(128)
        except OSError as error:
            listener.close()
            raise OSError(error.errno, f"plugins.mi-http.bind: {self._options.bind!r}: {error.strerror}") from None
        self.address = target if isinstance(target, str) else listener.getsockname()[:2]
        return listener

    async def _serve(self, listener: socket.socket) -> None:
        # The connection's own limit also ends one that is kept open without a request.
        server = web.Server(
            self._answer,
            access_log=None,
            keepalive_timeout=self._limit_s or 1e9,
            lingering_time=1.0,
        )
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            log.info("the management interface listens", extra={"bind": self._bound})
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
            if self._path is not None:
                with suppress(OSError):
                    os.unlink(self._path)

    @property
    def _bound(self) -> str:
        if not isinstance(self.address, tuple):
            return f"unix:{self.address}"
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = self._options.path
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
        response = self._context.management.handle(body)
        if response is None:
            return _empty(202)
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


def _remove_stale(path: str) -> None:
    """Remove the socket that an earlier run has left, unless somebody listens on it."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except OSError:
            pass
