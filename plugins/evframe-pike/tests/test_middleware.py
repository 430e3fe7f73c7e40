"""The middleware: a WSGI and an ASGI server on a socket, and the ASGI specification's corners."""

import asyncio
import http.client
import socket
import threading
from contextlib import asynccontextmanager, contextmanager
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import pytest
import uvicorn
from evframe_pike import Options, Pike
from evframe_pike.middleware import AsgiMiddleware, WsgiMiddleware
from stream_servers import connection_to

from evframe.testing import FakeClock

LIMIT = 4


def pike():
    """One that blocks an IPv4 address with its eighth request."""
    return Pike(Options(reqs_density_per_unit=LIMIT), clock=FakeClock())


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


@contextmanager
def wsgi_server(application):
    """Serve; requests and answers are checked against the specification."""
    with make_server("127.0.0.1", 0, validator(application), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def get(port, path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def statuses(port, count, **headers):
    return [get(port, **headers)[0] for _ in range(count)]


def test_wsgi():
    """The request too many is answered with 429, when to come back, and a complete body."""
    with wsgi_server(WsgiMiddleware(hello, pike())) as port:
        assert statuses(port, 7) == [200] * 7
        status, headers, body = get(port)
    assert (status, body) == (429, b"too many requests\n")
    assert (headers["Retry-After"], headers["Content-Length"]) == ("4", str(len(body)))


def test_a_header_that_everybody_can_send():
    """Without proxies, the header neither saves the sender nor blocks somebody else."""
    source = pike()
    with wsgi_server(WsgiMiddleware(hello, source)) as port:
        for last in range(8):
            status = get(port, X_Forwarded_For=f"192.0.2.{last}")[0]
    assert status == 429
    assert [node.address for node in source.detector.nodes(blocked=True)] == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "198.51.100.7, 192.0.2.1", "192.0.2.1"),
        (2, "203.0.113.5, 198.51.100.7, 192.0.2.1", "198.51.100.7"),
        (2, "192.0.2.1", "127.0.0.1"),
        (1, "unknown", "127.0.0.1"),
        (1, "", "127.0.0.1"),
        (1, "192.0.2.1:4711", "192.0.2.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "[2001:db8::1]", "2001:db8::1"),
    ],
)
def test_proxies(proxies, forwarded, address):
    """With n proxies the address is the n-th from the end; without a usable one, the connection's."""
    source = pike()
    with wsgi_server(WsgiMiddleware(hello, source, proxies=proxies)) as port:
        for _ in range(20):
            get(port, X_Forwarded_For=forwarded)
    assert [node.address for node in source.detector.nodes(blocked=True)] == [address]


def test_another_header():
    """The proxies' header may have another name."""
    source = pike()
    with wsgi_server(WsgiMiddleware(hello, source, proxies=1, header="X-Real-IP")) as port:
        assert statuses(port, 8, X_Real_IP="192.0.2.1")[-1] == 429
        assert get(port, X_Real_IP="198.51.100.1")[0] == 200


def test_exempt():
    """What is exempt is neither counted nor answered."""
    source = pike()
    application = WsgiMiddleware(hello, source, exempt=lambda environ: environ["PATH_INFO"] == "/health")
    with wsgi_server(application) as port:
        assert [get(port, "/health")[0] for _ in range(9)] == [200] * 9
        assert statuses(port, 8)[-1] == 429
        assert get(port, "/health")[0] == 200


@pytest.mark.parametrize("peer", ["", None, "a-name"])
def test_no_address(peer, caplog):
    """A client without an address is let pass; a server that gives a name is logged once."""
    application = WsgiMiddleware(hello, pike())
    for _ in range(20):
        answer = []
        environ = {} if peer is None else {"REMOTE_ADDR": peer}
        assert application(environ, lambda status, headers, to=answer: to.append(status)) == [b"hello"]
        assert answer == ["200 OK"]
    assert len(caplog.records) == (peer == "a-name")


@pytest.mark.parametrize(("name", "value"), [("proxies", -1), ("header", "X Y"), ("header", "")])
@pytest.mark.parametrize("kind", [WsgiMiddleware, AsgiMiddleware])
def test_arguments(kind, name, value):
    """A setting that cannot be is an error that names it."""
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        kind(hello, pike(), **{name: value})


async def asgi_hello(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def asgi_server(application):
    config = uvicorn.Config(application, log_level="warning", ws="wsproto", lifespan="on", proxy_headers=False)
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    serving = asyncio.get_running_loop().create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        listener.close()


async def ask(port, *headers):
    """Return the head and the body of an answer on a connection that the server closes."""
    async with asyncio.timeout(10), connection_to(("127.0.0.1", port)) as (reader, writer):
        writer.write("\r\n".join(["GET / HTTP/1.1", "Host: x", *headers, "", ""]).encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((line for line in head.splitlines() if line.startswith("content-length: ")), None)
        body = await reader.readexactly(int(length.partition(": ")[2])) if length else b""
        return head, body


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


@pytest.mark.parametrize(("headers", "passed"), [(("Connection: close",), "200"), (UPGRADE, "101")])
async def test_asgi(headers, passed):
    """The request or the handshake too many is answered with 429 and when to come back."""
    async with asgi_server(AsgiMiddleware(asgi_hello, pike())) as port:
        for _ in range(7):
            head, _ = await ask(port, *headers)
            assert head.startswith(f"http/1.1 {passed}")
        head, body = await ask(port, *headers)
    assert head.startswith("http/1.1 429")
    assert "\r\nretry-after: 4\r\n" in head
    assert body == b"too many requests\n"


async def test_asgi_behind_a_proxy():
    """Several headers of a proxy's name are one, and the last address counts."""
    source = pike()
    async with asgi_server(AsgiMiddleware(asgi_hello, source, proxies=1)) as port:
        for first in range(8):
            headers = (f"X-Forwarded-For: 10.0.0.{first}", "x-forwarded-for: 192.0.2.1")
            head, _ = await ask(port, "Connection: close", *headers)
    assert head.startswith("http/1.1 429")
    assert [node.address for node in source.detector.nodes(blocked=True)] == ["192.0.2.1"]


async def call(application, scope):
    sent = []
    received = [{"type": f"{scope['type']}.{'connect' if scope['type'] == 'websocket' else 'request'}"}]

    async def receive():
        return received.pop()

    async def send(message):
        sent.append(message)

    await application({"headers": [], **scope}, receive, send)
    return sent


async def test_a_server_without_answers_to_handshakes():
    """A handshake is refused by closing where the server has no extension for answers."""
    application = AsgiMiddleware(asgi_hello, pike())
    for _ in range(7):
        sent = await call(application, {"type": "websocket", "client": ("192.0.2.1", 4711)})
        assert sent[0]["type"] == "websocket.accept"
    sent = await call(application, {"type": "websocket", "client": ("192.0.2.1", 4711)})
    assert sent == [{"type": "websocket.close", "code": 1013}]


async def test_asgi_exempt_and_no_address():
    """What is exempt, and a client without an address, is let pass and not counted."""
    source = pike()
    application = AsgiMiddleware(asgi_hello, source, exempt=lambda scope: scope.get("path") == "/health")
    for _ in range(20):
        for scope in ({"client": None}, {}, {"client": ("192.0.2.1", 1), "path": "/health"}):
            sent = await call(application, {"type": "http", **scope})
            assert sent[0]["status"] == 200
    assert len(source.detector) == 0
