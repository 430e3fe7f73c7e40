"""Responses of HTTP/1.1 as the client reads them."""

import pytest
from evframe_client import http1
from evframe_client.http1 import read_response
from hypothesis import given, settings
from hypothesis import strategies as st

OK = b"HTTP/1.1 200 OK\r\n"


def read(data, cuts=()):
    """Return the body of the response *data*, which arrives in parts; the connection ends after them."""
    reading = read_response()
    next(reading)
    at = 0
    try:
        for cut in [*sorted(cuts), len(data)]:
            if data[at:cut]:
                reading.send(data[at:cut])
                at = cut
        reading.send(b"")
    except StopIteration as end:
        return end.value
    raise AssertionError("it wants more after the end")


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
        (b"ICY 200 OK\r\n\r\n", "expected an HTTP response, got b'ICY"),
        (b"HTTP/2 200 OK\r\n\r\n", "expected an HTTP response"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "expected an HTTP response"),
        (b"HTTP/1.1 200 OK\n\n", "got the end of the connection"),
        (b"x" * 20_000, "expected shorter lines"),
        (OK + b"No colon\r\n\r\n", "expected an HTTP header"),
        (OK + b"A: b\r\n folded\r\n\r\n", "expected an HTTP header"),
        (OK + b"A : b\r\n\r\n", "expected an HTTP header"),
        (OK + b"A: b\r\n" * 200 + b"\r\n", "expected an HTTP header"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "expected one length"),
        (OK + b"Content-Length: -1\r\n\r\n", "expected one length"),
        (OK + b"Content-Length: 1, 1\r\n\r\na", "expected one length"),
        (OK + b"Content-Length: 99999999999\r\n\r\n", "expected one length"),
        (OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "expected a chunked"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "expected a chunked"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", "expected the size of an HTTP chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "expected the size of an HTTP chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "expected the end of an HTTP chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n", "at most"),
        (b"HTTP/1.1 202 Accepted\r\n\r\n", "HTTP status 202 Accepted"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "HTTP status 101 Switching Protocols"),
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


def test_status_is_known_before_its_body_q2():
    """Q-2: the original never ends the body of a status other than 200, so the client does not wait for that."""
    reading = read_response()
    next(reading)
    with pytest.raises(ValueError, match="HTTP status 405 Method Not Allowed"):
        reading.send(b"HTTP/1.1 405 X\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_too_long(monkeypatch):
    """A body that never ends is given up."""
    monkeypatch.setattr(http1, "MAX_REPLY_BYTES", 10)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        read(OK + b"\r\n" + b"x" * 11)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        read(chunked(b"x" * 11, [6]))
