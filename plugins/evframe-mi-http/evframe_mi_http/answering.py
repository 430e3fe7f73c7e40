"""Answers to HTTP requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from typing import Final

from aiohttp import web
from evframe_http import Access
from evframe_http.connections import PAYLOAD_ERRORS, asking_of, problem_of
from evframe_http.origin import cors_headers, preflight_headers
from evframe_mi.dispatcher import Dispatcher
from evframe_mi.responses import NESTED_ERRORS
from evframe_mi.traffic import Traffic

from evframe_mi_http.options import Options

_JSON: Final = "application/json"
_FORMS: Final = ("application/x-www-form-urlencoded", "multipart/form-data")


class Answering:
    """Answers each request.

    Args:
        management: runs the commands.
        rules: returns what holds for requests from now on.
        traffic: counts and warns.
        context_of: returns the context that a request is answered in, by its headers; None for none.
    """

    def __init__(
        self,
        management: Dispatcher,
        rules: Callable[[], Access[Options]],
        traffic: Traffic,
        context_of: Callable[[Mapping[str, str]], Context | None],
    ) -> None:
        self._context_of = context_of
        self._management = management
        self._rules = rules
        self._traffic = traffic

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*."""
        rules = self._rules()
        asking = asking_of(request)
        origin = asking.origin
        is_known = rules.guard.allows(asking.authorization)
        problem = rules.problem(asking, is_known=is_known and rules.guard.asks)
        if problem is not None:
            return self._forbid(request, problem)
        if origin is None or not rules.origins.permits(origin):
            return await self._answer_to(request) if is_known else self._refuse(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return web.Response(status=204, headers=preflight_headers(origin))
        response = await self._answer_to(request) if is_known else self._refuse(request)
        response.headers.update(cors_headers(origin))
        return response

    async def _answer_to(self, request: web.BaseRequest) -> web.StreamResponse:
        path = self._rules().options.path
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
        for challenge in self._rules().guard.challenges:
            response.headers.add("WWW-Authenticate", challenge)
        response.force_close()  # what is left of the request is not read
        return response

    async def _take(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        try:
            async with asyncio.timeout(self._rules().options.conn_timeout_s or None):
                body = await self._read(request)
        except TimeoutError:
            return _empty(408)
        except PAYLOAD_ERRORS as error:
            self._traffic.warn("a request has a body that is no HTTP", peer=request.remote, problem=problem_of(error))
            response = _empty(400)
            response.force_close()
            return response
        if body is None:
            return _empty(413)
        return await self._run(request, body) if body else _empty(400)

    async def _read(self, request: web.BaseRequest) -> bytes | None:
        most = self._rules().options.max_body_bytes
        if (request.content_length or 0) > most:
            return None
        body = bytearray()
        async for part in request.content.iter_any():
            body += part
            if len(body) > most:
                return None
        return bytes(body)

    async def _run(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        self._traffic.count("requests")
        management, pretty = self._management, self._rules().options.pretty_printing
        context = self._context_of(request.headers)
        response = await management.answer(body, request.protocol, pretty=pretty, context=context)
        if response is None:
            return _empty(202)
        self._traffic.count("replies")
        if response in NESTED_ERRORS:
            self._traffic.count("refused")
            self._traffic.warn("a request is nested too deep", peer=request.remote)
            return web.Response(status=400, body=response, headers={"Content-Type": _JSON})
        return web.Response(body=response, headers={"Content-Type": _JSON})


def _empty(status: int) -> web.Response:
    response = web.Response(status=status, body=b"", headers={"Content-Type": _JSON})
    if status in {408, 413, 415}:
        response.force_close()  # what is left of the request is not read
    return response


def _page(status: int, text: str) -> web.Response:
    page = f"<html><body>{text}</body></html>".encode()
    return web.Response(status=status, body=page, headers={"Content-Type": "text/html"})
