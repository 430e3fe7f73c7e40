"""HTTP requests, byte for byte on a socket, and their complete answers."""

import asyncio
import json
import os
import socket
import stat
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from evframe_mi import Management
from evframe_mi.testing import ManagementContract
from evframe_mi_http import HttpManagement, Options
from stream_servers import connection_to

import evframe
from evframe.testing import until

PWD = b'{"jsonrpc": "2.0", "method": "pwd", "id": "1"}'
JSON = "Content-Type: application/json"


class Gateway:
    """An interface with the management plugin on a free port."""

    def __init__(self, **options):
        self.plugin = HttpManagement(Options(**{"bind": "127.0.0.1:0", **options}))
        self.events = evframe.EventInterface(plugins={"mi": Management(), "mi-http": self.plugin})

    async def __aenter__(self):
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(*error)

    def connect(self):
        return connection_to(self.plugin.address)

    async def ask(self, method, path, *headers, body=b"", declared=True):
        """Return status, headers and body of the answer, which must be complete by its Content-Length."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers]
        if declared:
            lines.append(f"Content-Length: {len(body)}")
        async with self.connect() as (reader, writer):
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            return await read_answer(reader)


class TestHttp(ManagementContract):
    """The table over HTTP."""

    longest_reply = 8 << 20
    bind = "127.0.0.1:0"

    def plugin(self):
        return HttpManagement(Options(bind=self.bind))

    @asynccontextmanager
    async def travel(self, events):
        async def ask(request):
            head = f"POST /mi HTTP/1.1\r\nHost: localhost\r\n{JSON}\r\nContent-Length: {len(request)}\r\n\r\n"
            writer.write(head.encode() + request)
            status, headers, body = await read_answer(reader)
            assert (status, headers["content-type"]) == (200 if body else 202, "application/json")
            return body or None

        async with connection_to(events.plugin("under-test").address) as (reader, writer):
            yield ask


class TestHttpOnUnixPath(TestHttp):
    """The table over HTTP on a UNIX path."""

    @pytest.fixture(autouse=True)
    def path(self, tmp_path):
        self.bind = f"unix:{tmp_path}/mi"


async def read_answer(reader):
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


async def test_request():
    """A POST with JSON is answered with JSON and its length."""
    async with Gateway() as gateway:
        status, headers, body = await gateway.ask("POST", "/mi", JSON, body=PWD)

    assert (status, headers["content-type"]) == (200, "application/json")
    assert list(json.loads(body)["result"]) == ["WD"]


@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "status", "text"),
    [
        ("POST", "/mi", JSON, b'{"jsonrpc":"2.0","method":"pwd"}', 202, b""),
        ("POST", "/mi", JSON, b"", 400, b""),
        ("POST", "/mi", "Content-Type: application/x-www-form-urlencoded", b"a=b", 400, b""),
        ("POST", "/mi", "Content-Type: text/plain", PWD, 415, b""),
        ("POST", "/mi", "X-None: 1", PWD, 415, b""),
        ("POST", "/mi", JSON, b"x" * 5000, 413, b""),
        ("GET", "/mi", JSON, b"", 405, b""),
        ("GET", "/mix", JSON, b"", 400, b"<html><body>Unable to parse URL!</body></html>"),
        ("POST", "/", JSON, PWD, 400, b"<html><body>Unable to parse URL!</body></html>"),
        ("PUT", "/mi", JSON, PWD, 406, b"<html><body>Unsupported HTTP request!</body></html>"),
        ("DELETE", "/mi", JSON, b"", 406, b"<html><body>Unsupported HTTP request!</body></html>"),
        ("OPTIONS", "/other", JSON, b"", 406, b"<html><body>Unsupported HTTP request!</body></html>"),
    ],
)
async def test_status_q2_q20(method, path, kind, body, status, text):
    """Q-2, Q-20: every request gets a complete answer with the status of the original."""
    async with Gateway(max_body_bytes=4096) as gateway:
        got, headers, answer = await gateway.ask(method, path, kind, body=body)

    assert (got, answer) == (status, text)
    assert headers["content-type"] == ("text/html" if b"html" in text else "application/json")


@pytest.mark.parametrize("path", ["/mi", "/mi/", "/mi/anything", "/mi?query=1"])
@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/json-rpc", "text/xml"]
)
async def test_paths_and_types(path, kind):
    """The root, what is below it, and every type that clients send reach the interface."""
    async with Gateway() as gateway:
        status, _, _ = await gateway.ask("POST", path, f"Content-Type: {kind}", body=PWD)

    assert status == 200


async def test_keep_alive_and_pieces_q20():
    """Q-20: requests follow each other on a connection; one may arrive in pieces or chunks, larger than 1 KiB."""
    large = json.dumps({"jsonrpc": "2.0", "method": "pwd", "id": "x" * 10_000}).encode()
    async with Gateway() as gateway, gateway.connect() as (reader, writer):
        for _ in range(3):
            writer.write(
                b"POST /mi HTTP/1.1\r\nHost: localhost\r\n%b\r\nContent-Length: %d\r\n\r\n"
                % (JSON.encode(), len(large))
            )
            for start in range(0, len(large), 4000):
                writer.write(large[start : start + 4000])
                await writer.drain()
                await asyncio.sleep(0)
            status, _, body = await read_answer(reader)
            assert (status, len(json.loads(body)["id"])) == (200, 10_000)
        writer.write(
            b"POST /mi HTTP/1.1\r\nHost: localhost\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % JSON.encode()
        )
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(PWD), PWD))
        status, _, _ = await read_answer(reader)

    assert status == 200


async def test_chunked_body_is_limited():
    """A body without a length is cut off at the limit too."""
    async with Gateway(max_body_bytes=100) as gateway, gateway.connect() as (reader, writer):
        writer.write(
            b"POST /mi HTTP/1.1\r\nHost: localhost\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % JSON.encode()
        )
        writer.write(b"c8\r\n%b\r\n" % (b"x" * 200))
        status, _, _ = await read_answer(reader)

    assert status == 413


async def test_expect_continue():
    """A client that asks before it sends its body is answered with 100."""
    async with Gateway() as gateway, gateway.connect() as (reader, writer):
        writer.write(
            b"POST /mi HTTP/1.1\r\nHost: localhost\r\n%b\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
            % (JSON.encode(), len(PWD))
        )
        async with asyncio.timeout(10):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
        writer.write(PWD)
        status, _, _ = await read_answer(reader)

    assert status == 200


async def test_slow_request_is_ended():
    """A request that does not arrive in time is answered so, and others meanwhile are served."""
    async with Gateway(conn_timeout_s=0.1) as gateway, gateway.connect() as (reader, writer):
        writer.write(b"POST /mi HTTP/1.1\r\nHost: localhost\r\n%b\r\nContent-Length: 100\r\n\r\n{" % JSON.encode())
        assert (await gateway.ask("POST", "/mi", JSON, body=PWD))[0] == 200
        status, _, _ = await read_answer(reader)

    assert status == 408


async def test_unix_path(tmp_path):
    """The interface listens on a UNIX path too, takes over a stale one, has its mode, and removes it at the end."""
    path = tmp_path / "mi.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    async with Gateway(bind=f"unix:{path}", unix_socket_mode="600") as gateway:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        status, _, _ = await gateway.ask("POST", "/mi", JSON, body=PWD)

    assert status == 200
    assert not path.exists()


async def test_address_in_use_is_an_error_of_the_start():
    """An address that is taken names the option, and the start fails."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="plugins.mi-http.bind: '127.0.0.1:"):
            async with Gateway(bind="127.0.0.1:%d" % taken.getsockname()[1]):
                pass


async def test_pretty_printing():
    """One member per line, a tab after the colon."""
    async with Gateway(pretty_printing=True) as gateway:
        body = b'{"jsonrpc":"2.0","id":"1","method":"which","params":["event_subscribe"]}'
        _, _, answer = await gateway.ask("POST", "/mi", JSON, body=body)

    assert answer.decode() == (
        '{\n\t"jsonrpc":\t"2.0",\n\t"result":\t[["event", "socket"], ["event", "socket", "expire"]],\n\t"id":\t"1"\n}'
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("bind", "8888"),
        ("bind", "127.0.0.1:99999"),
        ("bind", "unix:"),
        ("path", "mi"),
        ("path", "/mi/"),
        ("max_body_bytes", 0),
        ("unix_socket_mode", "rw"),
        ("unix_socket_user", "no such user"),
        ("unix_socket_group", "no such group"),
        ("auth_realm", 'a"b'),
    ],
)
def test_bad_options(option, value):
    """A value that does not fit is an error that names its option."""
    with pytest.raises(ValueError, match=f"^{option}: expected"):
        Options(**{option: value})


class Closed:
    """A plugin for the tests: keeps what it is notified of connections."""

    def __init__(self):
        self.closed = []

    @evframe.hookimpl
    def connection_closed(self, peer, local, protocol):
        self.closed.append((peer, local, protocol))


async def test_closed_connection_is_reported():
    """That a client's connection is closed is reported with both addresses."""
    async with AsyncExitStack() as last:
        async with Gateway() as gateway:
            recorder = Closed()
            gateway.events.plugins.register(recorder)
            async with gateway.connect() as (_, writer):
                own = writer.get_extra_info("sockname")
            await until(lambda: recorder.closed)
            assert recorder.closed == [(own, gateway.plugin.address, "http")]
            await gateway.ask("POST", "/mi", JSON, "Connection: close", body=PWD)
            await until(lambda: len(recorder.closed) == 2)
            await last.enter_async_context(gateway.connect())
    assert len(recorder.closed) == 2  # the end of the interface is not reported


async def test_unix_connection_has_no_address(tmp_path):
    """A connection on a UNIX path is none of TCP: its end is not reported."""
    async with Gateway(bind=f"unix:{tmp_path}/mi") as gateway:
        recorder = Closed()
        gateway.events.plugins.register(recorder)
        await gateway.ask("POST", "/mi", JSON, "Connection: close", body=PWD)
        async with gateway.connect():
            pass
        await gateway.ask("POST", "/mi", JSON, body=PWD)
    assert recorder.closed == []


async def test_list_root_path():
    """The path that requests are answered at can be asked for."""
    async with Gateway(path="/json") as gateway:
        for method in ("httpd_list_root_path", "httpd:list_root_path"):
            body = b'{"jsonrpc":"2.0","id":1,"method":"%b"}' % method.encode()
            _, _, answer = await gateway.ask("POST", "/json", JSON, body=body)
            assert answer == b'{"jsonrpc":"2.0","result":[{"http_root":"json","module":"mi_http"}],"id":1}'
