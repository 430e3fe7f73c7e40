"""Other options while the interface works: nothing is refused, cut off or left behind."""

import asyncio
import errno
import os
import ssl
import stat
import subprocess
from contextlib import asynccontextmanager

import pytest
from brokers.own import free_port
from evframe_mi_http import Options

import evframe
from evframe.testing import ConfigFile, until

PWD = b'{"jsonrpc":"2.0","method":"pwd","id":1}'
RELOAD = b'{"jsonrpc":"2.0","method":"core:reload","id":1}'


class Connection:
    """A connection to an address, for any number of requests."""

    def __init__(self, address, tls=None):
        self.address, self.tls = address, tls

    async def __aenter__(self):
        if isinstance(self.address, str):
            self.reader, self.writer = await asyncio.open_unix_connection(self.address)
        else:
            self.reader, self.writer = await asyncio.open_connection(*self.address, ssl=self.tls)
        return self

    async def __aexit__(self, *error):
        self.writer.transport.abort()

    def begin(self, body=PWD, path="/mi", *headers):
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *headers]
        self.writer.write("\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body[:-1])
        self.last = body[-1:]

    async def end(self):
        """Return status and body."""
        self.writer.write(self.last)
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            return int(head.split()[1]), await self.reader.readexactly(length)

    async def ask(self, *request):
        self.begin(*request)
        return await self.end()


async def ask(address, *request, tls=None):
    async with Connection(address, tls) as connection:
        return await connection.ask(*request)


class Site(ConfigFile):
    """The configuration, with an address."""

    def __init__(self, path):
        super().__init__(path, "mi", "mi-http")
        self.bind = '"127.0.0.1:0"'

    def write(self, text=""):
        super().write(f"[plugins.mi-http]\nbind = {self.bind}\n{text}\n")

    @asynccontextmanager
    async def enter(self, text=""):
        async with self.interface(text) as events:
            self.plugin = events.plugin("mi-http")
            yield events


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "evframe.toml")


@pytest.fixture
def paths(tmp_path):
    return str(tmp_path / "first"), str(tmp_path / "second")


async def refused(address):
    try:
        async with Connection(address):
            return False
    except (ConnectionRefusedError, FileNotFoundError):
        return True


async def test_other_address(site):
    """The answer to the reload comes over the old address, and so do those of requests that have begun there."""
    async with site.enter():
        old = site.plugin.address
        async with Connection(old) as slow, Connection(old) as asks:
            slow.begin()
            await slow.writer.drain()
            new = ("127.0.0.1", free_port())
            site.bind = f'"127.0.0.1:{new[1]}"'
            site.write()
            assert await asks.ask(RELOAD) == (
                200,
                b'{"jsonrpc":"2.0","result":{"Changes":{"plugins":["mi-http"]}},"id":1}',
            )
            assert (await ask(new))[0] == 200
            while not await refused(old):
                await asyncio.sleep(0.01)
            assert (await slow.end())[0] == 200
            assert (await asks.ask(PWD))[0] == 200
        assert site.plugin.address == new


@pytest.mark.parametrize(("first", "second"), [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1")])
async def test_same_port_on_another_address(site, tmp_path, first, second):
    """An interface is opened to others, or closed, without another port."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    bearer = ("/mi", "Authorization: Bearer secret")
    with_token = f'token_file = "{token}"'
    site.bind = f'"{first}:0"'
    async with site.enter(with_token) as events:
        port = site.plugin.address[1]
        site.bind = f'"{second}:{port}"'
        site.write(with_token)
        assert events.reload().plugins == ["mi-http"]
        assert site.plugin.address == (second, port)
        for _ in range(20):
            assert (await ask(("127.0.0.1", port), PWD, *bearer))[0] == 200
        while await refused(("127.0.0.2", port)) is not (second == "127.0.0.1"):
            await asyncio.sleep(0.01)


async def test_same_address(site):
    """With other limits at the same address no connection is refused, and no request is lost."""
    async with site.enter() as events:
        address = site.plugin.address
        running, statuses = True, []

        async def load():
            while running:
                statuses.append((await ask(address))[0])

        loads = [asyncio.create_task(load()) for _ in range(4)]
        async with Connection(address) as kept:
            for number in range(1, 11):
                await until(lambda most=10 * number: len(statuses) > most)
                site.write(f"conn_timeout_s = {20 + number}")
                assert events.reload().plugins == ["mi-http"]
                assert (await kept.ask())[0] == 200
        running = False
        await asyncio.gather(*loads)
        assert set(statuses) == {200}
        assert site.plugin.address == address
        site.bind = f'"localhost:{address[1]}"'
        site.write()
        events.reload()
        assert (await ask(address))[0] == 200


async def test_options_are_swapped_in_place(site):
    """Path, limit of size and printing hold for the next request, on connections that are open too."""
    async with site.enter() as events, Connection(site.plugin.address) as open_one:
        assert (await open_one.ask())[0] == 200
        listener = site.plugin._listener
        site.write('path = "/other"\nmax_body_bytes = 100\npretty_printing = true')
        events.reload()
        assert (await open_one.ask())[0] == 400
        status, body = await open_one.ask(PWD, "/other")
        assert (status, b"\n\t" in body) == (200, True)
        root = b'{"jsonrpc":"2.0","method":"httpd:list_root_path","id":1}'
        assert b'"http_root":\t"other"' in (await open_one.ask(root, "/other"))[1]
        assert (await open_one.ask(PWD + b" " * 100, "/other"))[0] == 413
        assert site.plugin._listener is listener


async def test_token_is_rotated(site, tmp_path):
    """Another token in the same file is the one that counts after a reload, and not before."""
    token = tmp_path / "token"
    token.write_text("old\n")
    token.chmod(0o600)
    old, new = (("/mi", f"Authorization: Bearer {word}") for word in ("old", "new"))
    async with site.enter(f'token_file = "{token}"') as events, Connection(site.plugin.address) as open_one:
        token.write_text("new\n")
        assert (await open_one.ask(PWD, *old))[0] == 200
        assert events.reload().plugins == ["mi-http"]
        assert events.reload().plugins == []
        assert (await open_one.ask(PWD, *new))[0] == 200
        assert (await ask(site.plugin.address, PWD, *old))[0] == 401
        token.chmod(0o644)
        with pytest.raises(evframe.ConfigError, match=r"plugins\.mi-http\.token_file: expected a file that others"):
            events.reload()
        assert (await open_one.ask(PWD, *new))[0] == 200


def certificate(folder, name):
    files = str(folder / "cert.pem"), str(folder / "key.pem")
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"]
    keys = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run(
        ["openssl", "req", "-x509", *keys, *subject, "-out", files[0], "-keyout", files[1]],
        check=True,
        capture_output=True,
    )
    return files


async def test_certificate_is_renewed(site, tmp_path):
    """New connections get the certificate that the files hold now; a file that does not fit changes nothing."""

    def trusting(name):
        tls = ssl.create_default_context(cadata=(tmp_path / "cert.pem").read_text())
        tls.check_hostname = False
        return tls

    cert, key = certificate(tmp_path, "first")
    text = f'tls_cert_file = "{cert}"\ntls_key_file = "{key}"'
    async with site.enter(text) as events:
        first = trusting("first")
        async with Connection(site.plugin.address, first) as open_one:
            assert (await open_one.ask())[0] == 200
            certificate(tmp_path, "second")
            second = trusting("second")
            assert events.reload().plugins == ["mi-http"]
            assert (await open_one.ask())[0] == 200
            assert (await ask(site.plugin.address, tls=second))[0] == 200
            with pytest.raises(ssl.SSLError):
                await ask(site.plugin.address, tls=first)
        (tmp_path / "key.pem").write_text("no key\n")
        with pytest.raises(evframe.ConfigError, match=r"plugins\.mi-http\.tls_cert_file"):
            events.reload()
        assert (await ask(site.plugin.address, tls=second))[0] == 200
        site.write()
        events.reload()
        while True:
            try:
                assert (await ask(site.plugin.address))[0] == 200
                break
            except (ConnectionError, asyncio.IncompleteReadError):
                pass  # it was one of the last for the listener before


async def test_address_in_use(site):
    """An address that is taken refuses the reload, and everything is as it was."""
    import socket

    async with site.enter('path = "/a"') as events:
        old = site.plugin.address
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            site.bind = f'"127.0.0.1:{port}"'
            site.write('path = "/b"')
            with pytest.raises(evframe.ConfigError) as problem:
                events.reload()
        assert [each.partition(": ")[2] for each in problem.value.problems] == [
            f"plugins.mi-http.bind: '127.0.0.1:{port}': Address already in use"
        ]
        assert site.plugin.address == old
        assert (await ask(old, PWD, "/a"))[0] == 200


async def test_unix_paths(site, paths):
    """A path goes when the interface has left it, and stays with its new mode when it has not."""
    first, second = paths
    site.bind = f'"unix:{first}"'
    async with site.enter() as events:
        site.write('unix_socket_mode = "600"')
        events.reload()
        assert stat.S_IMODE(os.stat(first).st_mode) == 0o600
        await asyncio.sleep(0)
        assert (await ask(first))[0] == 200
        site.bind = f'"unix:{second}"'
        site.write()
        async with Connection(first) as asks:
            assert (await asks.ask(RELOAD))[0] == 200
        assert (await ask(second))[0] == 200
        await until(lambda: not os.path.exists(first))
        site.bind = '"127.0.0.1:0"'
        site.write()
        assert (await ask(second, RELOAD))[0] == 200
        await until(lambda: not os.path.exists(second))
        assert (await ask(site.plugin.address))[0] == 200
        os.mkdir(first)
        site.bind = f'"unix:{first}"'
        site.write()
        with pytest.raises(evframe.ConfigError, match=r"plugins\.mi-http\.bind: .*expected nothing, or a socket"):
            events.reload()
    assert not os.path.exists(second)


@pytest.mark.parametrize("change", ["port", "path", "same"])
async def test_taken_back(site, paths, change):
    """When another plugin refuses after this one has bound another address, the old one was never closed."""
    first, second = paths
    if change == "path":
        site.bind = f'"unix:{first}"'
    async with site.enter():
        old, port, listener = site.plugin.address, free_port(), site.plugin._listener
        bind = {"port": f"127.0.0.1:{port}", "path": f"unix:{second}", "same": site.bind.strip('"')}[change]
        options = Options(bind=bind, pretty_printing=True, conn_timeout_s=5, unix_socket_mode="600")
        site.plugin.reconfigure(options)()
        assert site.plugin._listener is listener
        for _ in range(3):
            status, body = await ask(old)
            assert (status, b"\n" in body) == (200, False)
        if change == "path":
            assert stat.S_IMODE(os.stat(first).st_mode) == 0o660
            assert not os.path.exists(second)
        assert await refused(("127.0.0.1", port))
        site.plugin.reconfigure(options)
        assert (await ask(site.plugin.address))[0] == 200


async def test_reload_at_the_end(site):
    """An interface that is left right after a reload closes both addresses."""
    async with site.enter() as events:
        old = site.plugin.address
        site.bind = '"127.0.0.2:0"'
        site.write()
        events.reload()
    assert await refused(old)
    assert await refused(site.plugin.address)


def test_options_show_no_secret(tmp_path):
    """What stands for the contents of the files is not shown."""
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    assert "secrets" not in repr(Options(token_file=str(token)))


class NoRoom:
    """A socket of a process that has no more files for a while."""

    def __init__(self, sock):
        self.sock = sock
        self.left = 3

    def accept(self):
        self.left -= 1
        if self.left >= 0:
            raise OSError(errno.EMFILE, "Too many open files")
        return self.sock.accept()

    def __getattr__(self, name):
        return getattr(self.sock, name)


async def test_no_more_files(site, monkeypatch):
    """While there is no file for a connection it waits, and the loop does not spin; then it is answered."""
    monkeypatch.setattr("evframe_http.listener._PAUSE_S", 0.02)
    async with site.enter():
        bound = site.plugin._listener.bound
        bound.socket = full = NoRoom(bound.socket)
        assert (await ask(site.plugin.address))[0] == 200
        assert full.left < 0
        full.left = 2  # the second one is that of the reserve
        async with Connection(site.plugin.address):
            await until(lambda: full.left == 0)
