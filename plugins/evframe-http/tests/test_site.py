"""An address that is served, and one that takes its place."""

import asyncio
import json
import logging
import resource
import socket
import ssl
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from evframe_http import MovingSite, Serving, Site, Warnings, connections, room
from evframe_http import serving as servings
from evframe_http.fields import tls_context
from stream_servers import connection_to

from evframe.testing import until

log = logging.getLogger("evframe.http-test")
HERE = ("127.0.0.1", 0)


@pytest.fixture(autouse=True)
def answers(monkeypatch):
    """Have the module of the server found."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield
    sys.modules.pop("answers", None)


class Served:
    """Sites with what they report."""

    def __init__(self):
        self.closed = []
        self.sites = []

    def site(self, target=HERE, before=None, library="answers", tls=lambda: None):
        warn = Warnings(log).warn
        serving = Serving(library, lambda library: library.server(warn, lambda *ends: self.closed.append(ends)), tls)
        self.sites.append(Site(target, serving, log, before, option="plugins.some.bind"))
        return self.sites[-1]


@asynccontextmanager
async def served():
    each = Served()
    try:
        yield each
    finally:
        await asyncio.gather(*(site.close() for site in each.sites), return_exceptions=True)


async def ask(address, request=b"GET /here HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"):
    async with connection_to(address) as (reader, writer):
        writer.write(request)
        return await reader.read()


async def test_requests_are_answered_until_the_site_is_closed():
    """Connections wait for the import; when the site is closed, they are refused, and the end of each is reported."""
    async with served() as each:
        site = each.site()
        head, _, body = (await ask(site.address)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert json.loads(body) == {"hosts": ["localhost"], "origin": None, "path": "/here"}
        await until(lambda: len(each.closed) == 1)
        site.close()
        with pytest.raises(ConnectionRefusedError):
            await ask(site.address)


async def test_a_target_with_a_host_and_several_headers_are_shown():
    """What a request names in its target counts, and two origins are none that is accepted."""
    async with served() as each:
        request = b"GET http://evil.example/x HTTP/1.1\r\nHost: localhost\r\nOrigin: a\r\nOrigin: b\r\nConnection: close\r\n\r\n"
        answer = await ask(each.site().address, request)
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {
            "hosts": ["localhost", "evil.example"],
            "origin": "a, b",
            "path": "/x",
        }


async def test_another_site_has_the_port_before_the_first_one_is_closed():
    """The same port on another address is bound beside the one before."""
    async with served() as each:
        first = each.site()
        await ask(first.address)
        second = each.site(("127.0.0.2", first.address[1]), first)
        assert second.is_at(("127.0.0.2", first.address[1]))
        assert not second.is_at(first.address)
        first.close()
        assert (await ask(second.address)).startswith(b"HTTP/1.1 200")


async def test_an_address_in_use_names_the_option():
    """The error has the option, the address and the reason."""
    async with served() as each:
        with socket.create_server(HERE) as other:
            with pytest.raises(
                OSError, match=r"^\[Errno 98\] plugins\.some\.bind: '127\.0\.0\.1:\d+': Address already"
            ):
                each.site(other.getsockname())


async def test_a_library_that_is_not_there_is_logged(caplog):
    """The address is closed, so that no connection waits for an answer."""
    async with served() as each:
        site = each.site(library="no_such_library")
        await until(lambda: "an address cannot be served" in caplog.text)
        with pytest.raises(ConnectionRefusedError):
            await ask(site.address)


async def test_what_is_no_http_is_answered_without_a_traceback(caplog):
    """A client cannot fill the log."""
    async with served() as each:
        site = each.site()
        for _ in range(3):
            assert b" 400 " in await ask(site.address, b"nonsense\r\n\r\n")
    assert [record for record in caplog.records if record.exc_info or record.levelname == "WARNING"] == []


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /?access_token=SECRET HTTP/1.1x\r\n\r\n",
        b"GET /?access_token=SECRET\x00 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer SECRET\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nCookie SECRET\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_not_logged_itself(caplog, request_):
    """It may have a token; the line has the kind of the error."""
    async with served() as each:
        assert b"400" in await ask(each.site().address, request_)
    (record,) = (record for record in caplog.records if record.message == "a request is no HTTP")
    assert record.problem.isidentifier()


async def test_idle_connections_make_room_for_others(monkeypatch, caplog):
    """Of too many connections, the one that has been idle for longest is ended; one with a request is not."""
    monkeypatch.setattr(connections, "most_connections", lambda: 4)
    async with served() as each, AsyncExitStack() as clients:
        site = each.site()
        busy = await clients.enter_async_context(connection_to(site.address))
        busy[1].write(b"GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await busy[0].readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")  # and the body is under way
        idle = [await clients.enter_async_context(connection_to(site.address)) for _ in range(20)]
        idle[0][1].write(b"GET / HTTP/1.1\r\nHost: lo")  # which is half a request, and counts as none
        assert (await ask(site.address)).startswith(b"HTTP/1.1 200")
        await until(lambda: len(each.closed) >= 17)
        assert not busy[0].at_eof()
        ends = await asyncio.gather(*(reader.read() for reader, _ in idle[:16]), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ends)
        assert caplog.text.count("idle connections were ended") == 1


async def test_clients_that_never_begin_tls_make_room(monkeypatch, tmp_path):
    """A handshake has an end, and of too many the first one is given up."""
    monkeypatch.setattr(servings, "most_connections", lambda: 4)
    certificate, key = str(tmp_path / "certificate"), str(tmp_path / "key")
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-out", certificate]
    subprocess.run(["openssl", *words, "-keyout", key], check=True, capture_output=True)
    context = tls_context(certificate, key)
    async with served() as each, AsyncExitStack() as clients:
        site = each.site(tls=lambda: context)
        silent = [await clients.enter_async_context(connection_to(site.address)) for _ in range(8)]
        ends = await asyncio.gather(*(reader.read() for reader, _ in silent[:4]), return_exceptions=True)
        assert all(end == b"" or isinstance(end, ConnectionResetError) for end in ends)
        trusting = ssl.create_default_context(cafile=certificate)
        async with connection_to(("localhost", site.address[1]), ssl=trusting) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")


def test_a_server_has_a_part_of_the_descriptors(monkeypatch):
    """A low limit of open files leaves most of them to subscribers and to management."""
    for soft, expected in ((20, 16), (1024, 256), (1 << 20, 4096), (resource.RLIM_INFINITY, 4096)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, soft=soft: (soft, soft))
        assert room.most_connections() == expected


async def test_an_address_that_moves():
    """A move that is taken back leaves the address before; one that holds ends its connections; none is one, too."""
    left = []
    warn = Warnings(log).warn
    moving = MovingSite(
        lambda: Serving("answers", lambda library: library.server(warn, lambda *_: None)),
        log,
        option="plugins.some.bind",
        leave=lambda: left.append(moving.address),
    )
    assert moving.address is None
    moving.move(None)()
    moving.open(HERE)
    first = moving.address
    moving.move(first)()
    moving.move(HERE)()
    assert moving.address == first
    assert b"200" in await ask(first)
    assert not left
    moving.move(("127.0.0.2", 0))()
    assert moving.address == first
    moving.move(("127.0.0.2", 0))
    second = moving.address
    assert b"200" in await ask(second)
    with pytest.raises(ConnectionRefusedError):
        await ask(first)
    moving.move(None)
    await until(lambda: len(left) == 2)
    with pytest.raises(ConnectionRefusedError):
        await ask(second)
    assert moving.address is None
    moving.move(HERE)
    assert b"200" in await ask(moving.address)
    await moving.close()
    assert len(left) == 3
