"""The HTTP server, whose library the plugin imports when it listens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from evframe_http import Warnings
from evframe_http.connections import HttpServer
from evframe_timing import Slices

from evframe_metrics.pages import Answer

IDLE_S: Final = 30.0
"""How long a connection may be idle."""
SEND_S: Final = 30.0
"""How long a client may take to receive an answer."""


class Responder:
    """Sends the answers to requests.

    Args:
        answer: see `evframe_metrics.pages.Answer`.
        warnings: log clients that are too slow.
    """

    def __init__(self, answer: Answer, warnings: Warnings) -> None:
        self._answer = answer
        self._warnings = warnings

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*, which is sent."""
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


def server_of(answer: Answer, warnings: Warnings) -> HttpServer:
    """Return a server whose requests *answer* answers."""
    return HttpServer(Responder(answer, warnings), warnings.warn, lambda: IDLE_S)


async def _send(response: web.StreamResponse, pieces: Sequence[bytes]) -> None:
    slices = Slices()
    for piece in pieces:
        await response.write(piece)
        await slices.pause()
