"""The transport against a real Mosquitto."""

import asyncio
import json
import logging
from contextlib import asynccontextmanager

import pytest
from brokers.connections import connections_to
from brokers.messages import messages_of
from brokers.mosquitto import MOST_BYTES, MOST_PAYLOAD, PASSWORD, USER
from brokers.proxy import FaultProxy
from carried import PARENT, ByParameter
from evframe_mi import ManagementOptions
from evframe_mi.policy import Policy
from evframe_mqtt import LoginOptions, MqttTransport, Options
from silent import SilentTls

import evframe
from evframe.config import Config, CoreOptions
from evframe.exceptions import ForbiddenError
from evframe.testing import FakeNames, Peer, TransportContract, no_garbage, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))
pytestmark = pytest.mark.timeout(60)


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"mqtt": MqttTransport(Options(**options))})
    events.register_event("E_TEST")
    return events


def plain(mosquitto):
    return f"mqtt://127.0.0.1:{mosquitto.port}"


def secure(mosquitto, **login):
    """Return options with a login at the listener with TLS."""
    fields = {"user": USER, "password": PASSWORD, **login}
    login = LoginOptions(f"mqtts://localhost:{mosquitto.tls_port}", **fields)
    return {"ca_file": str(mosquitto.certificate), "logins": [login]}


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = ("mqtt:", "mqtt://", "mqtt://h", "mqtt:h/t", "mqtt://h:0/t", "mqtt://h/a/#", "mqtts://u:p@h/t")
    lost_sockets = ("mqtt://127.0.0.1:1/t", "mqtts://127.0.0.1:1/t?qos=0")

    @pytest.fixture(autouse=True, params=[0, 1], ids=["qos0", "qos1"])
    def broker(self, mosquitto, request):
        self.mosquitto, self.qos = mosquitto, request.param

    def transport(self):
        return MqttTransport()

    @asynccontextmanager
    async def peer(self):
        async with messages_of(self.mosquitto, "contract") as take:

            async def receive(count):
                return [message.payload for message in await take(count)]

            yield Peer(f"{plain(self.mosquitto)}/contract?qos={self.qos}", receive)


async def test_body_and_properties(mosquitto):
    """The body is the payload; topic, properties and expiry are those of the socket, with parameters of the event."""
    async with messages_of(mosquitto, "props/#") as take, interface() as events:
        events.subscribe_event("E_TEST", f"{plain(mosquitto)}/props/{{caller}}/x?property.n={{n}}&expiry_s=60")
        events.subscribe_event("E_TEST", f"{plain(mosquitto)}/props/plain?content_type=application/json&qos=0")
        outcomes = await events.raise_event_and_wait("E_TEST", {"caller": "+49/30", "n": 7})
        assert all(outcome.delivered for outcome in outcomes)
        found = sorted(await take(2), key=lambda message: str(message.topic))

    payload = b'{"jsonrpc":"2.0","method":"E_TEST","params":{"caller":"+49/30","n":7}}'
    assert [message.payload for message in found] == [payload] * 2
    assert [(str(message.topic), message.qos, message.retain) for message in found] == [
        ("props/%2B49%2F30/x", 1, False),
        ("props/plain", 0, False),
    ]
    assert found[0].properties.UserProperty == [("n", "7")]
    assert 50 <= found[0].properties.MessageExpiryInterval <= 60
    assert found[1].properties.ContentType == "application/json"
    assert not hasattr(found[1].properties, "UserProperty")


async def test_messages_are_retained(mosquitto):
    """The last message of a socket with `retain` is what later subscribers of the topic get first."""
    async with interface() as events:
        events.subscribe_event("E_TEST", f"{plain(mosquitto)}/retained?retain")
        for number in range(3):
            assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
    async with messages_of(mosquitto, "retained") as take:
        (message,) = await take(1)
    assert (json.loads(message.payload)["params"], message.retain) == ([2], True)


async def test_the_context_of_an_event(mosquitto):
    """While contexts are kept, a message has the headers of its event as user properties."""
    async with messages_of(mosquitto, "traced") as take, interface() as events:
        events.trace_by(ByParameter())
        events.subscribe_event("E_TEST", f"{plain(mosquitto)}/traced?property.own=1")
        await events.raise_event_and_wait("E_TEST", {"headers": {"traceparent": PARENT}})
        (message,) = await take(1)
    assert message.properties.UserProperty == [("own", "1"), ("traceparent", PARENT)]


async def test_events_fail_one_by_one(mosquitto):
    """An event that makes no message, or one that the server does not take, fails alone, with its reason."""
    async with messages_of(mosquitto, "own/#") as take, interface(**secure(mosquitto)) as events:
        base = f"mqtts://localhost:{mosquitto.tls_port}"
        events.subscribe_event("E_TEST", f"{base}/{{t}}/{{n}}")
        for event in (
            {"t": "own", "n": 0},
            {"t": "own"},
            {"t": "other", "n": 1},
            {"t": "own", "n": 2, "x": "x" * MOST_BYTES},
            {"t": "own", "n": 3, "x": "x" * MOST_PAYLOAD},  # which it takes no further packet behind
            {"t": "own", "n": ["x"]},
            {"t": "own", "n": 4},
        ):
            events.raise_event("E_TEST", event)
        await until(lambda: not events.statistics[0].depth)
        counters = events.statistics[0]
        topics = {str((await take(1))[0].topic)}  # a message may come twice when the server has ended the connection
        while "own/4" not in topics:
            topics.add(str((await take(1))[0].topic))
        assert topics == {"own/0", "own/4"}
    reasons = {"missing_parameter": 1, "access_refused": 1, "too_large": 2, "unfit_parameter": 1}
    assert (counters.delivered, counters.reasons) == (2, reasons)


async def test_logins(mosquitto, tmp_path, caplog):
    """Passwords come from options or files, and are in no listing and no log; a wrong one makes the server away."""
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "password"
    socket = f"mqtts://localhost:{mosquitto.tls_port}/own/x"
    file.write_text("wrong\n")
    file.chmod(0o600)
    async with interface(**secure(mosquitto, password=None, password_file=str(file))) as events:
        lease = events.subscribe_event("E_TEST", socket)
        events.raise_event("E_TEST")
        await until(lambda: lease.subscriber.attempts)
        assert lease.subscriber.away == "access_refused"
        file.chmod(0o644)  # which is not read
        attempts = lease.subscriber.attempts
        await until(lambda: lease.subscriber.attempts > attempts + 1)
        file.write_text(f"{PASSWORD}\n")
        file.chmod(0o600)
        await until(lambda: lease.subscriber.delivered)
        assert PASSWORD not in str(events.subscriptions)
    async with interface(**secure(mosquitto)) as events:
        events.subscribe_event("E_TEST", socket.replace("//", f"//{USER}@"))
        assert (await events.raise_event_and_wait("E_TEST"))[0].delivered
    assert PASSWORD not in caplog.text
    assert any("expected a file that others cannot use" in str(vars(record)) for record in caplog.records)


async def test_certificates_are_checked(mosquitto):
    """A server whose certificate is not trusted, or has another name, is away."""
    async with interface(QUICK_END) as events:
        lease = events.subscribe_event("E_TEST", f"mqtts://localhost:{mosquitto.tls_port}/own/x")
        events.raise_event("E_TEST")
        await until(lambda: lease.subscriber.attempts)
        assert lease.subscriber.away == "tls"
    async with interface(QUICK_END, ca_file=str(mosquitto.certificate)) as events:
        lease = events.subscribe_event("E_TEST", f"mqtts://127.0.0.1:{mosquitto.tls_port}/own/x")
        events.raise_event("E_TEST")
        await until(lambda: lease.subscriber.attempts)
        assert lease.subscriber.away == "tls"


async def test_clients_do_not_use_the_login(mosquitto):
    """A run-time client cannot subscribe a socket with a login of the configuration, but one that is for clients."""
    policy = Policy("test", ManagementOptions(schemes=["mqtts"]))
    for for_clients in (False, True):
        transport = MqttTransport(Options(**secure(mosquitto, for_clients=for_clients)))
        socket = transport.on_subscribe("mqtts", f"//localhost:{mosquitto.tls_port}/own/x")
        if for_clients:
            policy.check_socket(socket)
        else:
            with pytest.raises(ForbiddenError, match="a server with a login"):
                policy.check_socket(socket)


async def test_sessions_have_names(mosquitto):
    """The names of sessions begin with the option, and no two are the same."""
    names = set()
    async with interface(client_id="gateway-1") as events:
        for number in range(3):
            events.subscribe_event("E_TEST", f"{plain(mosquitto)}/named/{number}")
        await events.raise_event_and_wait("E_TEST")
        lines = (mosquitto.folder / "output").read_text().splitlines()
        names = {word for line in lines for word in line.split() if word.startswith("gateway-1-")}
    assert len(names) == 3


async def test_an_idle_connection_stays(mosquitto):
    """Pings keep a connection without events, for longer than the server waits for a word."""
    async with FaultProxy(mosquitto.port) as proxy, interface(keepalive_s=1) as events:
        events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{proxy.port}/idle")
        await events.raise_event_and_wait("E_TEST")
        sent = proxy.sent
        await until(lambda: proxy.sent >= sent + 3 * 2)  # a ping has two bytes, and there are two a second
        assert (await events.raise_event_and_wait("E_TEST"))[0].delivered
        assert proxy.connections == 1


async def test_a_server_that_goes_silent_is_noticed(mosquitto):
    """Without an answer to a ping the connection of an idle subscriber is given up."""
    async with FaultProxy(mosquitto.port) as proxy, interface(keepalive_s=1) as events:
        events.subscribe_event("E_TEST", f"mqtt://127.0.0.1:{proxy.port}/idle")
        await events.raise_event_and_wait("E_TEST")
        proxy.hold()
        await until(lambda: not connections_to(proxy.port))
        proxy.release()


async def test_another_address(mosquitto):
    """When the name has other addresses, messages go over a new connection, and none is lost or sent twice."""
    async with FaultProxy(mosquitto.port) as old, FaultProxy(mosquitto.port, old.port, "127.0.0.2") as new:
        events, sent = interface(), 1
        with FakeNames({"mqtt.example": ["127.0.0.1"]}) as names:
            events.resolver.lookup = names
            async with messages_of(mosquitto, "moved") as take, events:
                lease = events.subscribe_event("E_TEST", f"mqtt://mqtt.example:{old.port}/moved")
                await events.raise_event_and_wait("E_TEST", [sent])
                names["mqtt.example"] = ["127.0.0.2"]
                while not new.connections or lease.subscriber.depth:
                    if not new.connections:
                        events.raise_event("E_TEST", [sent := sent + 1])
                    events.resolver.forget("mqtt.example")
                    events.resolver.refresh_all()
                    await asyncio.sleep(0)
                await until(lambda: not old._writers)
                numbers = [json.loads(message.payload)["params"][0] for message in await take(sent)]
    assert numbers == list(range(1, sent + 1))
    assert (old.connections, new.connections) == (1, 1)


async def test_waits_are_bounded(mosquitto):
    """A server that takes a connection and does not answer the login is away, with TLS too."""
    key = mosquitto.folder / "certificate-key.pem"
    with SilentTls(mosquitto.certificate, key) as silent:
        options = {"ca_file": str(mosquitto.certificate), "connect_timeout_ms": 5000, "login_timeout_ms": 100}
        async with interface(QUICK_END, **options) as events:
            lease = events.subscribe_event("E_TEST", f"mqtts://localhost:{silent.port}/x")
            events.raise_event("E_TEST")
            await until(lambda: silent.connections >= 2, timeout_s=25)
            assert lease.subscriber.away == "login_timeout"


async def test_subscribers_leave_no_garbage(mosquitto):
    """A subscriber that has ended, whether its server was there or not, leaves nothing to the cyclic collector."""
    events = interface(QUICK_END, login_timeout_ms=200)
    async with events, FaultProxy(mosquitto.port) as silent:
        silent.hold()
        sockets = [
            f"{plain(mosquitto)}/x",
            f"{plain(mosquitto)}/x?qos=0",
            f"{plain(mosquitto)}/{{missing}}",
            "mqtt://127.0.0.1:1/refused",
            f"mqtt://127.0.0.1:{silent.port}/silent",
            f"mqtts://localhost:{mosquitto.tls_port}/untrusted",
        ]

        async def once():
            for text in sockets:
                lease = events.subscribe_event("E_TEST", text)
                events.raise_event("E_TEST")
                await until(lambda lease=lease: lease.subscriber.attempts or not lease.subscriber.depth)
                events.unsubscribe_event("E_TEST", text)
            del lease
            await until(lambda: not events.plugin("mqtt")._closing._tasks)

        await once()
        with no_garbage():
            for _ in range(3):
                await once()
