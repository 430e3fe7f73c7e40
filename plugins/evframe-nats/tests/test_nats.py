"""The transport against a real NATS."""

import asyncio
import json
import logging
import signal
import uuid
from contextlib import asynccontextmanager

import nkeys
import pytest
from brokers import certificates
from brokers.nats import MOST_BYTES, Nats
from brokers.proxy import FaultProxy
from brokers.streams import jetstream_of, make_stream, messages_in, numbers_in
from carried import PARENT, ByParameter
from evframe_mi import ManagementOptions
from evframe_mi.policy import Policy
from evframe_nats import NatsTransport, Options, ServerOptions
from evframe_nats_clients.connection import NatsConnection
from nats.aio.transport import TcpTransport
from stream_servers import StreamServer

import evframe
from evframe.exceptions import ForbiddenError
from evframe.testing import FakeNames, Peer, TransportContract, until

PERMISSIONS = """
accounts {
  A {
    jetstream: enabled
    users = [
      { user: all, password: s3cret }
      { user: few, password: s3cret, permissions { publish: ["open.>"], subscribe: ["_INBOX.>"] } }
      { user: mute, password: s3cret, permissions { publish: [">"], subscribe: ["mine.>"] } }
      { nkey: NKEY }
    ]
  }
}
"""


def interface(*servers, **options):
    transport = NatsTransport(Options(servers=list(servers), **options))
    events = evframe.EventInterface(plugins={"nats": transport})
    events.register_event("E_TEST")
    return events


@pytest.fixture
async def name(nats):
    """Return a stream of the test's own."""
    name = f"s{uuid.uuid4().hex[:8]}"
    await make_stream(nats, name)
    return name


@pytest.fixture
def own():
    """Return what starts a server with further lines in its configuration."""
    started = []

    def start(more):
        server = Nats()
        started.append(server)
        server.configure(more)
        server.start()
        return server

    yield start
    for server in started:
        server.remove()


async def reason_of(events, *params):
    return (await events.raise_event_and_wait("E_TEST", *params, timeout_s=20))[0].reason


async def test_answers_of_an_application_in_lines(nats):
    """They are no acknowledgements, and nothing on the connection is lost by them."""
    subject = f"app{uuid.uuid4().hex[:8]}"
    async with jetstream_of(nats) as jetstream, FaultProxy(nats.port) as proxy, interface() as events:

        async def answer(message):
            await jetstream._nc.publish(message.reply, b"done\r\nso far\r\n")

        await jetstream._nc.subscribe(subject, cb=answer)
        await jetstream._nc.flush()
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{proxy.port}/{subject}")
        for number in range(3):
            assert await reason_of(events, [number]) == "bad_reply"
        assert proxy.connections == 1
        assert lease.subscriber.attempts == 0


async def settled(lease):
    """Wait until the subscriber has an event, or is away."""
    await until(lambda: lease.subscriber.away or lease.subscriber.delivered)


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = (
        "nats:",
        "nats://",
        "nats://h",
        "nats://h/",
        "nats:h/a",
        "nats:///a",
        "nats://h:0/a",
        "nats://h:70000/a",
        "nats://h,/a",
        "nats://u:s3cret@h/a",
        "nats://u@h/a",
        "nats://h/a..b",
        "nats://h/a.*",
        "nats://h/a.>",
        "nats://h/a b",
        "nats://h/a%0d%0aPUB b 0",
        "nats://h/a%",
        "nats://h/a%ff",
        "nats://h/$JS.API.STREAM.DELETE.S",
        "nats://h/a.{b",
        "nats://h/a?b",
        "nats://h/" + "a" * 1025,
    )
    lost_sockets = ("nats://127.0.0.1:1/a", "nats://127.0.0.1:1/a?core")
    library_cycles = (NatsConnection, TcpTransport)

    @pytest.fixture(autouse=True)
    def server(self, nats):
        self.nats = nats

    def transport(self):
        return NatsTransport()

    @asynccontextmanager
    async def peer(self):
        name = f"s{uuid.uuid4().hex[:8]}"
        await make_stream(self.nats, name)
        async with jetstream_of(self.nats) as jetstream:
            reader = await jetstream.subscribe(f"{name}.a", ordered_consumer=True)

            async def receive(count):
                return [(await reader.next_msg(30)).data for _ in range(count)]

            yield Peer(f"nats://127.0.0.1:{self.nats.port}/{name}.a", receive)
            await reader.unsubscribe()
            await jetstream.delete_stream(name)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nats://h/a", "nats://h:4222/a"),
        ("nats://H.Example:4223/a.b?core", "nats://h.example:4223/a.b?core"),
        ("nats://a,b:4223,[::1]/calls.ended?tls&core", "nats://a:4222,b:4223,[::1]:4222/calls.ended?core&tls"),
        ("nats://h/calls.{caller}.{2}", "nats://h:4222/calls.{caller}.{2}"),
        ("nats://h/a%7Bb", "nats://h:4222/a{{b"),
        ("nats://h/{{b.{c}", "nats://h:4222/{{b.{c}"),
        ("nats://h/caf%C3%A9/$x:y", "nats://h:4222/caf%C3%A9/$x:y"),
        ("nats://n@h/a", "nats://n@h:4222/a"),
        ("nats://a%40b@h/a", "nats://a%40b@h:4222/a"),
    ],
)
def test_sockets(text, canonical):
    """The canonical text has the ports, and is the same socket."""
    servers = [ServerOptions(url="*", user=user, password="s3cret") for user in ("n", "a@b")]
    transport = NatsTransport(Options(servers=servers))
    socket = transport.on_subscribe("nats", text.partition(":")[2])
    assert socket.canonical == canonical
    assert transport.on_subscribe("nats", canonical.partition(":")[2]) == socket
    assert "s3cret" not in repr(transport._options)


@pytest.mark.parametrize("login", [{"password": "s3cret", "user": "n"}, {"token": "s3cret"}])
def test_clients_do_not_use_the_login(login):
    """A run-time client, which chooses host and subject, gets no login of the configuration but one that is for clients."""
    policy = Policy("test", ManagementOptions(schemes=["nats"]))
    texts = ["//evil.example/a", *(["//n@evil.example/a"] if "user" in login else [])]
    for text in texts:
        transport = NatsTransport(Options(servers=[ServerOptions(url="*", **login)]))
        with pytest.raises(ForbiddenError, match="a server with a login"):
            policy.check_socket(transport.on_subscribe("nats", text))
        permitting = NatsTransport(Options(servers=[ServerOptions(url="*", for_clients=True, **login)]))
        policy.check_socket(permitting.on_subscribe("nats", text))
    others = NatsTransport(Options(servers=[ServerOptions(url="nats://h/calls.*", **login)]))
    policy.check_socket(others.on_subscribe("nats", "//h/other"))


@pytest.mark.parametrize("url", ["nats://[::1]", "nats://[::1]:4222/calls.*", "nats://[::*]"])
def test_logins_for_addresses_in_brackets(url):
    """The brackets of an IPv6 address are no wildcard: the login is that of this address, and of no other host."""
    transport = NatsTransport(Options(servers=[ServerOptions(url=url, user="n", password="s3cret")]))
    assert transport.on_subscribe("nats", "//n@[::1]/calls.a").user == "n"
    with pytest.raises(evframe.SocketError, match="expected a user of an entry"):
        transport.on_subscribe("nats", "//n@1:4222/calls.a")


def test_urls_of_nats_with_tls():
    """The URL that other clients have for TLS is refused with the socket that it stands for."""
    with pytest.raises(evframe.SocketError, match=r"expected 'nats://h:4223/a\?tls', got a URL"):
        interface().subscribe_event("E_TEST", "tls://h:4223/a")


@pytest.mark.parametrize(
    "text",
    [
        "nats://s3cret@h/a",
        "nats://u:s3cret@h/a",
        "nats://u:s3/cret@h/a",
        "nats://u:s3cret/x@h/a",
        "nats:s3cret@h",
        "nats://s3cret%@h/a",
        "nats://s3cret%ff@h/a",
    ],
)
def test_what_may_be_a_secret_is_not_shown(text):
    """An error about a socket shows no user: NATS takes one without a password for a token."""
    with pytest.raises(evframe.SocketError) as caught:
        interface().subscribe_event("E_TEST", text)
    assert "cret" not in str(caught.value)


async def test_events_of_the_same_time(nats, name, monkeypatch):
    """On a machine with a coarse clock, no event passes for another attempt of the one before, which has its bytes."""
    monkeypatch.setattr("evframe.subscriptions.raising.monotonic", lambda: 1.0)
    async with interface() as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.a")
        reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", [n // 2]) for n in range(100)))
    assert all(outcome.delivered for report in reports for outcome in report)
    assert sorted(await numbers_in(nats, name)) == [n // 2 for n in range(100)]


async def test_messages(nats, name):
    """A message has the payload and an id; an event that goes to two subjects of a stream is stored twice."""
    async with interface() as events:
        for end in ("a", "b"):
            events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.{end}")
        for _ in range(2):
            assert {each.reason for each in await events.raise_event_and_wait("E_TEST", {"s": "é"})} == {None}
    found = await messages_in(nats, name)
    assert sorted(message.subject for message in found) == [*[f"{name}.a"] * 2, *[f"{name}.b"] * 2]
    assert {message.data for message in found} == {'{"jsonrpc":"2.0","method":"E_TEST","params":{"s":"é"}}'.encode()}
    assert len({message.headers["Nats-Msg-Id"] for message in found}) == 4
    assert {frozenset(message.headers) for message in found} == {frozenset({"Nats-Msg-Id"})}


async def test_headers_of_the_context(nats, name):
    """A message has the headers of its event."""
    async with interface() as events:
        events.trace_by(ByParameter())
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.a")
        for headers in (None, {"traceparent": PARENT}):
            assert await reason_of(events, {"headers": headers}) is None
    plain, traced = await messages_in(nats, name)
    assert "traceparent" not in plain.headers
    assert traced.headers["traceparent"] == PARENT


async def test_lost_acknowledgements_repeat_nothing(nats, name):
    """Messages that were stored and not acknowledged are sent again, and are in the stream once."""
    async with FaultProxy(nats.port) as proxy, interface(timeout_ms=300, login_timeout_ms=300) as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{proxy.port}/{name}.a")
        assert await reason_of(events, [0]) is None
        proxy.hold_back()
        for number in range(1, 500):
            events.raise_event("E_TEST", [number])
        async with jetstream_of(nats) as jetstream:
            async with asyncio.timeout(30):
                while (await jetstream.stream_info(name)).state.messages < 500:
                    await asyncio.sleep(0.01)
        await until(lambda: lease.subscriber.away)
        proxy.release()
        await until(lambda: lease.subscriber.delivered == 500)
    assert await numbers_in(nats, name) == list(range(500))


async def test_subjects_of_events(nats, name):
    """A subject has parameters of the event; an event that makes no subject, or one without a stream, fails alone."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.{{to}}.{{2}}")
        outcomes = [
            await reason_of(events, {"to": to, "n": number})
            for number, to in enumerate(["a", "10.0.0.1", "", "a b", "a*", ">", "a\r\nPUB x 0", None, ["a"], "é"])
        ]
        assert outcomes == [None, None, *["unfit_parameter"] * 5, "missing_parameter", "unfit_parameter", None]
        assert await reason_of(events, {"to": "x"}) == "missing_parameter"
    found = await messages_in(nats, name)
    assert [message.subject for message in found] == [f"{name}.a.0", f"{name}.10.0.0.1.1", f"{name}.é.9"]
    async with interface() as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{{to}}")
        assert await reason_of(events, {"to": f"{name}.x"}) == "unroutable"
        assert await reason_of(events, {"to": "$JS.API.STREAM.PURGE.x"}) == "unfit_parameter"


async def test_stream_that_is_missing(nats):
    """Events wait until there is a stream for the subject, and are in it in order."""
    name = f"s{uuid.uuid4().hex[:8]}"
    async with interface() as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.a")
        with pytest.raises(evframe.Unavailable, match="no_stream"):
            await lease.subscriber.transport.deliver(lease.subscriber.socket, evframe.Batch(()))
        for number in range(100):
            events.raise_event("E_TEST", [number])
        await until(lambda: lease.subscriber.away == "no_stream")
        await make_stream(nats, name)
        await until(lambda: lease.subscriber.delivered == 100)
    assert await numbers_in(nats, name) == list(range(100))


async def test_server_without_jetstream(own):
    """Without JetStream events wait, and core NATS takes them."""
    server = own("")
    (server.folder / "nats.conf").write_text(f"listen: 127.0.0.1:{server.port}\n")
    server.stop()
    server.start()
    async with interface() as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{server.port}/a")
        events.raise_event("E_TEST", [0])
        await until(lambda: lease.subscriber.away == "no_stream")
        events.register_event("E_CORE")
        events.subscribe_event("E_CORE", f"nats://127.0.0.1:{server.port}/a?core")
        assert (await events.raise_event_and_wait("E_CORE", [0]))[0].delivered
        assert events.unsubscribe_event("E_TEST", lease.subscriber.socket.canonical)


async def test_core(nats):
    """In core NATS, a subscriber gets the messages in order, without an id; without one no event fails."""
    async with jetstream_of(nats) as jetstream, interface() as events:
        subject = uuid.uuid4().hex
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{subject}?core")
        assert await reason_of(events, [0]) is None
        reader = await jetstream._nc.subscribe(subject)
        await jetstream._nc.flush()
        for number in range(1, 1000):
            events.raise_event("E_TEST", [number])
        messages = [await reader.next_msg(30) for _ in range(999)]
        await until(lambda: lease.subscriber.delivered == 1000)
    assert [json.loads(message.data)["params"] for message in messages] == [[number] for number in range(1, 1000)]
    assert {message.headers for message in messages} == {None}
    assert {message.reply for message in messages} == {""}


@pytest.mark.parametrize("flag", ["", "?core"])
async def test_message_that_is_too_large(nats, name, flag):
    """A message of more bytes than the server takes fails, headers included; those with it are delivered."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.a{flag}")
        sizes = [1, MOST_BYTES, MOST_BYTES - 60, 2]
        outcomes = await asyncio.gather(*(reason_of(events, ["x" * size]) for size in sizes))
    assert outcomes == [None, "too_large", None if flag else "too_large", None]


@pytest.mark.parametrize(
    ("config", "reasons"),
    [
        ({"max_msg_size": 1000}, [None, "too_large", None]),
        ({"max_msgs": 1, "discard": "new"}, [None, "nacked", "nacked"]),
        ({"max_bytes": 2000, "discard": "new"}, [None, "nacked", None]),
        ({"sealed": False}, [None, None, None]),
    ],
)
async def test_streams_that_refuse(nats, config, reasons):
    """A message that the stream has no room for fails with a reason, and the others are taken."""
    name = f"s{uuid.uuid4().hex[:8]}"
    await make_stream(nats, name, **config)
    async with interface() as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{name}.a")
        assert await asyncio.gather(*(reason_of(events, ["x" * size]) for size in (1, 5000, 1))) == reasons
    await messages_in(nats, name)


async def test_subject_of_somebody_who_answers(nats):
    """An answer that is none of a stream is a failure: nothing is stored."""
    subject = uuid.uuid4().hex
    async with jetstream_of(nats) as jetstream, interface() as events:

        async def answer(message):
            await message.respond(b'{"stream":5' if message.data.endswith(b"[1]}") else b"thanks\r\n")

        await jetstream._nc.subscribe(subject, cb=answer)
        await jetstream._nc.flush()
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/{subject}")
        assert await reason_of(events, [0]) == "bad_reply"


@pytest.fixture
def guarded(own, tmp_path):
    """Return a server with users, and the file of an NKey."""
    pair = nkeys.from_seed(nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER))
    (tmp_path / "nkey").write_bytes(bytes(pair.seed) + b"\n")
    return own(PERMISSIONS.replace("NKEY", pair.public_key.decode())), str(tmp_path / "nkey")


async def test_users(guarded, caplog):
    """Each login is used for the sockets that it is for; without one, or with a wrong password, events wait."""
    server, nkey_file = guarded
    async with jetstream_of(server, user="all", password="s3cret") as jetstream:
        await jetstream.add_stream(name="S", subjects=["open.>", "shut.>"])
    place = f"127.0.0.1:{server.port}"
    servers = [
        ServerOptions(url=f"nats://{place}", user="key", nkey_file=nkey_file),
        ServerOptions(url=f"nats://{place}/open.none", user="all", password="wr0ng"),
        ServerOptions(url=f"nats://{place}/open.*", user="all", password="s3cret"),
        ServerOptions(url=f"nats://{place}", user="few", password="s3cret"),
    ]
    with caplog.at_level(logging.DEBUG):
        async with interface(*servers) as events:
            for user, subject, reason in [
                ("key@", "shut.a", None),
                ("all@", "open.a", None),
                ("few@", "open.a", None),
                ("few@", "shut.a", "access_refused"),
                ("few@", "Shut.{1}", "access_refused"),
                ("", "shut.a", None),
            ]:
                events.subscribe_event("E_TEST", f"nats://{user}{place}/{subject}")
                assert await reason_of(events, ["x"]) == reason, (user, subject)
                events.unsubscribe_event("E_TEST", f"nats://{user}{place}/{subject}")
            lease = events.subscribe_event("E_TEST", f"nats://all@{place}/open.none")
            events.raise_event("E_TEST")
            await until(lambda: lease.subscriber.away == "access_refused")
            with pytest.raises(evframe.SocketError, match="expected a user"):
                events.subscribe_event("E_TEST", f"nats://all@{place}/shut.a")
            with pytest.raises(evframe.SocketError, match="expected a user"):
                events.subscribe_event("E_TEST", f"nats://all@{place},evil.example/open.a")
            events.unsubscribe_event("E_TEST", lease.subscriber.socket.canonical)
    assert "s3cret" not in caplog.text
    assert "wr0ng" not in caplog.text


async def test_user_who_may_not_read_answers(guarded):
    """A user without the right to the subjects of answers needs others; without them its events wait."""
    server, _ = guarded
    async with jetstream_of(server, user="all", password="s3cret") as jetstream:
        await jetstream.add_stream(name="S", subjects=["open.>"])
    for prefix, is_away in (("_INBOX", True), ("mine", False)):
        login = ServerOptions(url="*", user="mute", password="s3cret", inbox_prefix=prefix)
        async with interface(login) as events:
            lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{server.port}/open.a")
            events.raise_event("E_TEST", [1])
            await settled(lease)
            assert lease.subscriber.away == ("access_refused" if is_away else None)
            events.unsubscribe_event("E_TEST", lease.subscriber.socket.canonical)


async def test_token(own):
    """A token is a login without a user."""
    server = own('authorization { token: "s3cret" }')
    async with interface(ServerOptions(url="*", token="s3cret")) as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{server.port}/a?core")
        assert await reason_of(events, [1]) is None


@pytest.mark.parametrize("field", ["creds_file", "nkey_file"])
async def test_files_that_are_no_credentials(nats, tmp_path, field):
    """A file in which no login stands has its own reason."""
    (tmp_path / "file").write_text("none\n")
    async with interface(ServerOptions(url="*", **{field: str(tmp_path / "file")})) as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{nats.port}/a?core")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.away == "no_credentials")
        events.unsubscribe_event("E_TEST", lease.subscriber.socket.canonical)


@pytest.mark.parametrize("first", [False, True])
async def test_tls(own, tmp_path, first):
    """With `tls` the server proves its name; a server that wants TLS without it gets nothing."""
    both = certificates.make(tmp_path)
    paths = f'cert_file: "{tmp_path}/certificate.pem", key_file: "{tmp_path}/certificate-key.pem"'
    server = own(f"tls {{ {paths}, handshake_first: {str(first).lower()} }}")
    login = ServerOptions(url="*", tls_first=first)
    names = FakeNames({"localhost": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
    events = interface(login, ca_file=str(both), timeout_ms=500, login_timeout_ms=500)
    with names:
        events.resolver.lookup = names
        async with events:
            for place, end, reason in [
                ("localhost", "&tls", None),
                ("other.example", "&tls", "tls"),
                ("localhost", "", "login_timeout" if first else "tls"),
            ]:
                lease = events.subscribe_event("E_TEST", f"nats://{place}:{server.port}/a?core{end}")
                events.raise_event("E_TEST", [1])
                await settled(lease)
                assert lease.subscriber.away == reason
                events.unsubscribe_event("E_TEST", lease.subscriber.socket.canonical)


async def test_server_that_does_not_encrypt_gets_no_password(nats):
    """A socket with `tls` sends nothing secret to a server without TLS."""
    sent = []

    async def serve(reader, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.12.0","headers":true,"max_payload":1000}\r\n')
        sent.append(await reader.read())

    login = ServerOptions(url="*", user="u", password="s3cret")
    async with StreamServer(serve) as server:
        async with interface(login) as events:
            lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{server.port}/a?tls")
            events.raise_event("E_TEST", [1])
            await until(lambda: lease.subscriber.away == "tls")
            events.unsubscribe_event("E_TEST", lease.subscriber.socket.canonical)
        await server.ended()
    assert set(sent) == {b""}


@pytest.mark.parametrize("field", ["ca_file", "cert_file"])
def test_certificates_that_are_none(tmp_path, field):
    """A file of certificates that cannot be used is an error of the start."""
    with pytest.raises(evframe.ConfigError, match=f"{field}: expected certificates"):
        NatsTransport(Options(**{field: str(tmp_path / "missing")}))


async def test_several_hosts(nats, name):
    """The servers are tried in their order, and the one that works is kept."""
    async with FaultProxy(nats.port) as proxy, interface() as events:
        proxy.refuse()
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{proxy.port},127.0.0.1:{nats.port}/{name}.a")
        assert await reason_of(events, [0]) is None
        await proxy.open()
        assert await reason_of(events, [1]) is None
        assert not proxy.connections
        assert not lease.subscriber.attempts


async def test_connections_are_shared_and_exchanged(nats, name):
    """Subscribers share a connection, which is exchanged at its age and ends with the last of them; nothing is lost."""
    async with FaultProxy(nats.port) as proxy, interface(max_connection_age_s=0.2) as events:
        sockets = [f"nats://127.0.0.1:{proxy.port}/{name}.{end}" for end in "abc"]
        for socket in sockets:
            events.subscribe_event("E_TEST", socket)
        assert len(await events.raise_event_and_wait("E_TEST", [0])) == 3
        assert proxy.connections == 1
        count = 1
        while proxy.connections < 3:
            await events.raise_event_and_wait("E_TEST", [count])
            count += 1
        for socket in sockets:
            events.unsubscribe_event("E_TEST", socket)
        await until(lambda: not proxy._writers)
        assert not events.plugin("nats")._servers
    assert sorted(await numbers_in(nats, name)) == sorted([*range(count)] * 3)


async def test_server_that_leaves(own):
    """A server that announces its end gets nothing more, and loses nothing."""
    server = own('lame_duck_duration: "30s"\nlame_duck_grace_period: "10s"\n')
    other = own("")
    for each in (server, other):
        await make_stream(each, "S")
    async with interface() as events:
        events.subscribe_event("E_TEST", f"nats://127.0.0.1:{server.port},127.0.0.1:{other.port}/S.a")
        assert await reason_of(events, [0]) is None
        server.signal(signal.SIGUSR2)
        (link,) = [each._link for each in events.plugin("nats")._servers.values()]
        await until(lambda: link.connection.is_leaving)
        assert await reason_of(events, [1]) is None
        assert await reason_of(events, [2]) is None
    assert await numbers_in(other, "S") == [1, 2]


async def test_names_that_move(nats, name):
    """Messages go to the addresses that the host has now, and none is lost on the way."""
    async with FaultProxy(nats.port) as old, FaultProxy(nats.port, old.port, "127.0.0.2") as new:
        with FakeNames({"nats.example": ["127.0.0.1"]}) as names:
            events = interface()
            events.resolver.lookup = names
            async with events:
                lease = events.subscribe_event("E_TEST", f"nats://nats.example:{old.port}/{name}.a")
                assert await reason_of(events, [0]) is None
                sent = 0
                names["nats.example"] = ["127.0.0.2"]
                while not new.connections or lease.subscriber.depth:
                    if not new.connections:
                        events.raise_event("E_TEST", [sent := sent + 1])
                    events.resolver.forget("nats.example")
                    events.resolver.refresh_all()
                    await asyncio.sleep(0)
                await until(lambda: not old._writers)
                assert (old.connections, new.connections) == (1, 1)
    assert await numbers_in(nats, name) == list(range(sent + 1))


@pytest.mark.parametrize(
    "text",
    [
        b"-ERR \r\n",
        b"NONSENSE\r\n",
        b"MSG x\r\n",
        b"INFO {\r\n",
        b"-ERR 'Stale Connection'\r\n",
        b"HMSG a 1 9 3\r\nxxx\r\n",
    ],
)
async def test_server_that_sends_nonsense(text):
    """A connection on which nonsense comes is given up, and the events wait."""

    async def serve(reader, writer):
        writer.write(b'INFO {"server_id":"x","version":"2.12.0","headers":true,"max_payload":1000}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await reader.readuntil(b"SUB")
        writer.write(text)
        await reader.read()

    async with StreamServer(serve) as server, interface(timeout_ms=300) as events:
        lease = events.subscribe_event("E_TEST", f"nats://127.0.0.1:{server.port}/a")
        events.raise_event("E_TEST", [1])
        await until(lambda: lease.subscriber.attempts > 1)
        assert not lease.subscriber.delivered
        assert not lease.subscriber.failed
        events.unsubscribe_event("E_TEST", lease.subscriber.socket.canonical)
