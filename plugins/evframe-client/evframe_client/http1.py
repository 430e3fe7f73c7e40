"""Management over HTTP/1.1, to a host or through a UNIX socket, with TLS or without."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Generator
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final

from evframe_client.protocol import MAX_REPLY_BYTES, Request
from evframe_client.steps import Steps
from evframe_client.streams import connect, look_up, receive, send, shake_hands
from evframe_client.urls import HttpUrl

_MAX_LINE_BYTES: Final = 16384
_MAX_HEADERS: Final = 128
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: .*)?")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?")
_LENGTH: Final = re.compile(rb"[0-9]{1,12}")

_ADVICE: Final = {
    400: "expected a request that the interface takes, check the path of the URL, which is /mi unless configured",
    403: "expected a host name that the interface answers, such as its address; see hosts in [plugins.mi-http]",
    404: "expected the path of a management interface, which is /mi unless configured",
    413: "expected a smaller request",
}
_NOTHING_SENT: Final = "the interface wants a token (token_file, --token-file), or user:password@ in the URL"
_OTHER_SENT: Final = "expected the token or the password of this interface, it was sent another one"

Reading = Generator[None, bytes, bytes]
"""Yields when it wants more bytes, is sent them (nothing at the end of the connection), and returns the body."""


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
                self._context = ssl.create_default_context(cafile=ca_file)
            except OSError as error:
                raise ValueError(f"ca_file: expected a file of certificates, got {ca_file!r}: {error}") from None

    def exchange(self, request: Request) -> Steps[bytes]:
        """Return the reply to *request*, which is sent again when the token was refused and its file has another."""
        try:
            try:
                return (yield from self._post(request))
            except StatusError as error:
                if error.status != 401 or not self._has_new_token():
                    raise
            return (yield from self._post(request))
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

    def _post(self, request: Request) -> Steps[bytes]:
        connection = yield from self._connect()
        try:
            # The answer may come, and say why, before all of a request was taken.
            with suppress(BrokenPipeError, ConnectionResetError):
                yield from send(connection, self._message(request.data))
            reading = read_response()
            next(reading)
            try:
                while True:
                    reading.send((yield from receive(connection)))
            except StopIteration as end:
                reply: bytes = end.value
                return reply
        finally:
            connection.close()

    def _connect(self) -> Steps[socket.socket]:
        url = self._url
        if url.unix_path is not None:
            return (yield from connect(socket.AF_UNIX, url.unix_path))
        problem: OSError | None = None
        for family, _, _, _, address in (yield from look_up(url.host, url.port, socket.SOCK_STREAM)):
            try:
                connection = yield from connect(family, address)
            except OSError as error:
                problem = error
            else:
                if self._context is None:
                    return connection
                return (yield from shake_hands(connection, self._context, url.host))
        raise problem or OSError("expected a host with an address")

    def _message(self, body: bytes) -> bytes:
        url = self._url
        host = url.host if url.unix_path is not None else f"{url.host}:{url.port}"
        lines = [
            f"POST {url.target} HTTP/1.1",
            f"Host: {host}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        if self._authorization is not None:
            lines.append(f"Authorization: {self._authorization}")
        return "\r\n".join([*lines, "", ""]).encode() + body


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
    if url.credentials is not None:
        return f"Basic {b64encode(url.credentials.encode()).decode()}"
    return None


class _Input:
    """What has arrived of a response and was not used yet."""

    def __init__(self) -> None:
        self._data = bytearray()

    def line(self) -> Reading:
        while (end := self._data.find(b"\r\n")) < 0:
            if len(self._data) > _MAX_LINE_BYTES:
                raise ValueError("expected shorter lines in an HTTP response")
            yield from self._more()
        return self._cut(end, 2)

    def exactly(self, size: int) -> Reading:
        while len(self._data) < size:
            yield from self._more()
        return self._cut(size)

    def rest(self) -> Reading:
        while len(self._data) <= MAX_REPLY_BYTES:
            more = yield
            if not more:
                return bytes(self._data)
            self._data += more
        raise ValueError(f"expected an HTTP response of at most {MAX_REPLY_BYTES} bytes")

    def _more(self) -> Generator[None, bytes, None]:
        more = yield
        if not more:
            raise ValueError("expected an HTTP response, got the end of the connection")
        self._data += more

    def _cut(self, size: int, skip: int = 0) -> bytes:
        part = bytes(self._data[:size])
        del self._data[: size + skip]
        return part


def read_response() -> Reading:
    """Read one response with status 200, strictly (RFC 9112), and return its body.

    Raises:
        ValueError: if the response is another one, or none.
    """
    given = _Input()
    while True:
        line = yield from given.line()
        found = _STATUS.fullmatch(line)
        if found is None:
            raise ValueError(f"expected an HTTP response, got {line[:100]!r}")
        status = int(found[1])
        headers = yield from _headers(given)
        if not 100 <= status < 200 or status == 101:
            break
    if status != 200:
        # Its body is not waited for: that of the original never ends.
        raise StatusError(status)
    return (yield from _body(given, headers))


def _phrase(status: int) -> str:
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return ""


def _headers(given: _Input) -> Generator[None, bytes, list[tuple[bytes, bytes]]]:
    headers: list[tuple[bytes, bytes]] = []
    while line := (yield from given.line()):
        found = _HEADER.fullmatch(line)
        if found is None or len(headers) == _MAX_HEADERS:
            raise ValueError(f"expected an HTTP header, got {line[:100]!r}")
        headers.append((found[1].lower(), found[2]))
    return headers


def _body(given: _Input, headers: list[tuple[bytes, bytes]]) -> Reading:
    coding = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    lengths = {value for name, value in headers if name == b"content-length"}
    if coding:
        if coding != [b"chunked"] or lengths:
            raise ValueError(f"expected a chunked HTTP response, got {coding!r} and lengths {sorted(lengths)!r}")
        return (yield from _chunks(given))
    if not lengths:
        return (yield from given.rest())
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length) or int(length) > MAX_REPLY_BYTES:
        raise ValueError(f"expected one length up to {MAX_REPLY_BYTES} in an HTTP response, got {length!r}")
    return (yield from given.exactly(int(length)))


def _chunks(given: _Input) -> Reading:
    body = bytearray()
    while True:
        line = yield from given.line()
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise ValueError(f"expected the size of an HTTP chunk, got {line[:100]!r}")
        size = int(found[1], 16)
        if size == 0:
            yield from _headers(given)
            return bytes(body)
        if len(body) + size > MAX_REPLY_BYTES:
            raise ValueError(f"expected an HTTP response of at most {MAX_REPLY_BYTES} bytes")
        body += yield from given.exactly(size)
        if (yield from given.exactly(2)) != b"\r\n":
            raise ValueError("expected the end of an HTTP chunk")
