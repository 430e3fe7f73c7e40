"""The HTTP server, whose library the plugin imports when it listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web
from evframe_http.connections import HttpServer, hosts_of, joined
from evframe_http.origin import preflight_headers
from evframe_live import Connection, Refused
from evframe_live.access import COOKIE, PARAMETER, Asking
from evframe_live.transport import IDLE_S

from evframe.plugin import Policy
from evframe_sse.frames import chunk
from evframe_sse.plugin import Wish

if TYPE_CHECKING:
    from evframe_sse.plugin import EventSourceTransport

_MOST_PATTERNS: Final = 100
_MOST_TEXT: Final = 1000  # characters of a parameter
_KNOWN: Final = frozenset({"event", "name", "where", "only", "last_event_id", PARAMETER})


class Responder:
    """Answers each request.

    Args:
        plugin: has the streams.
    """

    def __init__(self, plugin: EventSourceTransport) -> None:
        self._plugin = plugin

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*."""
        origin = joined(request, "Origin")
        access = self._plugin.access
        if request.method == "OPTIONS" and origin is not None and access.permits(origin):
            headers = preflight_headers(origin) | {"Access-Control-Allow-Headers": "authorization, last-event-id"}
            return web.Response(status=204, headers=headers)
        try:
            return await self._answer(request, origin)
        except Refused as refused:
            response = web.Response(status=refused.status, text=refused.problem, headers=access.headers(origin))
            if refused.status == 401:
                for challenge in access.guard.challenges:
                    response.headers.add("WWW-Authenticate", challenge)
            response.force_close()  # what is left of the request is not read
            return response

    async def _answer(self, request: web.BaseRequest, origin: str | None) -> web.StreamResponse:
        plugin = self._plugin
        if (refusal := plugin.refuse(_asking(request), request.remote)) is not None:
            raise Refused(refusal.status, refusal.problem)
        if request.path != plugin.options.path:
            raise Refused(404, "expected the path of streams")
        if request.method != "GET":
            raise Refused(405, "expected GET")
        if request.body_exists:  # what is not read has the end of the connection go unnoticed
            raise Refused(400, "expected no body")
        peer = None if request.transport is None else request.transport.get_extra_info("peername")
        try:
            stream = plugin.subscribe(_wish(request), peer or ("", 0))
        except Refused as refused:
            plugin.note(refused, request.remote)
            raise
        connection = None
        response = web.StreamResponse(
            headers={
                **plugin.access.headers(origin),
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",  # has nginx pass on each event at once
            }
        )
        response.force_close()
        try:
            await response.prepare(request)
            await response.write(b"retry: %d\n\n" % plugin.options.retry_ms)
            transport = request.transport
            if transport is not None:
                frame = chunk if response.headers.get("Transfer-Encoding") == "chunked" else bytes
                connection = Connection(transport, request.writer.drain, plugin.options.timeout_s, frame)
                plugin.open(stream, connection, _seen(request))
                await connection.closing.wait()
        finally:
            plugin.leave(stream, connection)
        return response


def _asking(request: web.BaseRequest) -> Asking:
    return Asking(
        hosts_of(request),
        joined(request, "Origin"),
        joined(request, "Sec-Fetch-Site"),
        request.headers.get("Authorization"),
        (request.cookies.get(COOKIE), request.query.get(PARAMETER)),
    )


def _wish(request: web.BaseRequest) -> Wish:
    query = request.query
    unknown = sorted(set(query) - _KNOWN)
    if unknown:
        raise Refused(400, f"expected the parameters {', '.join(sorted(_KNOWN))}, got {unknown[0][:100]!r}")
    patterns = query.getall("event", [])
    if not 0 < len(patterns) <= _MOST_PATTERNS:
        raise Refused(400, f"event: expected 1 to {_MOST_PATTERNS} patterns, got {len(patterns)}")
    if any(len(text) > _MOST_TEXT for text in query.values()):
        raise Refused(400, f"expected at most {_MOST_TEXT} characters for each parameter")
    wanted = {"where": query.get("where"), "only": query.getall("only", None)}
    try:
        policy = Policy.read({key: value for key, value in wanted.items() if value is not None})
    except ValueError as error:
        raise Refused(400, str(error)) from None
    return Wish(patterns, query.get("name"), policy)


def _seen(request: web.BaseRequest) -> bytes | None:
    """Return the id of the last event: a browser sends a header, a page that was loaded again has a parameter."""
    text = request.headers.get("Last-Event-ID") or request.query.get("last_event_id") or None
    return None if text is None else text.encode("utf-8", "surrogateescape")


def server_of(plugin: EventSourceTransport) -> HttpServer:
    """Return a server of the streams of *plugin*."""
    return HttpServer(Responder(plugin), plugin.warnings.warn, lambda: IDLE_S, cancels=True)
