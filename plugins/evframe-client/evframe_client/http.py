"""Management over HTTP/1.1, to a host or through a UNIX socket, with TLS or without."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import h11
from evframe_wire.addresses import without_brackets
from evframe_wire.tls import client_context

from evframe_client.lookups import look_up
from evframe_client.protocol import MAX_REPLY_BYTES, Request
from evframe_client.sockets import connect
from evframe_client.urls import HttpUrl

_MAX_HEAD_BYTES: Final = 64 << 10
_MAX_PROBLEM: Final = 200  # the characters of a problem, which quotes what has arrived
_READ_BYTES: Final = 64 << 10
_NO_LIMIT_S: Final = 86400.0  # of the handshake: the call has one

_ADVICE: Final = {
    400: "expected a request that the interface takes, check the path of the URL, which is /mi unless configured",
    403: "expected a host name that the interface answers, such as its address; see hosts in [plugins.mi-http]",
    404: "expected the path of a management interface, which is /mi unless configured",
    413: "expected a smaller request",
}
_NOTHING_SENT: Final = "the interface wants a token (token_file, --token-file), or user:password@ in the URL"
_OTHER_SENT: Final = "expected the token or the password of this interface, it was sent another one"


class StatusError(ValueError):
    """Raised for a response whose status is not 200."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status} {_phrase(status)}".rstrip())
        self.status = status


class Http:
    """Posts requests to *url*.

    Args:
        url: the interface.
        token: what it asks for.
        ca_file: the certificates that it is trusted by.
        token_file: the file of the token, which is read again when the interface refuses the one before.

    Raises:
        ValueError: if the token cannot be sent or read, or there are no certificates in *ca_file*.
    """

    def __init__(
        self, url: HttpUrl, token: str | None = None, ca_file: str | None = None, token_file: str | None = None
    ) -> None:
        self._url = url
        self._token_file = token_file
        self._authorization = _authorization(url, token if token_file is None else read_token(token_file))
        self._context: ssl.SSLContext | None = None
        if url.tls:
            try:
                self._context = client_context(ca_file)
            except OSError as error:
                raise ValueError(f"ca_file: expected a file of certificates, got {ca_file!r}: {error}") from None

    async def exchange(self, request: Request) -> bytes:
        """Return the reply to *request*, which is sent again when the token was refused and its file has another."""
        try:
            try:
                return await self._post(request)
            except StatusError as error:
                if error.status != 401 or not self._has_new_token():
                    raise
            return await self._post(request)
        except StatusError as error:
            advice = self._advice(error.status)
            raise error if advice is None else ValueError(f"{error}: {advice}") from None

    def _advice(self, status: int) -> str | None:
        if status == 401:
            return _NOTHING_SENT if self._authorization is None else _OTHER_SENT
        return _ADVICE.get(status)

    def _has_new_token(self) -> bool:
        """Read the file of the token again, and return whether it has another one."""
        if self._token_file is None:
            return False
        before, self._authorization = self._authorization, _authorization(self._url, read_token(self._token_file))
        return self._authorization != before

    async def _post(self, request: Request) -> bytes:
        response = Response()
        message = response.begin(self._url.target, self._headers(request.data), request.data)
        reader, writer = await self._connect()
        try:
            writer.write(message)  # without waiting: the answer may come, and say why, before all of it was taken
            while (body := response.feed(await reader.read(_READ_BYTES))) is None:
                pass
            return body
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = self._url
        if url.unix_path is not None:
            return await asyncio.open_connection(sock=await connect(socket.AF_UNIX, url.unix_path))
        tls: dict[str, Any] = {}
        if self._context is not None:
            tls = {"ssl": self._context, "server_hostname": without_brackets(url.host)}
            tls["ssl_handshake_timeout"] = _NO_LIMIT_S
        problem: OSError | None = None
        for family, _, _, _, address in await look_up(url.host, url.port, socket.SOCK_STREAM):
            try:
                sock = await connect(family, address)
            except OSError as error:
                problem = error
            else:
                return await asyncio.open_connection(sock=sock, **tls)
        raise problem or OSError("expected a host with an address")

    def _headers(self, body: bytes) -> list[tuple[str, str]]:
        url = self._url
        headers = [
            ("Host", url.host if url.unix_path is not None else f"{url.host}:{url.port}"),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        if self._authorization is not None:
            headers.append(("Authorization", self._authorization))
        return headers


def read_token(path: str) -> str:
    """Return the token in the file *path*.

    Raises:
        ValueError: if there is none.
    """
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"token_file: expected a file that can be read, got {path!r}: {error.strerror}") from None
    if not token:
        raise ValueError(f"token_file: expected a token, got nothing in {path!r}")
    return token


def _authorization(url: HttpUrl, token: str | None) -> str | None:
    if token is not None:
        if not re.fullmatch(r"[!-~]+", token):
            raise ValueError("token: expected printable ASCII characters without spaces")
        return f"Bearer {token}"
    if url.credentials:
        return f"Basic {b64encode(url.credentials.encode()).decode()}"
    return None


class Response:
    """The response to one request, of which a status other than 200 is an error; its body has an end."""

    def __init__(self) -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._body = bytearray()

    def begin(self, target: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
        """Return the bytes of the request."""
        send = self._connection.send
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        parts = (h11.Request(method="POST", target=target, headers=encoded), h11.Data(data=body), h11.EndOfMessage())
        return b"".join(send(part) or b"" for part in parts)

    def feed(self, data: bytes) -> bytes | None:
        """Take what has arrived, nothing at the end of the connection; return the body once it is whole.

        Raises:
            ValueError: if it is no response, another one than with status 200, or too long.
        """
        try:
            self._connection.receive_data(data)
            while (event := self._connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    return bytes(self._body)
                self._take(event)
        except h11.RemoteProtocolError as error:
            problem = f": {error}"[:_MAX_PROBLEM] if data else ", got the end of the connection"
            raise ValueError(f"expected an HTTP response{problem}") from None
        return None

    def _take(self, event: Any) -> None:
        if isinstance(event, h11.Response):
            if event.status_code != 200:
                # Its body is not waited for: that of the original never ends.
                raise StatusError(event.status_code)
            size = int(dict(event.headers).get(b"content-length", 0))
        else:
            self._body += event.data if isinstance(event, h11.Data) else b""
            size = len(self._body)
        if size > MAX_REPLY_BYTES:
            raise ValueError(f"expected an HTTP response of at most {MAX_REPLY_BYTES} bytes")


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return ""
