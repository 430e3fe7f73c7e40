"""The HTTP server, whose library the plugin imports when it listens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from evframe_http.connections import joined
from evframe_http.origin import preflight_headers
from evframe_live import Connection, Refused
from evframe_live.access import PARAMETER
from evframe_live.named import Wish
from evframe_live.responding import LiveResponder, peer_of

from evframe.plugin import Policy
from evframe_sse.frames import chunk
from evframe_sse.plugin import EventSourceTransport

_MOST_PATTERNS: Final = 100
_MOST_TEXT: Final = 1000  # characters of a parameter
_KNOWN: Final = frozenset({"event", "name", "where", "only", "last_event_id", PARAMETER})


class Responder(LiveResponder[EventSourceTransport]):
    """Answers each request with a stream, or why it gets none."""

    def headers(self, request: web.BaseRequest) -> Mapping[str, str]:
        """Return the headers that let a web page of another server read the answer, if it may."""
        return self.plugin.access.headers(joined(request, "Origin"))

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*, at the end of the stream."""
        plugin, origin = self.plugin, joined(request, "Origin")
        if request.method == "OPTIONS" and origin is not None and plugin.access.permits(origin):
            headers = preflight_headers(origin) | {"Access-Control-Allow-Headers": "authorization, last-event-id"}
            return web.Response(status=204, headers=headers)
        self.check(request)
        if request.method != "GET":
            raise Refused(405, "expected GET")
        if request.body_exists:  # what is not read has the end of the connection go unnoticed
            raise Refused(400, "expected no body")
        with self.noting(request):
            stream = plugin.subscribe(_wish(request), peer_of(request))
        connection = None
        response = web.StreamResponse(
            headers={
                **self.headers(request),
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
