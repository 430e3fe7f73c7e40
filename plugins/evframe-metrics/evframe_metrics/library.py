"""The HTTP server, whose library the plugin imports when it listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError

from evframe.plugin import LogLimiter
from evframe_metrics.pages import Answer
from evframe_metrics.slices import Slices

log = logging.getLogger("evframe.metrics")
IDLE_S: Final = 30.0
"""How long a connection may be idle."""
SEND_S: Final = 30.0
"""How long a client may take to receive an answer."""
_PROBLEMS: Final = (HttpProcessingError, ClientPayloadError, web.RequestPayloadError)
_MOST: Final = 200  # characters of a problem


class Warnings:
    """Logs warnings, each sentence at most once every ten seconds."""

    def __init__(self) -> None:
        self._limiter = LogLimiter()

    def warn(self, sentence: str, **keys: object) -> None:
        """Log *sentence* with *keys*, if it is due."""
        repeated = self._limiter.due(sentence)
        if repeated is not None:
            log.warning(sentence, extra={**keys, "repeated": repeated})


class _Handler(web.RequestHandler):
    """Serves one connection; what a client sends that is no HTTP is one line of the log."""

    __slots__ = ("_warnings",)

    def __init__(self, warnings: Warnings, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._warnings = warnings

    def log_exception(self, *args: Any, **options: Any) -> None:
        """Log what went wrong with a request: a line, with the traceback of errors of this process alone."""
        error = options.get("exc_info")
        if not isinstance(error, _PROBLEMS):
            super().log_exception(*args, **options)
            return
        self._warnings.warn("a request is no HTTP", problem=str(error).splitlines()[0][:_MOST])


class HttpServer(web.Server):
    """Makes what serves each connection.

    Args:
        answer: see `evframe_metrics.pages.Answer`.
    """

    def __init__(self, answer: Answer) -> None:
        super().__init__(self._respond)
        self._answer = answer
        self._warnings = Warnings()

    def __call__(self) -> web.RequestHandler:
        """Return what serves one connection."""
        return _Handler(
            self._warnings, self, loop=self._loop, access_log=None, keepalive_timeout=IDLE_S, lingering_time=1.0
        )

    async def _respond(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, headers={"Allow": "GET, HEAD"})
        page = await self._answer(request.path, request.headers)
        response = web.StreamResponse(status=page.status, headers={**page.headers, "Content-Type": page.content_type})
        response.content_length = sum(map(len, page.pieces))
        await response.prepare(request)
        try:
            async with asyncio.timeout(SEND_S):
                if request.method == "GET":
                    await _send(response, page.pieces)
                await response.write_eof()
        except TimeoutError:
            self._warnings.warn("a client was too slow to receive an answer", seconds=SEND_S)
            if request.transport is not None:
                request.transport.abort()
        return response


async def _send(response: web.StreamResponse, pieces: Sequence[bytes]) -> None:
    slices = Slices()
    for piece in pieces:
        await response.write(piece)
        await slices.pause()
