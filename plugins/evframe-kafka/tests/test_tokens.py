"""OAUTHBEARER: where tokens come from, what they may take, and a Kafka that wants one."""

import asyncio
import base64
import logging
import sys
import threading
from types import ModuleType
from urllib.parse import parse_qs, quote

import pytest
from aiokafka.errors import KafkaConnectionError
from brokers.topics import make_topic, records_in
from evframe_kafka import KafkaTransport, Options, parse
from evframe_kafka.tokens import MECHANISM, Tokens
from token_provider import providing, unsigned_token

import evframe
from evframe.exceptions import ForbiddenError
from evframe.subscriptions.policy import ManagementOptions, Policy
from evframe.testing import FakeClock, until

SECRET = "s e&cret="


@pytest.fixture
def provider():
    with providing() as provider:
        yield provider


@pytest.fixture
async def topic(kafka):
    """Return a topic of the test's own, with one partition."""
    return await make_topic(kafka)


def options(**more):
    return {"sasl_mechanism": MECHANISM, **more}


def of_the_provider(provider, **more):
    return options(oauth_url=provider.url, oauth_client="us:er", oauth_secret=SECRET, **more)


@pytest.fixture
def module():
    """Return a module whose functions give tokens."""
    made = sys.modules["tokens_of_a_test"] = ModuleType("tokens_of_a_test")
    yield made
    del sys.modules["tokens_of_a_test"]


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


OAUTH = "h/t?g.security.protocol=SASL_SSL&g.sasl.mechanism=OAUTHBEARER"
URL = f"g.sasl.oauthbearer.token.endpoint.url={quote('https://id.example/token')}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (OAUTH, "expected one of the properties sasl.oauthbearer.token.file"),
        (f"{OAUTH}&g.sasl.oauthbearer.token.file=/t&{URL}", "expected one of the properties"),
        (f"{OAUTH}&{URL}", "sasl.oauthbearer.client.id and .client.secret"),
        (f"{OAUTH}&g.sasl.oauthbearer.token.endpoint.url=ftp://h", "expected an http: or https: URL"),
        (f"{OAUTH}&g.sasl.oauthbearer.token.endpoint.url=http://u:p@h", "expected an http: or https: URL"),
        (f"{OAUTH}&g.sasl.oauthbearer.token.function=nocolon", "expected module:function"),
        (f"{OAUTH}&g.sasl.oauthbearer.token.file=/t&g.sasl.oauthbearer.extensions=x", "expected name=value"),
        (f"{OAUTH}&g.sasl.oauthbearer.token.file=/t&g.sasl.oauthbearer.extensions=auth%3Dx", "expected name=value"),
        (f"{OAUTH}&g.sasl.oauthbearer.token.file=/t&g.sasl.oauthbearer.method=x", "expected default or oidc"),
    ],
)
def test_properties_that_give_no_token_are_refused(text, problem):
    """A socket says where its tokens come from, from one place, when it is subscribed."""
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport()})
    events.register_event("E_TEST")
    with pytest.raises(evframe.SocketError, match=problem):
        events.subscribe_event("E_TEST", f"kafka:{text}")


def test_an_error_has_no_secret_of_a_provider():
    """What is shown of a socket that is refused has no secret."""
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport()})
    events.register_event("E_TEST")
    with pytest.raises(evframe.SocketError) as caught:
        events.subscribe_event("E_TEST", f"kafka:{OAUTH}&g.sasl.oauthbearer.client.secret=sesame&g.nosuch=1")
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    ["g.sasl.oauthbearer.token.file=/etc/token", "g.sasl.oauthbearer.token.function=os:getcwd", URL],
)
def test_a_client_subscribes_no_socket_that_fetches_tokens(source):
    """A client over a management interface could have files read, functions called and pages fetched."""
    socket = parse(f"{OAUTH}&{source}&g.sasl.oauthbearer.client.id=i&g.sasl.oauthbearer.client.secret=s")
    with pytest.raises(ForbiddenError, match="in sockets of the configuration alone"):
        Policy("test", ManagementOptions()).check_socket(socket)
    Policy("test", ManagementOptions()).check_socket(parse("h/t"))


@pytest.mark.parametrize("source", ["file", "function", "provider"])
async def test_a_kafka_takes_the_token(kafka, topic, tmp_path, module, provider, source, caplog):
    """Records arrive at brokers that want a token; it is in no log, at DEBUG either."""
    if not hasattr(kafka, "token_port"):
        pytest.skip("the broker that is given has no listener for tokens")
    token = provider.token
    (tmp_path / "token").write_text(token)
    module.give = lambda: token
    properties = {
        "file": f"g.sasl.oauthbearer.token.file={tmp_path / 'token'}",
        "function": "g.sasl.oauthbearer.token.function=tokens_of_a_test:give",
        "provider": f"g.sasl.oauthbearer.method=oidc&g.sasl.oauthbearer.token.endpoint.url={quote(provider.url)}"
        f"&g.sasl.oauthbearer.client.id=i&g.sasl.oauthbearer.client.secret={quote(SECRET)}",
    }[source]
    where = f"kafka:127.0.0.1:{kafka.token_port}/{topic}"
    text = f"{where}?g.security.protocol=SASL_PLAINTEXT&g.sasl.mechanism=OAUTHBEARER&{properties}"
    with caplog.at_level(logging.DEBUG):
        async with interface() as events:
            events.subscribe_event("E_TEST", text)
            assert (await events.raise_event_and_wait("E_TEST", ["x"], timeout_s=30))[0].delivered
            assert token not in str(events.statistics)
    assert token not in caplog.text
    assert "cret=" not in caplog.text
    assert len(await records_in(kafka, topic)) == 1


async def test_an_expired_token_is_refused_and_a_new_one_is_taken(kafka, topic, tmp_path):
    """Events wait while the brokers refuse the token, and while there is none; they arrive with the next one."""
    if not hasattr(kafka, "token_port"):
        pytest.skip("the broker that is given has no listener for tokens")
    file = tmp_path / "token"
    file.write_text(unsigned_token(lifetime_s=-5))
    text = f"kafka:127.0.0.1:{kafka.token_port}/{topic}?g.security.protocol=SASL_PLAINTEXT"
    async with interface(connect_timeout_ms=3000) as events:
        lease = events.subscribe_event(
            "E_TEST", f"{text}&g.sasl.mechanism=OAUTHBEARER&g.sasl.oauthbearer.token.file={file}"
        )
        events.raise_event("E_TEST")
        await until(lambda: lease.subscriber.attempts)
        file.unlink()
        await until(lambda: lease.subscriber.away == "no_token")
        file.write_text(unsigned_token())
        await until(lambda: lease.subscriber.delivered == 1)


def interface(**more):
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport(Options(**more))})
    events.register_event("E_TEST")
    return events
