"""OAUTHBEARER: where tokens come from, and what they may take."""

import asyncio
import base64
import threading
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
    """An answer that leads elsewhere is an error: nobody else gets the login."""
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
