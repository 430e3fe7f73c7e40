"""The answers to requests for streams; imported late, with aiohttp."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final, Generic, TypeVar

from aiohttp import web
from evframe_http import Refused
from evframe_http.connections import HttpServer, asking_of

from evframe_live.access import COOKIE, PARAMETER
from evframe_live.transport import LiveTransport

TransportT = TypeVar("TransportT", bound=LiveTransport[Any, Any])
_IDLE_S: Final = 75.0
"""How long a connection without a stream may be idle."""


class LiveResponder(ABC, Generic[TransportT]):
    """Answers each request.

    Args:
        plugin: has the streams.
    """

    opened: ClassVar[str] = "streams"
    """What clients open, for errors."""

    def __init__(self, plugin: TransportT) -> None:
        self.plugin = plugin

    @classmethod
    def server(cls, plugin: TransportT) -> HttpServer:
        """Return a server of the streams of *plugin*."""
        return HttpServer(cls(plugin), plugin.warnings.warn, lambda: _IDLE_S, cancels=True)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*."""
        try:
            return await self.answer(request)
        except Refused as refused:
            response = web.Response(status=refused.status, text=refused.problem, headers=self.headers(request))
            if refused.status == 401:
                for challenge in self.plugin.access.guard.challenges:
                    response.headers.add("WWW-Authenticate", challenge)
            response.force_close()  # what is left of the request is not read
            return response

    @abstractmethod
    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Return the response to *request*.

        Raises:
            Refused: if it is not answered so.
        """

    def headers(self, request: web.BaseRequest) -> Mapping[str, str]:  # noqa: ARG002 those of others depend on it
        """Return further headers of a response, also of one that says why a request is refused."""
        return {}

    def check(self, request: web.BaseRequest, *tokens: str | None) -> None:
        """Raise `Refused` unless *request* may open a stream, by one of the *tokens* or one in the usual places."""
        asking = asking_of(request, (request.cookies.get(COOKIE), request.query.get(PARAMETER), *tokens))
        with self.noting(request):
            self.plugin.access.check(asking)
        if request.path != self.plugin.options.path:
            raise Refused(404, f"expected the path of {self.opened}")

    @contextmanager
    def noting(self, request: web.BaseRequest) -> Iterator[None]:
        """Have the block's refusal counted and logged."""
        try:
            yield
        except Refused as refused:
            self.plugin.note(refused, request.remote)
            raise


def peer_of(request: web.BaseRequest) -> tuple[Any, ...]:
    """Return the host and the port of the client."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return peer or ("", 0)
