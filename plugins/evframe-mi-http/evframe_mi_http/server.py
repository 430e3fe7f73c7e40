"""The plugin: an HTTP server whose every request gets a complete answer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final

from aiohttp import web

from evframe import hookimpl
from evframe.context import PluginContext
from evframe.endpoints import endpoint_text, parse_endpoint
from evframe.management.commands import Command, CommandTable
from evframe.management.responses import NESTED_ERRORS
from evframe.management.traffic import Traffic
from evframe.statistics import StatisticGroup
from evframe_mi_http.access import Guard
from evframe_mi_http.connections import PAYLOAD_ERRORS, TellingServer
from evframe_mi_http.listener import Listener, access
from evframe_mi_http.options import Options as HttpOptions
from evframe_mi_http.origin import OriginGuard, cors_headers, preflight_headers

log = logging.getLogger("evframe.mi-http")
_NEVER_S: Final = 1e9
_JSON: Final = "application/json"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


class HttpManagement:
    """The plugin object."""

    kind = "management"
    Options = HttpOptions

    def __init__(self, options: HttpOptions | None = None) -> None:
        self._options = HttpOptions() if options is None else options
        self._guard = Guard(self._options)
        self._origins = _origin_guard(self._options)
        self._tls = self._options.tls()
        self._traffic = Traffic("mi_http", "requests", "replies", "refused")
        self._context: PluginContext | None = None
        self._server: TellingServer | None = None
        self._listener: Listener | None = None

    @property
    def address(self) -> str | tuple[str, int] | None:
        """Where it listens, or did last: the UNIX path, or the host and the port."""
        return None if self._listener is None else self._listener.bound.address

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Count the requests and what became of them."""
        return [self._traffic.statistics]

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute what tells about the interface itself."""
        commands.add(
            Command(
                "httpd:list_root_path",
                ((),),
                lambda _: [{"http_root": self._options.path.strip("/"), "module": "mi_http"}],
                "lists the paths that HTTP requests are answered at",
                ("httpd_list_root_path",),
            )
        )
        commands.add(self._traffic.command)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Bind, so that an address in use is an error of the start; then serve."""
        self._context = context
        self._listener = Listener(self._options, self._connect)
        # The connection's own limit also ends one that is kept open without a request.
        self._server = TellingServer(
            self._answer,
            partial(context.connection_closed, protocol="http"),
            lambda: self._options.conn_timeout_s or _NEVER_S,
            self._traffic,
        )
        self._listen(self._listener)
        context.spawn(self._serve(self._server))

    def _listen(self, listener: Listener) -> None:
        listener.listen()
        log.info("the management interface listens", extra={"bind": endpoint_text(listener.bound.address)})

    async def _serve(self, server: TellingServer) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.stop()
            server.pre_shutdown()
            await server.shutdown(1.0)

    def _connect(self, accepted: socket.socket) -> None:
        assert self._context is not None
        self._context.spawn(self._take_over(accepted))

    async def _take_over(self, accepted: socket.socket) -> None:
        assert self._server is not None
        with suppress(OSError):  # of a client that has gone, or does not speak TLS
            await asyncio.get_running_loop().connect_accepted_socket(self._server, accepted, ssl=self._tls)

    @hookimpl
    def reconfigure(self, options: HttpOptions) -> Callable[[], None]:
        """Take other options; another address is bound before the one of now is let go.

        Raises:
            OSError: if the address cannot be used.
            ValueError: if a file with a secret cannot.
        """
        guard, tls = Guard(options), options.tls()
        before = self._options, self._guard, self._origins, self._tls
        move_back = self._move(options)
        self._options, self._guard, self._origins, self._tls = options, guard, _origin_guard(options), tls

        def take_back() -> None:
            self._options, self._guard, self._origins, self._tls = before
            move_back()

        return take_back

    def _move(self, options: HttpOptions) -> Callable[[], None]:
        """Listen as *options* say; return what undoes it before the next turn of the loop."""
        old, old_options = self._listener, self._options
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

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = request.headers
        origin = _joined(request, "Origin")
        is_known = self._guard.allows(headers.get("Authorization"))
        problem = self._origins.problem(
            _hosts_of(request), origin, _joined(request, "Sec-Fetch-Site"), is_known=is_known and self._guard.asks
        )
        if problem is not None:
            return self._forbid(request, problem)
        if origin is None or not self._origins.permits(origin):
            return await self._answer_to(request) if is_known else self._refuse(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in headers:
            return web.Response(status=204, headers=preflight_headers(origin))
        response = await self._answer_to(request) if is_known else self._refuse(request)
        response.headers.update(cors_headers(origin))
        return response

    async def _answer_to(self, request: web.BaseRequest) -> web.StreamResponse:
        path = self._options.path
        if request.method not in {"GET", "POST"}:
            return _page(406, "Unsupported HTTP request!")
        if request.path != path and not request.path.startswith(f"{path}/"):
            return _page(400, "Unable to parse URL!")
        if request.method == "GET":
            return _empty(405)
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            self._traffic.count("refused")
            self._traffic.warn("a request has a body that is encoded", peer=request.remote)
            return _empty(415)
        kind = request.headers.get("Content-Type", "").lower()
        if not kind.startswith(_JSON) and kind != "text/xml":
            return _empty(400 if kind.startswith(_FORMS) else 415)
        return await self._take(request)

    def _forbid(self, request: web.BaseRequest, problem: str) -> web.StreamResponse:
        self._traffic.count("refused")
        self._traffic.warn("a request of a web page was refused", peer=request.remote, problem=problem)
        response = _page(403, "Forbidden")
        response.force_close()  # what is left of the request is not read
        return response

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
            async with asyncio.timeout(self._options.conn_timeout_s or None):
                body = await self._read(request)
        except TimeoutError:
            return _empty(408)
        except PAYLOAD_ERRORS as error:
            self._traffic.warn("a request has a body that is no HTTP", peer=request.remote, problem=str(error))
            response = _empty(400)
            response.force_close()
            return response
        if body is None:
            return _empty(413)
        return await self._run(request, body) if body else _empty(400)

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

    async def _run(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        assert self._context is not None
        self._traffic.count("requests")
        management, pretty = self._context.management, self._options.pretty_printing
        response = await management.answer(body, request.protocol, pretty=pretty)
        if response is None:
            return _empty(202)
        self._traffic.count("replies")
        if response in NESTED_ERRORS:
            self._traffic.count("refused")
            self._traffic.warn("a request is nested too deep", peer=request.remote)
            return web.Response(status=400, body=response, headers={"Content-Type": _JSON})
        return web.Response(body=response, headers={"Content-Type": _JSON})


def _origin_guard(options: HttpOptions) -> OriginGuard:
    target = parse_endpoint(options.bind)
    return OriginGuard(None if isinstance(target, str) else target[0], options.hosts, options.origins)


def _hosts_of(request: web.BaseRequest) -> list[str]:
    """Return the hosts that *request* names: in its headers, and in a target with a host of its own."""
    named = request.headers.getall("Host", [])
    return named if request.raw_path.startswith(("/", "*")) else [*named, request.host]


def _joined(request: web.BaseRequest, name: str) -> str | None:
    """Return what the headers *name* say together: several are none that is accepted."""
    values = request.headers.getall(name, None)
    return None if values is None else ", ".join(values)


def _empty(status: int) -> web.Response:
    response = web.Response(status=status, body=b"", headers={"Content-Type": _JSON})
    if status in {408, 413, 415}:
        response.force_close()  # what is left of the request is not read
    return response


def _page(status: int, text: str) -> web.Response:
    page = f"<html><body>{text}</body></html>".encode()
    return web.Response(status=status, body=page, headers={"Content-Type": "text/html"})
