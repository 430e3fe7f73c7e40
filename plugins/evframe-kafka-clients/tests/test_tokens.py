"""OAUTHBEARER: where tokens come from, and what they may take."""

import asyncio
import base64
import socketserver
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, quote

import pytest
from aiokafka.errors import KafkaConnectionError
from evframe_kafka_clients.logins import MECHANISM
from evframe_kafka_clients.tokens import Tokens
from token_provider import functions, providing

from evframe.testing import FakeClock

SECRET = "s e&cret="


@pytest.fixture
def provider():
    with providing() as provider:
        yield provider


def options(**more):
    return {"sasl_mechanism": MECHANISM, **more}


def of_the_provider(provider, **more):
    return options(oauth_url=provider.url, oauth_client="us:er", oauth_secret=SECRET, **more)


@pytest.fixture
def module():
    """Return a module whose functions give tokens."""
    with functions("tokens_of_a_test") as made:
        yield made


async def test_the_token_of_a_file_is_read_for_every_connection(tmp_path):
    """A file that a sidecar renews is read again, without the newline at its end."""
    file = tmp_path / "token"
    tokens = Tokens(options(oauth_file=str(file)), 5)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert await tokens.token() == token


async def test_a_function_gives_a_token(module):
    """A plain function runs on another thread, an asynchronous one in the loop."""
    module.plain = lambda: threading.current_thread().name

    async def asynchronous():
        return threading.current_thread().name

    module.asynchronous = asynchronous
    assert await Tokens(options(oauth_function="tokens_of_a_test:plain"), 5).token() == "evframe-kafka-token"
    assert await Tokens(options(oauth_function="tokens_of_a_test:asynchronous"), 5).token() == "MainThread"


async def test_a_provider_gives_a_token_for_an_id_and_a_secret(provider):
    """The request is the grant of client credentials, with the login in its header."""
    tokens = Tokens(of_the_provider(provider, oauth_scope="a b", oauth_extensions="cluster=x, pool=y z"), 5)

    assert await tokens.token() == provider.token
    assert tokens.extensions() == {"cluster": "x", "pool": "y z"}
    ((path, login, body),) = provider.requests
    assert path == "/token"
    assert base64.b64decode(login.removeprefix("Basic ")).decode() == f"us%3Aer:{quote(SECRET, safe='')}"
    assert parse_qs(body) == {"grant_type": ["client_credentials"], "scope": ["a b"]}


async def test_a_token_is_kept_for_most_of_its_lifetime(provider):
    """Connections that are made at the same time ask once, and later ones ask anew before the token ends."""
    clock = FakeClock()
    tokens = Tokens(of_the_provider(provider), 5, clock)
    await asyncio.gather(*(tokens.token() for _ in range(5)))
    assert len(provider.requests) == 1
    clock.advance(0.79 * provider.lifetime_s)
    await tokens.token()
    assert len(provider.requests) == 1
    clock.advance(0.02 * provider.lifetime_s)
    await tokens.token()
    assert len(provider.requests) == 2


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"error":"invalid_client"}'),
        (500, b""),
        (200, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"access_token":7}'),
        (200, b'{"access_token":"a\\u0001auth=x"}'),
        (200, b'{"access_token":"a b"}'),
        (200, b'{"access_token":""}'),
        (200, b'{"access_token":"a","expires_in":"soon"}'),
        (200, b'{"access_token":"' + b"a" * 100_000 + b'"}'),
    ],
)
async def test_what_is_no_token_is_logged_without_a_secret(provider, caplog, status, body):
    """Whatever a provider answers, the connection fails with a reason, and no line has the secret."""
    provider.status, provider.body = status, body
    tokens = Tokens(of_the_provider(provider), 5)
    for _ in range(2):
        with pytest.raises(KafkaConnectionError, match="no token"):
            await tokens.token()

    (warning,) = [record for record in caplog.records if record.message == "no token"]
    assert warning.source == "sasl.oauthbearer.token.endpoint.url"
    assert "cret" not in str(vars(warning))
    assert tokens.problem == "no_token"
    provider.status, provider.body = 200, None
    assert await tokens.token() == provider.token
    assert tokens.problem is None


async def test_the_secret_does_not_follow_a_redirection(provider):
    """An answer that leads elsewhere is an error: no other server gets the login."""
    with providing() as other:
        provider.status, provider.headers = 307, {"Location": other.url}
        with pytest.raises(KafkaConnectionError):
            await Tokens(of_the_provider(provider), 5).token()
        provider.status, provider.headers = 302, {"Location": other.url}
        with pytest.raises(KafkaConnectionError):
            await Tokens(of_the_provider(provider), 5).token()
        assert other.requests == []


async def test_a_function_that_hangs_has_one_thread(module):
    """Each connection waits for its limit, all of them for the same call, whose token is used when it comes."""
    release, calls = threading.Event(), []

    def function():
        calls.append(None)
        release.wait(30)
        return "late"

    module.hanging = function
    tokens = Tokens(options(oauth_function="tokens_of_a_test:hanging"), 0.01)
    for _ in range(3):
        with pytest.raises(KafkaConnectionError):
            await tokens.token()
    assert len(calls) <= 1
    release.set()
    tokens._limit_s = 30
    assert await tokens.token() == "late"
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["nosuch_module_of_a_test:f", "tokens_of_a_test:nosuch", "tokens_of_a_test:number"])
async def test_a_function_that_is_none_is_a_reason(module, caplog, name):
    """What cannot be imported or called ends nothing: the log names the problem."""
    module.number = 7
    with pytest.raises(KafkaConnectionError):
        await Tokens(options(oauth_function=name), 5).token()
    assert [record.problem for record in caplog.records if record.message == "no token"]


async def test_whatever_a_function_raises_is_a_reason(module):
    """A function that ends the process would end a thread, which is a failure of this call."""

    def leave():
        raise SystemExit(3)

    module.leave = leave
    with pytest.raises(KafkaConnectionError):
        await Tokens(options(oauth_function="tokens_of_a_test:leave"), 5).token()


async def test_a_stop_of_an_iteration_is_a_reason(module):
    """A future takes no StopIteration: the call fails, and the next one is made."""
    found = iter(())
    module.following = lambda: next(found)
    tokens = Tokens(options(oauth_function="tokens_of_a_test:following"), 5)
    with pytest.raises(KafkaConnectionError):
        await tokens.token()
    found = iter(["next"])
    assert await tokens.token() == "next"


async def test_whatever_has_to_be_awaited_is_a_function(module):
    """An object whose call is asynchronous gives a token, too."""

    class Giving:
        async def __call__(self):
            return "given"

    module.giving = Giving()
    assert await Tokens(options(oauth_function="tokens_of_a_test:giving"), 5).token() == "given"


async def test_a_function_that_ignores_its_cancellation_holds_nothing_up(module):
    """Each connection waits for its limit; the token is used when it comes."""
    release = asyncio.Event()

    async def ignoring():
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()
        return "late"

    module.ignoring = ignoring
    tokens = Tokens(options(oauth_function="tokens_of_a_test:ignoring"), 0.01)
    for _ in range(3):
        with pytest.raises(KafkaConnectionError):
            await tokens.token()
    release.set()
    tokens._limit_s = 30
    assert await tokens.token() == "late"


def talking(pieces):
    """Return a server of which each connection gets *pieces*, one after the other, and its URL."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            with suppress(OSError):
                for piece in pieces:
                    self.request.sendall(piece)
            self.server.over.set()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.over = threading.Event()
    threading.Thread(target=server.serve_forever).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}/token"


def ended(server):
    server.shutdown()
    server.server_close()


async def test_an_answer_that_is_no_http_is_in_no_log(caplog):
    """A provider that sends the token without a head has it in no line."""
    server, url = talking([b'{"access_token":"sesame"}\r\n\r\n'])
    with pytest.raises(KafkaConnectionError):
        await Tokens(options(oauth_url=url, oauth_client="id", oauth_secret="x"), 5).token()
    (warning,) = [record for record in caplog.records if record.message == "no token"]
    assert "sesame" not in str(vars(warning))
    ended(server)


@pytest.mark.parametrize(
    "piece", [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\n\r\n"]
)
async def test_an_answer_without_an_end_is_cut_off(provider, piece):
    """A provider that sends for ever, a byte at a time or as much as it can, is asked again once it is well."""

    def pieces():
        yield piece
        while True:
            if piece.startswith(b"HTTP/1.1 100"):
                yield piece
            else:
                time.sleep(0.05)  # each byte comes within the limit of one wait
                yield b" "

    server, url = talking(pieces())
    tokens = Tokens(options(oauth_url=url, oauth_client="id", oauth_secret="x"), 0.2)
    with pytest.raises(KafkaConnectionError):
        await tokens.token()
    await asyncio.to_thread(server.over.wait)  # its connection has ended
    ended(server)
    tokens._options, tokens._limit_s = of_the_provider(provider), 30
    assert await tokens.token() == provider.token


async def test_a_token_is_not_kept_when_no_connection_comes_of_it(provider):
    """Brokers may have refused it: the next connection gets another one, and only that asks the provider."""
    tokens = Tokens(of_the_provider(provider), 5, FakeClock())
    await tokens.token()
    tokens.failed()
    tokens.failed()
    await tokens.token()
    await tokens.token()
    assert len(provider.requests) == 2
