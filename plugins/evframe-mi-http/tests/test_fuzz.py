"""HTTP requests of every kind."""

import socket

import pytest
from evframe_mi.testing.fuzzing import LIMIT_S, check_answer, fuzz, requests
from evframe_mi.testing.measured import Measured
from hypothesis import strategies as st

PLAIN = b'{"jsonrpc":"2.0","method":"events_list","id":"plain"}'
HEAD = b"POST /mi HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Client:
    """A connection that is made anew when the server has ended it."""

    def __init__(self, address):
        self.address = tuple(address)
        self.connection = None

    def write(self, data):
        if self.connection is None:
            self.connection = socket.create_connection(self.address, timeout=10)
            self.stream = self.connection.makefile("rb")
        self.connection.sendall(data)

    def close(self):
        if self.connection is not None:
            self.stream.close()
            self.connection.close()
            self.connection = None

    def post(self, body):
        """Return status and body of the answer."""
        self.write(HEAD % len(body) + body)
        status = int(self.stream.readline().split()[1])
        headers = {}
        while line := self.stream.readline().rstrip():
            name, _, value = line.partition(b": ")
            headers[name.lower()] = value
        answer = self.stream.read(int(headers[b"content-length"]))
        if headers.get(b"connection") == b"close":
            self.close()
        return status, answer

    def send(self, way, data):
        """Send a body, or the bytes of a request that may be none of HTTP; the server has to answer or hang up."""
        if way == "body":
            status, answer = self.post(data)
            assert status == (200 if answer else 202 if data else 400), (status, answer)
            if answer:
                check_answer(answer)
            return
        self.close()
        self.write(data)
        self.connection.shutdown(socket.SHUT_WR)
        try:
            got = self.stream.read()
        except ConnectionResetError:
            got = b""
        assert not got or got.startswith(b"HTTP/")
        self.close()

    def plain(self):
        status, answer = self.post(PLAIN)
        assert (status, answer[-14:]) == (200, b',"id":"plain"}')


heads = st.builds(
    lambda method, path, version, headers, body: (
        b"%b %b %b\r\n%b\r\n\r\n%b" % (method, path, version, b"\r\n".join(headers), body)
    ),
    st.sampled_from([b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS", b"PRI", b"CONNECT", b"post", b"\0"])
    | st.binary(max_size=5),
    st.sampled_from([b"/mi", b"/mi/x", b"/", b"*", b"http://x/mi", b"/mi%00", b"//"]) | st.binary(max_size=20),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b""]),
    st.lists(
        st.sampled_from(
            [
                b"Host: localhost",
                b"Content-Type: application/json",
                b"Content-Type: text/xml",
                b"Content-Length: 10",
                b"Content-Length: 0",
                b"Content-Length: -1",
                b"Content-Length: 99999999999999999999",
                b"Transfer-Encoding: chunked",
                b"Transfer-Encoding: gzip, chunked",
                b"Content-Encoding: gzip",
                b"Expect: 100-continue",
                b"Connection: upgrade",
                b"Upgrade: websocket",
                b"Authorization: Bearer \xff",
                b"X: " + b"x" * 9000,
                b": ",
            ]
        )
        | st.binary(max_size=30),
        max_size=6,
    ),
    requests | st.builds(lambda size, text: b"%x\r\n%b\r\n0\r\n\r\n" % (size, text), st.integers(0, 40), requests),
)


@pytest.mark.timeout(LIMIT_S)
def test_any_requests():
    """No request ends the interface, holds others up or leaves anything behind."""
    bodies = st.tuples(st.just("body"), requests)
    with Measured("evframe_mi_http:HttpManagement", {"bind": "127.0.0.1:0"}) as measured:
        client = Client(measured.address)
        try:
            fuzz(measured, client.send, client.plain, bodies | bodies | st.tuples(st.just("raw"), heads))
        finally:
            client.close()
