"""OAUTHBEARER: sockets that want it, and a Kafka that does."""

import logging
from urllib.parse import quote

import pytest
from brokers.topics import make_topic, records_in
from evframe_kafka import KafkaTransport, Options, parse
from evframe_mi import ManagementOptions
from evframe_mi.policy import Policy
from token_provider import functions, providing, unsigned_token

import evframe
from evframe.exceptions import ForbiddenError
from evframe.testing import until

SECRET = "s e&cret="


@pytest.fixture
def provider():
    with providing() as provider:
        yield provider


@pytest.fixture
async def topic(kafka):
    """Return a topic of the test's own, with one partition."""
    return await make_topic(kafka)


@pytest.fixture
def module():
    """Return a module whose functions give tokens."""
    with functions("tokens_of_a_test") as made:
        yield made


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


@pytest.mark.parametrize(
    "files",
    [
        "g.ssl.ca.location=/tmp/pipe",
        "g.ssl.certificate.location=/a.pem",
        "g.ssl.certificate.location=/a&g.ssl.key.location=/b",
    ],
)
def test_a_client_names_no_file_of_certificates(files):
    """A client could log in elsewhere with a key of this machine, or have a pipe read that never ends."""
    with pytest.raises(ForbiddenError, match=r"expected ssl\.\w+\.location in sockets of the configuration alone"):
        Policy("test", ManagementOptions()).check_socket(parse(f"h/t?g.security.protocol=SSL&{files}"))
    Policy("test", ManagementOptions()).check_socket(parse("h/t?g.security.protocol=SSL"))


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


async def test_a_token_that_brokers_refuse_is_not_kept(kafka, topic, provider):
    """A token that is refused before the end of its lifetime, as a key is exchanged, is fetched anew."""
    if not hasattr(kafka, "token_port"):
        pytest.skip("the broker that is given has no listener for tokens")
    good, provider.token = provider.token, unsigned_token(lifetime_s=-5)
    text = (
        f"kafka:127.0.0.1:{kafka.token_port}/{topic}?g.security.protocol=SASL_PLAINTEXT&g.sasl.mechanism=OAUTHBEARER"
        f"&g.sasl.oauthbearer.token.endpoint.url={quote(provider.url)}"
        "&g.sasl.oauthbearer.client.id=i&g.sasl.oauthbearer.client.secret=s"
    )
    async with interface(connect_timeout_ms=3000) as events:
        lease = events.subscribe_event("E_TEST", text)
        events.raise_event("E_TEST")
        await until(lambda: lease.subscriber.attempts)
        provider.token = good
        await until(lambda: lease.subscriber.delivered == 1)


def interface(**more):
    events = evframe.EventInterface(plugins={"kafka": KafkaTransport(Options(**more))})
    events.register_event("E_TEST")
    return events
