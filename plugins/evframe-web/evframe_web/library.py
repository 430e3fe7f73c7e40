"""The HTTP server, whose library the plugin imports when it listens."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web
from evframe_http import Asking, Refused
from evframe_http.connections import PAYLOAD_ERRORS, HttpServer, asking_of

from evframe_web.assets import ASSETS
from evframe_web.encoding import encoded
from evframe_web.rows import MOST_ROWS, Query

if TYPE_CHECKING:
    from evframe_web.desk import Desk

IDLE_S: Final = 75.0
"""How long a connection may be idle."""
BEAT_S: Final = 15.0
"""After how many seconds without an event a page gets a line, so that a connection that is gone is noticed."""
SLOW_S: Final = 30.0
"""How long a page may take nothing before its connection is closed."""
BUFFER_BYTES: Final = 16 << 10
"""How many bytes may wait in the connection of a page, beside one piece."""
KERNEL_BYTES: Final = 64 << 10
_MOST_BODY: Final = 64 << 10
_MOST_PATTERN: Final = 200  # characters
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
        " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""What every answer has."""
Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Responder:
    """Answers each request.

    Args:
        desk: what the page shows and does.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._reading: dict[str, Answer] = {
            "/api/session": self._session,
            "/api/state": self._state,
            "/api/table": self._table,
            "/api/subscriber": self._subscriber,
            "/api/letters": self._letters,
            "/api/letter": self._letter,
            "/api/replays": self._replays,
            "/api/fleet": self._fleet,
            "/api/events": self._events,
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*."""
        try:
            return await self._answer(request)
        except Refused as refused:
            response = _json(encoded({"error": refused.problem}), refused.status)
            if refused.status == 401:
                for challenge in self._desk.access.guard.challenges:
                    response.headers.add("WWW-Authenticate", challenge)
            if request.method not in {"GET", "HEAD"}:
                response.force_close()  # what is left of the request is not read
            return response

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        answer = self._reading.get(path)
        if answer is not None and request.method == "GET":
            self._check(self._desk.access.check_reading, request)
            return await answer(request)
        if path == "/api/act" and request.method == "POST":
            self._check(self._desk.access.check_acting, request)
            return await self._act(request)
        if path in ASSETS and request.method in {"GET", "HEAD"}:
            return _asset(request)
        if answer is None and path not in ASSETS and path != "/api/act":
            raise Refused(404, "expected a page or a command of it")
        raise Refused(405, "expected another method")

    def _check(self, check: Callable[[Asking], None], request: web.BaseRequest) -> None:
        try:
            check(asking_of(request))
        except Refused as refused:
            self._desk.refuse(refused, request.remote)
            raise

    # What is read

    async def _session(self, request: web.BaseRequest) -> web.Response:
        return _json(encoded({**self._desk.session(), "acts": self._desk.access.knows(asking_of(request))}))

    async def _state(self, _: web.BaseRequest) -> web.Response:
        return _json(await self._desk.overview())

    async def _table(self, request: web.BaseRequest) -> web.Response:
        given = request.query
        query = Query(
            given.get("text", "")[:_MOST_PATTERN],
            given.get("sort", ""),
            given.get("order") == "descending",
            _number(request, "offset", 0, 0, 10_000_000),
            _number(request, "limit", 50, 1, MOST_ROWS),
        )
        try:
            return _json(await self._desk.table(given.get("name", ""), query))
        except LookupError:
            raise Refused(404, "name: expected subscribers, groups or events") from None
        except ValueError as error:
            raise Refused(400, str(error)) from None

    async def _subscriber(self, request: web.BaseRequest) -> web.Response:
        try:
            return _json(await self._desk.subscriber(request.query.get("key", "")))
        except LookupError:
            raise Refused(404, "the subscriber has ended") from None

    async def _letters(self, request: web.BaseRequest) -> web.Response:
        params: dict[str, Any] = {
            name: request.query[name] for name in ("socket", "event", "reason") if request.query.get(name)
        }
        params["limit"] = _number(request, "limit", 50, 1, MOST_ROWS)
        params["after"] = _number(request, "after", 0, 0, 2**63 - 1)
        return _json(await self._desk.calls.read("dead_letters:list", params, request.protocol))

    async def _letter(self, request: web.BaseRequest) -> web.Response:
        params = {"id": _number(request, "id", 0, 0, 2**63 - 1)}
        return _json(await self._desk.calls.read("dead_letters:show", params, request.protocol))

    async def _replays(self, request: web.BaseRequest) -> web.Response:
        return _json(await self._desk.calls.read("dead_letters:replays", {}, request.protocol))

    async def _fleet(self, request: web.BaseRequest) -> web.Response:
        return _json(await self._desk.fleet(request.protocol))

    # What is done

    async def _act(self, request: web.BaseRequest) -> web.Response:
        if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "expected application/json")
        asked = await _body(request)
        name, params = (asked.get("method"), asked.get("params")) if isinstance(asked, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(params, dict):
            raise Refused(400, "expected an object with method and params")
        if not all(map(_is_flat, params.values())):
            raise Refused(400, "params: expected texts, numbers and lists of them")
        try:
            return _json(await self._desk.act(name, params, request.protocol, request.remote))
        except LookupError:
            raise Refused(404, "method: expected an action of the page") from None

    # Live events

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        pattern = request.query.get("pattern") or "*"
        if len(pattern) > _MOST_PATTERN:
            raise Refused(400, f"pattern: expected at most {_MOST_PATTERN} characters")
        desk = self._desk
        if len(desk.viewers) >= desk.access.options.max_viewers:
            raise Refused(503, f"{len(desk.viewers)} pages look at events already")
        response = web.StreamResponse(
            headers={
                **HEADERS,
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # has nginx pass on each event at once
            }
        )
        viewer = desk.viewers.open(pattern)
        try:
            await response.prepare(request)
            _bound(request)
            await response.write(b"event: open\ndata: " + encoded({"pattern": pattern}) + b"\n\n")
            while not viewer.is_closed:
                piece = await _next(viewer.take)
                async with asyncio.timeout(SLOW_S):
                    await response.write(piece)
                    await request.writer.drain()
        except TimeoutError:
            desk.warnings.warn("a page was too slow to look at events", peer=request.remote, seconds=SLOW_S)
            if request.transport is not None:
                request.transport.abort()
        finally:
            desk.viewers.close(pattern, viewer)
        return response


async def _next(take: Callable[[], Awaitable[bytes]]) -> bytes:
    try:
        async with asyncio.timeout(BEAT_S):
            return await take()
    except TimeoutError:
        return b":\n\n"


def _bound(request: web.BaseRequest) -> None:
    """Bound what waits in the connection: `viewers.Viewer` drops and counts what finds no room."""
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=BUFFER_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)


def server_of(desk: Desk) -> HttpServer:
    """Return a server of the page."""
    return HttpServer(Responder(desk), desk.warnings.warn, lambda: IDLE_S, cancels=True)


def _json(body: bytes, status: int = 200) -> web.Response:
    headers = {**HEADERS, "Content-Type": "application/json", "Cache-Control": "no-store"}
    return web.Response(status=status, body=body, headers=headers)


def _asset(request: web.BaseRequest) -> web.Response:
    asset = ASSETS[request.path]
    headers = {**HEADERS, "Content-Type": asset.content_type, "Cache-Control": "no-cache", "ETag": asset.etag}
    if asset.etag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    return web.Response(body=asset.body, headers=headers)


def _number(request: web.BaseRequest, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 20 or not least <= int(text) <= most:
        raise Refused(400, f"{name}: expected {least} to {most}, got {text[:30]!r}")
    return int(text)


def _is_flat(value: Any) -> bool:
    """Return whether no list or object is in a list: what is nested deeply cannot be logged."""
    parts = value if isinstance(value, list) else (value,)
    return not any(isinstance(part, list | dict) for part in parts)


async def _body(request: web.BaseRequest) -> Any:
    body = bytearray()
    try:
        async with asyncio.timeout(SLOW_S):
            async for part in request.content.iter_any():
                body += part
                if len(body) > _MOST_BODY:
                    raise Refused(413, f"expected at most {_MOST_BODY} bytes")
        return orjson.loads(bytes(body))
    except TimeoutError:
        raise Refused(408, "expected the request sooner") from None
    except (*PAYLOAD_ERRORS, ValueError):
        raise Refused(400, "expected JSON") from None
