"""The request for a token to an OpenID provider: the client-credentials grant, over HTTP."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from evframe_wire.tls import client_context

MOST_BYTES: Final = 65_536


class Grant:
    """A request that another thread can end: it may wait for each byte, and the library bounds each wait alone.

    Args:
        options: see `evframe_kafka_clients.logins.PROPERTIES`.
        limit_s: how long it may take.
    """

    def __init__(self, options: Mapping[str, Any], limit_s: float) -> None:
        self._options = options
        self._limit_s = limit_s
        self._watched: socket.socket | None = None
        self._is_over = False

    def __call__(self) -> tuple[str, float]:
        """Return the token that the provider gives for the id and the secret, and its lifetime in seconds.

        Raises:
            Exception: if it gives none; what it has sent is in no text of the error.
        """
        options = self._options
        login = f"{quote(options['oauth_client'], safe='')}:{quote(options['oauth_secret'], safe='')}"
        fields = {"grant_type": "client_credentials", "scope": options.get("oauth_scope", "")}
        body = urlencode({name: value for name, value in fields.items() if value})
        headers = {"Authorization": f"Basic {b64encode(login.encode()).decode()}", "Accept": "application/json"}
        request = Request(options["oauth_url"], body.encode(), headers)  # noqa: S310 the scheme is checked
        try:
            return _read(self._answer(request))
        except HTTPException as error:  # it has what was sent
            raise ValueError(f"expected an answer in HTTP of the provider, got {type(error).__name__}") from None
        finally:
            if self._watched is not None:
                self._watched.close()

    def end(self) -> None:
        """Have the request fail now."""
        self._is_over = True
        if self._watched is not None:
            with suppress(OSError):  # it has ended
                # A sender that sees no room would ask for some, later and later, before it sees that no peer reads.
                self._watched.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._watched.shutdown(socket.SHUT_RDWR)

    def _connect(self, *place: Any) -> socket.socket:
        """Return a connection as the library makes it, and keep what ends it."""
        made = socket.create_connection(*place)
        self._watched = socket.socket(fileno=os.dup(made.fileno()))  # TLS takes the descriptor of the other
        if self._is_over:
            self.end()
        return made

    def _opener(self) -> OpenerDirector:
        """Return what makes requests; it follows no redirection, because another host would get the secret."""
        opener = OpenerDirector()
        context = client_context(self._options.get("oauth_ca"))
        connections = _Http(self._connect), _Https(self._connect, context)
        for handler in (ProxyHandler(), *connections, HTTPDefaultErrorHandler(), HTTPErrorProcessor()):
            opener.add_handler(handler)
        return opener

    def _answer(self, request: Request) -> bytes:
        until = time.monotonic() + self._limit_s
        try:
            response = self._opener().open(request, timeout=self._limit_s)
        except HTTPError as error:
            error.close()
            raise ValueError(f"expected the status 200 of the provider, got {error.code}") from None
        answer = b""
        with response:
            while piece := response.read1(MOST_BYTES):
                answer += piece
                if len(answer) > MOST_BYTES or time.monotonic() > until:
                    raise ValueError("expected a short answer of the provider in time")
        return answer


class _Http(HTTPHandler):
    def __init__(self, connect: Any) -> None:
        super().__init__()
        self._connect = connect

    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(partial(_made, HTTPConnection, self._connect), request)


class _Https(HTTPSHandler):
    def __init__(self, connect: Any, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._connect, self._tls = connect, context

    def https_open(self, request: Request) -> HTTPResponse:
        made = partial(_made, HTTPSConnection, self._connect)
        return self.do_open(made, request, context=self._tls)


def _made(kind: type[HTTPConnection], connect: Any, *place: Any, **more: Any) -> HTTPConnection:
    """Return a connection of the library that *connect* makes: its own `connect` waits for a proxy, too."""
    made = kind(*place, **more)
    made._create_connection = connect  # type: ignore[attr-defined] # noqa: SLF001 there is no other way
    return made


def _read(answer: bytes) -> tuple[str, float]:
    try:
        found = json.loads(answer)
        token, lifetime_s = found["access_token"], found.get("expires_in", 0)
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ValueError("expected access_token of the provider") from None
    if not isinstance(token, str) or isinstance(lifetime_s, bool) or not isinstance(lifetime_s, int | float):
        raise TypeError("expected access_token and expires_in of the provider")
    return token, max(0.0, float(lifetime_s))
