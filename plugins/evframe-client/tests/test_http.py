"""Responses of HTTP/1.1 as the client reads them."""

import asyncio
import socket
import struct
import threading
from contextlib import ExitStack, suppress

import pytest
from evframe_client import AsyncClient, Client, ManagementError, http
from evframe_client.http import Response
from hypothesis import given, settings
from hypothesis import strategies as st

OK = b"HTTP/1.1 200 OK\r\n"


def read(data, cuts=()):
    """Return the body of the response *data*, which arrives in parts; the connection ends after them."""
    response = Response()
    response.begin("/mi", [("Host", "gw")], b"")
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        if data[at:cut] and (body := response.feed(data[at:cut])) is not None:
            return body
        at = max(at, cut)
    body = response.feed(b"")
    assert body is not None, "it wants more after the end"
    return body


def chunked(body, sizes):
    parts = []
    for size in [*sizes, len(body)]:
        part, body = body[:size], body[size:]
        if part:
            parts.append(b"%X;x=1\r\n%b\r\n" % (len(part), part))
    return OK + b"Transfer-Encoding: Chunked\r\n\r\n" + b"".join(parts) + b"0\r\nTrailer: x\r\n\r\n"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.lists(st.integers(1, 9), max_size=9), st.lists(st.integers(0, 200), max_size=9))
def test_body(body, sizes, cuts):
    """The body is the same however it is coded and however it arrives."""
    with_length = OK + b"content-LENGTH:\t%d \r\nX:\r\n\r\n%b" % (len(body), body)

    assert read(with_length, cuts) == body
    assert read(chunked(body, sizes), cuts) == body
    assert read(OK + b"\r\n" + body, cuts) == body
    assert read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nLink: x\r\n\r\n" + with_length, cuts) == body


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (b"", "got the end of the connection"),
        (b"HTTP/1.1 200 OK\r\n", "got the end of the connection"),
        (OK + b"Content-Length: 3\r\n\r\nab", "got the end of the connection"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", "got the end of the connection"),
        (b"ICY 200 OK\r\n\r\n", "expected an HTTP response: illegal status line: bytearray(b'ICY"),
        (b"HTTP/2 200 OK\r\n\r\n", "expected an HTTP response"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "expected an HTTP response"),
        (b"x" * 100_000, "Receive buffer too long"),
        (OK + b"No colon\r\n\r\n", "illegal header line"),
        (OK + b"A : b\r\n\r\n", "illegal header line"),
        (OK + b"A: b\r\n" * 20_000, "Receive buffer too long"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "conflicting Content-Length"),
        (OK + b"Content-Length: -1\r\n\r\n", "bad Content-Length"),
        (OK + b"Content-Length: 99999999999\r\n\r\n", "at most"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "Only Transfer-Encoding: chunked"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "illegal chunk header"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "illegal chunk header"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "malformed chunk footer"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", "got the end of the connection"),
        (b"HTTP/1.1 202 Accepted\r\n\r\n", "HTTP status 202 Accepted"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "expected an HTTP response: "),
        (b"HTTP/1.1 401 \x1b[31m\r\n\r\n", "HTTP status 401 Unauthorized"),
        (b"HTTP/1.1 799\r\n\r\n", "HTTP status 799"),
    ],
)
def test_what_is_no_answer(response, problem):
    """A response that is not whole, not strictly HTTP or not 200 is refused with the reason."""
    with pytest.raises(ValueError) as caught:
        read(response)
    assert problem in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\na",
        OK + b"A: b\r\n folded\r\nContent-Length: 1\r\n\r\na",
        OK + b"Content-Length: 1, 1\r\nContent-Length: 1\r\n\r\na",
        OK + b"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\na",
    ],
)
def test_old_forms(response):
    """What RFC 9112 has a client accept of old or careless servers is accepted, on a connection for one response."""
    assert read(response) == b"a"


def test_status_is_known_before_its_body_q2():
    """Q-2: the original never ends the body of a status other than 200, so the client does not wait for that."""
    response = Response()
    with pytest.raises(ValueError, match="HTTP status 405 Method Not Allowed"):
        response.feed(b"HTTP/1.1 405 X\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_too_long(monkeypatch):
    """A body that never ends is given up."""
    monkeypatch.setattr(http, "MAX_REPLY_BYTES", 10)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        read(OK + b"\r\n" + b"x" * 11)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        read(chunked(b"x" * 11, [6]))


@pytest.fixture(params=[Client, AsyncClient])
def ask(request):
    """Call one command over HTTP with a client of each kind."""

    def ask(server, params=None, timeout_s=20.0):
        client = request.param("http://127.0.0.1:%d/mi" % server.getsockname()[1], timeout_s=timeout_s)
        return client.call("m", params) if request.param is Client else asyncio.run(client.call("m", params))

    return ask


@pytest.fixture
def serve():
    """Return what serves one connection on a thread: `serve(respond)`."""
    with ExitStack() as stack:

        def serve(respond):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def work():
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.settimeout(30)
                    connection.recv(1000)
                    respond(connection)

            thread = threading.Thread(target=work)
            thread.start()
            stack.callback(thread.join)
            return listener

        yield serve


def forever(data):
    """Return what sends *data* again and again, until the client has closed."""

    def respond(connection):
        while True:
            connection.sendall(data)

    return respond


@pytest.mark.parametrize(
    "respond",
    [
        forever(b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda connection: [connection.sendall(OK), forever(b"A")(connection)],
        lambda connection: connection.recv(1000),
    ],
    ids=["endless", "header", "silent"],
)
def test_servers_that_come_to_no_end(ask, serve, respond):
    """The time limit is that of the whole call, or the head is too long; the connection is closed then."""
    with pytest.raises(ManagementError, match=r"within 0.3 s|Receive buffer too long"):
        ask(serve(respond), timeout_s=0.3)


def test_a_byte_at_a_time(ask, serve):
    """A server that sends a byte at a time has its answer read, and one that never ends it has no more time for that."""

    def respond(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in OK + b"Content-Length: 2\r\n\r\nab":
            connection.send(bytes([byte]))

    with pytest.raises(ManagementError, match=r"expected a JSON-RPC answer, got b'ab'"):
        ask(serve(respond))


@pytest.mark.parametrize("size", [0, 17, len(OK) + 20])
def test_half_a_response(ask, serve, size):
    """A connection that ends within the response is an error that says so."""
    whole = OK + b"Content-Length: 9\r\n\r\nabc"
    with pytest.raises(ManagementError, match="expected an HTTP response, got the end of the connection"):
        ask(serve(lambda connection: connection.sendall(whole[:size]) or connection.shutdown(socket.SHUT_WR)))


def test_refusal_of_a_large_request_by_a_server_that_closes(ask, serve):
    """The status is known although the server has closed with most of the request unread."""

    def respond(connection):
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(ManagementError, match="HTTP status 413|Connection reset|Broken pipe") as caught:
        ask(serve(respond), ["x" * 8_000_000])
    assert "413" in str(caught.value)


def test_reset(ask, serve):
    """A connection that is reset is an error with the system's text."""

    def respond(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with pytest.raises(ManagementError, match="Connection reset by peer"):
        ask(serve(respond))
