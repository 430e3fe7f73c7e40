"""Both clients over every transport: real sockets and FIFOs, and the answers of evframe."""

import asyncio
import json
import os
import resource
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from evframe_client import AsyncClient, Client, ManagementError
from evframe_mi.testing import management
from serving import DatagramServer, FifoServer, HttpServer, http

TRANSPORTS = ["http", "http+unix", "udp", "unix", "fifo"]


@pytest.fixture(params=[Client, AsyncClient])
def ask(request):
    """Call one command with a new client of each kind: `ask(url, method, params, **options)`."""

    def ask(url, method, params=None, **options):
        client = request.param(url, **options)
        return client.call(method, params) if request.param is Client else asyncio.run(client.call(method, params))

    return ask


@pytest.fixture
def serve(tmp_path):
    """Start servers: `serve(transport, handle)`, where *handle* is from the bytes of a request to those of the answer."""
    running = []

    def serve(transport, handle, **options):
        if transport in {"http", "http+unix"}:
            path = str(tmp_path / "http.sock") if transport == "http+unix" else None
            server = HttpServer(http(handle) if handle(b"") is not None else handle, path, **options)
        elif transport == "fifo":
            server = FifoServer(handle, tmp_path)
        else:
            server = DatagramServer(handle, str(tmp_path / "mi.sock") if transport == "unix" else None)
        running.append(server)
        return server.start()

    yield serve
    for server in running:
        server.close()


@pytest.fixture(params=TRANSPORTS)
def gateway(request, serve, events):
    """Return a server of each transport with the commands of an interface."""
    return serve(request.param, management(events).handle)


def test_calls(ask, gateway):
    """Results and errors are the gateway's, whatever the transport."""
    assert ask(gateway.url, "events_list") == {"Events": [{"name": "E_A", "id": 0}, {"name": "E_B", "id": 1}]}
    assert ask(gateway.url, "event_subscribe", ["E_A", "memory:a", 60]) == "OK"
    assert ask(gateway.url, "event_subscribe", {"event": "E_B", "socket": "memory:a"}) == "OK"
    with pytest.raises(ManagementError) as caught:
        ask(gateway.url, "event_subscribe", ["E_A"])
    error = caught.value
    assert (error.code, error.message, error.data) == (-32602, "Invalid params", "Too few or too many parameters")
    with pytest.raises(ManagementError, match="^-32601: Method not found$"):
        ask(gateway.url, "nope")


@pytest.mark.parametrize("transport", ["http", "http+unix", "udp", "unix", "fifo"])
def test_large_requests_and_replies(ask, serve, transport):
    """What does not fit one packet, one segment or one page of a pipe arrives whole, as far as a transport can."""
    size = 60_000 if transport in {"udp", "unix"} else 300_000

    def repeat(request):
        number = request[request.index(b'"id":"') + 6 :][:16]
        return b'{"id":"%b","result":"%b"}' % (number, b"y" * request.count(b"x"))

    server = serve(transport, lambda request: repeat(request) if request else b"")

    assert ask(server.url, "m", ["x" * size]) == "y" * size


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_gateway_that_does_not_answer(ask, serve, transport):
    """Every wait ends, and the error says which gateway was waited for, and how long."""
    server = serve(transport, lambda _: None)
    with pytest.raises(ManagementError) as caught:
        ask(server.url, "pwd", timeout_s=0.2)

    assert caught.value.code is None
    assert str(caught.value) == f"no answer from {server.url} within 0.2 s"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://127.0.0.1:1/mi", "Connection refused"),
        ("http://localhost:1/mi", "Connection refused"),
        ("http+unix://%2Fnope%2Fmi/mi", "No such file or directory"),
        ("udp://127.0.0.1:1", "Connection refused"),
        ("udp://localhost:1", "Connection refused"),
        ("unix:///nope/mi", "No such file or directory"),
        ("unix:///nope/mi?reply_dir=/nope", "No such file or directory"),
        ("fifo:///nope/mi", "No such file or directory"),
        ("fifo:///nope/mi?reply_dir=/nope", "No such file or directory"),
        ("http://user:hidden@nosuch.invalid/", "expected a host that resolves, got 'nosuch.invalid'"),
    ],
)
def test_gateway_that_is_not_there(ask, url, problem):
    """A gateway that cannot be reached is named in one sentence, with the reason and without a password."""
    with pytest.raises(ManagementError) as caught:
        ask(url, "pwd")

    assert caught.value.code is None
    assert str(caught.value).startswith(f"no answer from {url.replace('hidden', '***')}: {problem}")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_answer_to_another_request(ask, serve, transport):
    """An answer with another id is not taken: datagrams are waited for on, connections have no other one."""
    server = serve(transport, lambda _: b'{"jsonrpc":"2.0","result":"stale","id":"1"}')
    with pytest.raises(ManagementError) as caught:
        ask(server.url, "pwd", timeout_s=0.3)

    waits = transport in {"udp", "unix"}
    assert ("within 0.3 s" if waits else "expected a JSON-RPC answer") in str(caught.value)


@pytest.mark.parametrize("transport", ["udp", "unix"])
def test_stale_datagrams_before_the_answer(ask, serve, events, transport):
    """Late answers to earlier requests, and what is no answer at all, do not stand in for the answer."""
    stale = [b'{"jsonrpc":"2.0","result":"stale","id":"1"}', b"", b"garbage", b"[]"]
    server = serve(transport, lambda request: [*stale, management(events).handle(request)])

    assert ask(server.url, "evi:list")["Events"][0]["name"] == "E_A"


@pytest.mark.parametrize("transport", ["udp", "unix"])
def test_plain_text_of_the_original(ask, serve, transport):
    """The original answers some failures over datagrams without JSON; they are errors with a code."""
    server = serve(transport, lambda _: b"500 Internal error")
    with pytest.raises(ManagementError, match="^500: Internal error$") as caught:
        ask(server.url, "which")
    assert caught.value.code == 500


def test_udp_takes_datagrams_of_the_gateway_alone(serve, events):
    """A datagram of another sender does not reach a client, even with the right id."""

    def answer(request):
        forged = management(events).handle(request.replace(b"pwd", b"events_list"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(forged, server.requests[-1][1])
        return management(events).handle(request)

    server = serve("udp", answer)

    assert Client(server.url).call("pwd") == {"WD": os.getcwd()}


@pytest.fixture
def short_path():
    """Return a folder whose path leaves room for the name of a UNIX socket, which has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ev-", dir="/tmp") as folder:
        yield Path(folder)


def test_unix_client_leaves_no_name(ask, serve, events, short_path, monkeypatch):
    """The client's name is in a folder that others cannot list, and is removed, answer or not."""
    monkeypatch.setattr(tempfile, "tempdir", str(short_path / "tmp"))
    (short_path / "tmp").mkdir()
    (short_path / "replies").mkdir()
    modes = []

    def answer(request):
        path = server.requests[-1][1]
        modes.append([stat.S_IMODE(os.stat(one).st_mode) for one in (path, os.path.dirname(path))])
        return management(events).handle(request) if b"pwd" in request else None

    server = serve("unix", answer)
    ask(server.url, "pwd")
    ask(f"{server.url}?reply_dir={short_path}/replies", "pwd")
    with pytest.raises(ManagementError, match="within"):
        ask(server.url, "silent", timeout_s=0.1)

    names = [name for _, name in server.requests]
    assert len(set(names)) == 3
    assert [name.startswith(f"{short_path}/replies/evframe-") for name in names] == [False, True, False]
    assert modes == [[0o622, 0o711]] * 3
    assert os.listdir(short_path / "tmp") == os.listdir(short_path / "replies") == []


@pytest.mark.parametrize("timeout_s", [0.2, 10.0])
def test_reply_fifo(ask, serve, events, tmp_path, timeout_s):
    """A reply FIFO fits the rules of the original, is for its owner alone to read, and goes, answer or not."""
    server = serve("fifo", management(events).handle if timeout_s > 1 else lambda _: None)
    for _ in range(2):
        if timeout_s > 1:
            ask(server.url, "pwd", timeout_s=timeout_s)
        else:
            with pytest.raises(ManagementError, match="within"):
                ask(server.url, "pwd", timeout_s=timeout_s)

    names = [os.path.basename(path) for _, path in server.requests]
    assert len(set(names)) == 2
    assert not set("".join(names)) & set("./\\")
    assert [stat.S_IMODE(mode) for mode in server.modes] == [0o622, 0o622]
    assert all(stat.S_ISFIFO(mode) for mode in server.modes)
    assert os.listdir(tmp_path) == ["mi"]


def test_fifo_that_nobody_reads(ask, tmp_path):
    """Neither a FIFO without a reader nor a file in its place takes a request."""
    os.mkfifo(tmp_path / "mi")
    with pytest.raises(ManagementError, match=": no process reads the FIFO$"):
        ask(f"fifo://{tmp_path}/mi?reply_dir={tmp_path}", "pwd")
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ManagementError, match=": expected a FIFO, got another kind of file$"):
        ask(f"fifo://{tmp_path}/file?reply_dir={tmp_path}", "pwd")

    assert (tmp_path / "file").read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["file", "mi"]


def test_fifo_closed_without_an_answer(ask, serve):
    """A gateway that closes the reply FIFO with nothing in it has not answered."""
    server = serve("fifo", lambda _: b"")
    with pytest.raises(ManagementError, match="expected a JSON-RPC answer, got b''"):
        ask(server.url, "pwd")


def test_request_over_http(ask, serve, events):
    """What is sent over HTTP: the path, the host, the type, the length and the credentials."""
    server = serve("http", management(events).handle)
    ask(server.url, "pwd")
    ask(server.url, "pwd", token="t0ken")
    ask(server.url.replace("//", "//user:p%20w@"), "pwd")
    ask(server.url.replace("//", "//@"), "pwd")
    heads = [request.partition(b"\r\n\r\n")[0].split(b"\r\n") for request, _ in server.requests]

    assert heads[0][0] == b"POST /mi HTTP/1.1"
    assert b"Host: localhost:%d" % server.listener.getsockname()[1] in heads[0]
    assert b"Content-Type: application/json" in heads[0]
    assert not any(line.startswith(b"Authorization") for line in heads[0])
    assert b"Authorization: Bearer t0ken" in heads[1]
    assert b"Authorization: Basic dXNlcjpwIHc=" in heads[2]
    assert not any(line.startswith(b"Authorization") for line in heads[3])


def test_answer_before_the_end_of_the_request(ask):
    """A server that refuses a request before it has read all of it is understood."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):  # a close with data unread would take the answer away
                    pass

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(ManagementError, match="HTTP status 413"):
            ask("http://127.0.0.1:%d/" % listener.getsockname()[1], "m", ["x" * 8_000_000])


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Return the file of a certificate for localhost, with its key."""
    path = str(tmp_path_factory.mktemp("tls") / "cert.pem")
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", path, "-out", path + ".crt"]
    subprocess.run(words, check=True, capture_output=True)
    with open(path, "a") as whole, open(path + ".crt") as part:
        whole.write(part.read())
    return path


def test_https(ask, serve, events, certificate):
    """Over TLS a gateway is asked when its certificate is trusted and is for its name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = serve("http", management(events).handle, context=context)

    assert ask(server.url, "events_list", ca_file=certificate)["Events"][0]["name"] == "E_A"
    assert len(ask(server.url, "which", ["evi:"], ca_file=certificate)) == 6
    with pytest.raises(ManagementError, match="its certificate is not trusted: self.signed certificate"):
        ask(server.url, "pwd")
    with pytest.raises(ManagementError, match="its certificate is not trusted: .*127.0.0.1"):
        ask(server.url.replace("localhost", "127.0.0.1"), "pwd", ca_file=certificate)
    assert len(server.requests) == 2


def test_https_to_what_is_not(ask, serve, events, tmp_path):
    """A gateway without TLS, and a file without certificates, are distinguished from one that is away."""
    server = serve("http", lambda _: b"{}")
    server.is_whole = lambda request: b"\n" in request or len(request) > 100
    with pytest.raises(ManagementError, match=r"no answer from https://localhost:\d+/mi: expected TLS: "):
        ask(server.url.replace("http:", "https:"), "pwd")
    (tmp_path / "ca").write_text("none")
    for name in ("ca", "nope"):
        with pytest.raises(ValueError, match="ca_file: expected a file of certificates"):
            ask("https://localhost/mi", "pwd", ca_file=str(tmp_path / name))


async def test_many_at_a_time(serve, events, tmp_path):
    """One client has any number of calls under way, over each transport, and leaves nothing behind."""
    for transport in TRANSPORTS:
        client = AsyncClient(serve(transport, management(events).handle).url)
        wanted = ["pwd", "events_list", "which"] * 70  # more than there is room for in the queues of UNIX sockets
        results = await asyncio.gather(*(client.call(method) for method in wanted))
        assert [type(result) for result in results] == [dict, dict, list] * 70

    assert sorted(os.listdir(tmp_path)) == ["http.sock", "mi", "mi.sock"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_many_calls_leave_descriptors_to_others(serve, events, transport):
    """However many calls are under way, they take a bounded number of descriptors, and each is answered."""
    client = AsyncClient(serve(transport, management(events).handle).url, 60)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 300, before[1]))
    try:
        results = await asyncio.gather(*(client.call("which") for _ in range(600)))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert [type(result) for result in results] == [list] * 600


def test_calls_on_one_loop_after_another(serve, events):
    """A client may be used on several loops, with many calls on each."""
    client = AsyncClient(serve("udp", management(events).handle).url)

    async def many():
        return await asyncio.gather(*(client.call("which") for _ in range(200)))

    for _ in range(2):
        assert len(asyncio.run(many())) == 200


async def test_large_requests_through_a_fifo_do_not_mix(serve):
    """Requests that the pipe takes in parts are written one after the other, also those of several clients."""

    def answer(request):
        message = json.loads(request)
        return json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": message["params"]["a"][:1]}).encode()

    url = serve("fifo", answer).url
    calls = [AsyncClient(url, 60).call("x", {"a": letter * size}) for letter in "abcd" for size in (150_000, 10)]
    assert await asyncio.gather(*calls) == list("aabbccdd")


@contextmanager
def calls_of_functions():
    """Yield a counter of the functions that this thread calls meanwhile, by the module."""
    calls = Counter()

    def count(frame, event, _):
        calls[frame.f_globals.get("__name__")] += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_gateway_whose_queue_is_full(ask, tmp_path, kind):
    """A gateway that does not take requests is waited for as any other, and without doing anything meanwhile."""
    path = f"{tmp_path}/mi"
    with ExitStack() as waiting, socket.socket(socket.AF_UNIX, kind) as server:
        server.bind(path)
        if kind == socket.SOCK_STREAM:
            server.listen(1)
        with suppress(BlockingIOError):
            while True:
                other = waiting.enter_context(socket.socket(socket.AF_UNIX, kind))
                other.setblocking(False)
                other.connect(path)
                other.send(b"{}")
        url = f"unix://{path}" if kind == socket.SOCK_DGRAM else f"http+unix://{path.replace('/', '%2F')}/"
        with calls_of_functions() as calls, pytest.raises(ManagementError, match="within 1 s"):
            ask(url, "pwd", timeout_s=1.0)

    assert calls.total() < 20_000  # 200 looks a second; without waiting it is a million


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cancelled(serve, tmp_path, transport):
    """A call that is cancelled ends at once and leaves nothing behind; the loop runs meanwhile."""
    server = serve(transport, lambda _: None)
    before = sorted(os.listdir(tmp_path))
    call = asyncio.create_task(AsyncClient(server.url, timeout_s=50.0).call("pwd"))
    async with asyncio.timeout(20):
        while not server.requests:
            await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("kind", [Client, AsyncClient])
async def test_name_that_takes_long_to_look_up(monkeypatch, kind):
    """Looking up a name is a wait like any other: the call ends at its time limit, while the name is still looked up."""
    over = threading.Event()

    def slow(host, *_, flags=0, **__):
        if flags:
            raise socket.gaierror(socket.EAI_NONAME, "numeric")
        over.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "slow")

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def call(client):
        return client.call("pwd") if kind is Client else await client.call("pwd")

    try:
        with pytest.raises(ManagementError, match="within 0.1 s"):
            await call(kind(f"http://{kind.__name__}.gw/mi", timeout_s=0.1))  # look-ups of one name share a thread
    finally:
        over.set()


def statused(status, needs=b""):
    """Return what answers each request with *status*, but for those that have *needs* in them, which work."""

    def answer(request):
        if not request:
            return None
        if needs and needs in request:
            number = request[request.index(b'"id":"') + 6 :][:16]
            body = b'{"id":"%b","result":"OK"}' % number
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        return b"HTTP/1.1 %d x\r\nContent-Length: 0\r\n\r\n" % status

    return answer


@pytest.mark.parametrize(
    ("status", "options", "advice"),
    [
        (
            401,
            {},
            "401 Unauthorized: the interface wants a token (token_file, --token-file), or user:password@ in the URL",
        ),
        (401, {"token": "other"}, "401 Unauthorized: expected the token or the password of this interface"),
        (400, {}, "400 Bad Request: expected a request that the interface takes, check the path of the URL"),
        (404, {}, "404 Not Found: expected the path of a management interface, which is /mi unless configured"),
        (403, {}, "403 Forbidden: expected a host name that the interface answers"),
    ],
)
def test_refusal_says_what_to_do(ask, serve, status, options, advice):
    """A status that refuses a request comes with what can be done about it, and without the token."""
    server = serve("http", statused(status))
    with pytest.raises(ManagementError) as caught:
        ask(server.url, "pwd", **options)
    assert str(caught.value).startswith(f"no answer from {server.url}: HTTP status {advice}")
    assert len(server.requests) == 1


def test_token_that_was_changed(serve, tmp_path):
    """A client reads the file of its token again when the token is refused, and asks once more if it has another."""
    file = tmp_path / "token"
    file.write_text("first\n")
    server = serve("http", statused(401, b"Bearer second"))
    client = Client(server.url, token_file=str(file))
    with pytest.raises(ManagementError, match="HTTP status 401"):
        client.call("pwd")
    assert len(server.requests) == 1
    file.write_text("second\n")
    assert client.call("pwd") == "OK"
    assert asyncio.run(AsyncClient(server.url, token_file=str(file)).call("pwd")) == "OK"
    assert len(server.requests) == 4


def test_token_file_that_cannot_be_used(tmp_path):
    """A file without a token, no file, and a token beside the file are errors where the client is made."""
    (tmp_path / "empty").write_text("\n")
    for options, problem in (
        ({"token_file": str(tmp_path / "empty")}, "token_file: expected a token, got nothing in"),
        ({"token_file": str(tmp_path / "nosuch")}, "token_file: expected a file that can be read, got .*No such file"),
        ({"token_file": str(tmp_path / "empty"), "token": "x"}, "token_file: expected no token beside it"),
    ):
        with pytest.raises(ValueError, match=problem):
            Client(**options)
