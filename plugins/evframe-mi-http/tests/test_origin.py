"""Requests that a web page may have made: what is accepted, and what is answered with 403."""

import asyncio

import pytest
from evframe_mi import Management
from evframe_mi_http import HttpManagement, Options
from stream_servers import connection_to

import evframe
from evframe.exceptions import ConfigError

BODY = b'{"jsonrpc":"2.0","id":1,"method":"events_list"}'
HERE = "127.0.0.1:{port}"


class Gateway:
    """An interface with the plugin on a free port, asked byte for byte."""

    def __init__(self, **options):
        self.plugin = HttpManagement(Options(**{"bind": "127.0.0.1:0", **options}))
        self.events = evframe.EventInterface(plugins={"mi": Management(), "mi-http": self.plugin})

    async def __aenter__(self):
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(*error)

    async def raw(self, data):
        async with asyncio.timeout(20), connection_to(self.plugin.address) as (reader, writer):
            writer.write(data)
            return await reader.read()

    async def ask(self, *headers, method="POST", target="/mi", version="HTTP/1.1", body=BODY):
        """Return the status of the answer, and its headers in lower case."""
        port = "" if isinstance(self.plugin.address, str) else self.plugin.address[1]
        lines = [f"{method} {target} {version}", *(header.format(port=port) for header in headers)]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close", "", ""]
        head, _, _ = (await self.raw("\r\n".join(lines).encode("latin-1") + body)).partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in rest)

    async def status(self, *headers, **request):
        return (await self.ask(*headers, **request))[0]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:{port}", "127.0.0.1", "127.0.0.1:1", "127.1", "localhost", "LocalHost:80", "localhost.", "[::1]:{port}",
        "[::1]", "[::1%25lo]", "192.0.2.1:8888", "[2001:db8::1]", "0x7f000001", "127.0.0.1.",
    ],
)  # fmt: skip
async def test_addresses_and_localhost_are_accepted(host):
    """A page that came by DNS rebinding has a name; an address, or localhost with any port, is nothing of its."""
    async with Gateway() as gateway:
        assert await gateway.status(f"Host: {host}") == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:{port}", "localhost.evil.example", "127.0.0.1.evil.example", "evil.localhost",
        "127.0.0.1@evil.example", "evil.example@127.0.0.1", "127.0.0.1, evil.example", "127.0.0.1 evil.example", "",
        "::1", "[evil.example]", "[::1]evil.example", "1.2.3.4.5", "127.0.0.1:port", "localhost:999999", "x",
    ],
)  # fmt: skip
async def test_foreign_hosts_are_refused(host):
    """A name that nothing names here, and what is no host, gets 403; what HTTP forbids gets 400."""
    async with Gateway() as gateway:
        assert await gateway.status(f"Host: {host}") in {400, 403}
        assert gateway.plugin._traffic.counts["requests"] == 0


async def test_hosts_that_contradict_each_other_are_refused():
    """Two hosts, or a target with another one than the header, never reach a command."""
    async with Gateway() as gateway:
        assert await gateway.status("Host: localhost", "Host: evil.example") in {400, 403}
        assert await gateway.status("Host: evil.example", "Host: localhost") in {400, 403}
        assert await gateway.status("Host: localhost", target="http://evil.example/mi") == 403
        assert await gateway.status("Host: evil.example", target="http://localhost/mi") == 403
        assert await gateway.status("Host: localhost", target="http://localhost/mi") == 200
        assert gateway.plugin._traffic.counts["requests"] == 1


async def test_no_host_at_all_is_accepted():
    """A client that speaks HTTP/1.0 names no host, and no browser does so."""
    async with Gateway() as gateway:
        assert await gateway.status(version="HTTP/1.0") == 200
        assert await gateway.status(version="HTTP/1.0", target="http://localhost/mi") == 200
        assert await gateway.status(version="HTTP/1.0", target="http://evil.example/mi") == 403, "the target names one"


async def test_names_of_the_configuration_are_accepted(tmp_path):
    """The name of bind, and those in hosts, with any port; on a path any name."""
    async with Gateway(hosts=["MI.example"]) as gateway:
        assert await gateway.status("Host: mi.example.:99") == 200
        assert await gateway.status("Host: other.example") == 403
    async with Gateway(bind="localhost:0") as gateway:
        assert await gateway.status("Host: localhost") == 200
    async with Gateway(bind=f"unix:{tmp_path}/mi") as gateway:
        assert await gateway.status("Host: anything.example") == 200


async def test_any_host_with_the_token(tmp_path):
    """A token proves more than a name; a wrong one proves nothing."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("secret")
    async with Gateway(token_file=str(token)) as gateway:
        assert await gateway.status("Host: evil.example", "Authorization: Bearer secret") == 200
        assert await gateway.status("Host: evil.example", "Authorization: Bearer guess") == 403
        assert await gateway.status("Host: localhost", "Authorization: Bearer guess") == 401
        foreign = ["Host: localhost", "Origin: http://evil.example", "Authorization: Bearer secret"]
        assert await gateway.status(*foreign) == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Origin: http://127.0.0.1:{port}"], 200),
        (["Origin: http://localhost:3000"], 200),
        (["Origin: http://evil.example"], 403),
        (["Origin: http://evil.example:{port}"], 403),
        (["Origin: http://203.0.113.9"], 403),
        (["Origin: http://localhost.evil.example"], 403),
        (["Origin: http://127.0.0.1@evil.example"], 403),
        (["Origin: null"], 403),
        (["Origin: "], 403),
        (["Origin: file://"], 403),
        (["Origin: http://127.0.0.1:{port} http://evil.example"], 403),
        (["Sec-Fetch-Site: none"], 200),
        (["Sec-Fetch-Site: same-origin"], 200),
        (["Sec-Fetch-Site: same-site"], 403),
        (["Sec-Fetch-Site: cross-site"], 403),
        (["Sec-Fetch-Site: whatever"], 403),
        (["Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: same-origin"], 200),
        (["Origin: http://127.0.0.1:{port}", "Sec-Fetch-Site: cross-site"], 403),
        (["Origin: https://ops.example", "Sec-Fetch-Site: cross-site"], 200),
        (["Origin: HTTPS://Ops.example:443"], 200),
        (["Origin: https://ops.example:8443"], 403),
        (["Origin: http://ops.example"], 403),
        (["Origin: http://127.0.0.1:{port}", "Origin: http://evil.example"], 403),
        (["Origin: https://ops.example", "Origin: http://evil.example"], 403),
        (["Sec-Fetch-Site: none", "Sec-Fetch-Site: cross-site"], 403),
    ],
)
async def test_origins_and_sites(headers, status):
    """A page of the interface itself, of this machine, or of the option origins, is accepted, and no other."""
    async with Gateway(origins=["https://ops.example"]) as gateway:
        assert await gateway.status("Host: " + HERE, *headers) == status


async def test_every_method_and_path_is_closed():
    """A foreign page learns nothing from other methods and paths."""
    async with Gateway() as gateway:
        for method in ("GET", "POST", "OPTIONS", "PUT", "HEAD"):
            for target in ("/mi", "/", "/mi/x"):
                assert await gateway.status("Host: evil.example", method=method, target=target) == 403


async def test_preflights():
    """A page in origins may ask what it may send, without a token; others get 403, and OPTIONS alone stays 406."""
    asks = ["Host: " + HERE, "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"]
    async with Gateway(origins=["https://ops.example"]) as gateway:
        status, headers = await gateway.ask(*asks, "Origin: https://ops.example", method="OPTIONS", body=b"")
        assert status == 204
        assert headers["access-control-allow-origin"] == "https://ops.example"
        assert "content-type" in headers["access-control-allow-headers"]
        status, headers = await gateway.ask(*asks, "Origin: https://evil.example", method="OPTIONS", body=b"")
        assert status == 403
        assert "access-control-allow-origin" not in headers
        status, headers = await gateway.ask("Host: " + HERE, "Origin: https://ops.example")
        assert (status, headers["vary"]) == (200, "origin")
        assert headers["access-control-allow-origin"] == "https://ops.example"
        status, headers = await gateway.ask("Host: " + HERE, method="OPTIONS", body=b"")
        assert (status, "access-control-allow-origin" in headers) == (406, False)


async def test_refused_pages_are_one_line_of_the_log(caplog):
    """A page that tries a hundred times is a line, and counted."""
    async with Gateway() as gateway:
        for _ in range(100):
            assert await gateway.status("Host: evil.example") == 403
        assert gateway.plugin._traffic.counts["refused"] == 100
    lines = [record for record in caplog.records if "web page" in record.message]
    assert len(lines) == 1
    assert "evil.example" in lines[0].problem


@pytest.mark.parametrize(
    "line", ['hosts = ["a:1"]', 'hosts = [""]', 'origins = ["ops.example"]', 'origins = ["null"]', 'origins = ["*"]']
)
def test_bad_names_are_errors(line):
    """A host with a port, and what is no origin, is an error of the configuration."""
    with pytest.raises(ConfigError, match=f"plugins.mi-http.{line.split()[0]}: expected"):
        evframe.EventInterface(evframe.config.parse_config(f"[plugins.mi-http]\n{line}\n"))


async def test_encoded_bodies_are_refused(caplog):
    """A body with Content-Encoding is 415, whatever is in it, with a line of the log and no traceback."""
    async with Gateway() as gateway:
        for encoding in ("gzip", "deflate", "br", "gzip, identity", "x"):
            for body in (b"{}", b"\x1f\x8b\x08\0", BODY):
                assert await gateway.status("Host: " + HERE, f"Content-Encoding: {encoding}", body=body) == 415
        assert await gateway.status("Host: " + HERE, "Content-Encoding: identity") == 200
    assert [record.exc_info for record in caplog.records if record.levelname != "INFO"] == [None]


async def test_what_is_no_http_is_a_line(caplog):
    """Broken requests, heads and chunks are answered or cut off, without a traceback."""
    head = b"POST /mi HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    broken = [
        b"\0\xff\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        head + b"A b: c\r\n\r\n",
        head + b"Content-Length: x\r\n\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{}\r\n0\r\n\r\n",
        head + b"Transfer-Encoding: gzip\r\n\r\n",
        head + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
    ]
    async with Gateway() as gateway:
        for request in broken:
            for _ in range(3):
                answer = await gateway.raw(request)
                assert not answer or answer.split()[1][:1] == b"4", (request[:60], answer)
    assert [record for record in caplog.records if record.exc_info] == []


async def test_what_is_nested_too_deep_is_refused(caplog):
    """A body that is nested beyond the limit is 400 with a parse error: one line for any number, without a traceback."""
    async with Gateway() as gateway:
        for depth in (1100, 100_000):
            for _ in range(10):
                body = b'{"jsonrpc":"2.0","id":1,"method":"pwd","params":%b}' % (b"[" * depth + b"]" * depth)
                assert await gateway.status("Host: " + HERE, body=body) == 400
        assert await gateway.status("Host: " + HERE, body=b"{") == 200
    assert [record.exc_info for record in caplog.records if record.levelname != "INFO"] == [None]
