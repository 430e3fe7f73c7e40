"""Events that are judged one by one, servers that take one request per read, names that move, and secrets."""

import asyncio
import re
import socket
import xmlrpc.client

import pytest
from evframe_xmlrpc import Options, XmlrpcTransport, parse
from evframe_xmlrpc.calls import value
from silent import silent_listener
from stream_servers import StreamServer
from xmlrpc_server import FAULT, OK, Server, http, interface

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, no_garbage, until


def nested(depth, kind=list):
    item = 1
    for _ in range(depth):
        item = [item] if kind is list else {"a": item}
    return item


@pytest.mark.parametrize("kind", [list, dict])
@pytest.mark.parametrize("as_struct", [False, True])
async def test_a_deep_value_takes_no_other_event_with_it(kind, as_struct):
    """Of eleven events that go together, the one with a value nested 200 deep arrives like the others."""
    async with Server() as server, interface(use_struct_param=as_struct) as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        reports = await asyncio.gather(
            *(events.raise_event_and_wait("E_TEST", {"v": nested(200, kind) if n == 5 else n}) for n in range(11))
        )

    assert [report[0].reason for report in reports] == [None] * 11
    assert len(server.requests) == 11


class Spoiled:
    """Stands in for an event whose parameters raise."""

    name = "E_TEST"
    definition = evframe.EventDefinition(0, "E_TEST")

    @property
    def pairs(self):
        raise RuntimeError("spoiled")


async def test_an_event_that_cannot_be_encoded_fails_alone():
    """What an event's parameters raise is that event's outcome."""
    transport = XmlrpcTransport()
    async with Server() as server:
        events = [Spoiled.definition.snapshot([number], 0.0) for number in range(3)]
        events[1] = Spoiled()
        batch = evframe.Batch(events)
        await transport.deliver(parse("xmlrpc", f"127.0.0.1:{server.port}:m"), batch)
        transport.stop()

    assert batch.failures == {1: "encoding"}
    assert batch.confirmed == {0, 2}


def test_values_of_any_depth_are_encoded():
    """Encoding needs no recursion."""
    assert value(nested(5000)).count("<array>") == 5000
    assert value(nested(5000, dict)).count("<struct>") == 5000


@pytest.mark.parametrize("refusal", [http(b"", "413 Too Large"), http(FAULT), http(b"", "500 Oops")])
async def test_a_refused_multicall_is_split(refusal):
    """A server that refuses a whole multicall for one event gets the others, in order."""
    bad = b"<int>13</int>"

    def answer(_):
        body = server.requests[-1][1]
        count = body.count(b"<name>params</name>")
        if bad in body:
            return refusal
        return http(
            b"<methodResponse><params><param><value><array><data>%b</data></array></value></param></params>"
            b"</methodResponse>" % (b"<value><array><data><value><int>1</int></value></data></array></value>" * count)
        )

    async with Server(answer) as server, interface(multicall=True) as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", [n], timeout_s=20) for n in range(50)))
    taken = [int(n) for _, body in server.requests if bad not in body for n in re.findall(rb"<int>(\d+)</int>", body)]

    assert [n for n, report in enumerate(reports) if report[0].reason is not None] == [13]
    assert taken == [n for n in range(50) if n != 13]


async def test_a_server_that_takes_one_request_per_read_gets_every_event():
    """By default a call waits for the answer to the one before."""
    numbers = []

    async def serve(reader, writer):
        while data := await reader.read(1 << 20):
            numbers.append(int(re.search(rb"<int>(\d+)</int>", data)[1]))  # and forgets what else it has read
            writer.write(http(OK))

    async with StreamServer(serve) as server, interface() as events:
        lease = events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for number in range(201):
            events.raise_event("E_TEST", [number])
        await until(lambda: not lease.subscriber.depth)

    assert numbers == list(range(201))
    assert lease.subscriber.delivered == 201


@pytest.mark.parametrize("answer", [None, http(OK), http(b"", "500 Oops"), http(OK, head="Connection: close\r\n")])
async def test_connections_that_are_over_leave_no_garbage(answer):
    """Refused, answered and closed connections leave nothing that only the collector finds."""
    plugin = XmlrpcTransport()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with (
            Server(lambda _: answer) as server,
            evframe.EventInterface(Config(CoreOptions(drain_timeout_s=0.05)), plugins={"xmlrpc": plugin}) as events,
        ):
            events.register_event("E_TEST")
            port = closed.getsockname()[1] if answer is None else server.port
            with no_garbage():
                for number in range(20):
                    text = f"xmlrpc:127.0.0.1:{port}:m{number}"
                    lease = events.subscribe_event("E_TEST", text)
                    events.raise_event("E_TEST", [number])
                    await until(
                        lambda lease=lease: (
                            lease.subscriber.attempts or lease.subscriber.delivered or lease.subscriber.failed
                        )
                    )
                    events.unsubscribe_event("E_TEST", text)
                await until(lambda: not events._roster.by_socket and not plugin._connections)
                await asyncio.sleep(0)  # the loop ends the connections
                lease = None


def named(names, every_s=0.0, **options):
    core = CoreOptions(resolve_every_s=every_s, resolve_timeout_s=0.5, drain_timeout_s=0.1)
    events = interface(Config(core), **options)
    events.resolver.lookup = names
    return events


def test_parsing_looks_no_name_up(monkeypatch):
    """A socket is parsed without a lookup, and has the endpoint that it connects to."""

    def fail(*_, **__):
        raise AssertionError("a lookup")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert parse("xmlrpc", "nosuch.invalid:80/x:m").endpoints == (("nosuch.invalid", 80),)
    assert parse("xmlrpcs", "[::1]:80:m").endpoints == (("::1", 80),)


@pytest.mark.parametrize("most", [1, 8])
async def test_events_that_flow_follow_the_name(most):
    """While events flow, the connection is exchanged when the address changes: each call is made once, in order."""
    arrived = []

    class Home(Server):
        def __init__(self, home, port=0):
            super().__init__(self.keep, port, home)

        def keep(self, _):
            arrived.append((self.host, xmlrpc.client.loads(self.requests[-1][1])[0][1]))
            return http(OK)

    with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
        async with Home("127.0.0.1") as old, Home("127.0.0.2", old.port) as new:
            async with named(names, every_s=0.05, max_in_flight=most) as events:
                lease = events.subscribe_event("E_TEST", f"xmlrpc:peer.example:{old.port}:m")
                await events.raise_event_and_wait("E_TEST", [0])
                names["peer.example"] = ["127.0.0.2"]
                raised = 1
                while not new.accepted:
                    events.raise_event("E_TEST", [raised])
                    raised += 1
                    await asyncio.sleep(0.001)
                await until(lambda: not lease.subscriber.depth)
            assert (old.accepted, new.accepted) == (1, 1)

    assert [number for _, number in arrived] == list(range(raised))
    assert lease.subscriber.delivered == raised


async def test_what_an_ended_connection_has_not_answered_comes_first():
    """With pipelining, no call overtakes those that a connection ended without a reply to."""
    numbers = []

    async def serve(reader, writer):
        is_first, text = server.accepted == 1, b""
        while data := await reader.read(1 << 18):
            calls, end, text = (text + data).rpartition(b"</methodCall>")
            found = [int(number) for number in re.findall(rb"<int>(\d+)</int>", calls + end)]
            if is_first:
                found = found[:8]  # the others are lost on their way
            numbers.extend(found)
            writer.write(http(OK) * len(found))
            if is_first and len(numbers) == 8:
                break

    plugins = {"xmlrpc": XmlrpcTransport(Options(max_in_flight=16))}
    async with StreamServer(serve) as server, evframe.EventInterface(plugins=plugins) as events:
        events.register_event("E_TEST")
        lease = events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for number in range(64):
            events.raise_event("E_TEST", [number])
        await until(lambda: lease.subscriber.delivered == 64)

    assert numbers == list(range(64))


@pytest.mark.parametrize("most", [1, 8])
async def test_a_connection_is_exchanged_at_its_greatest_age(most):
    """While events flow, one connection follows the other: each call is made once, in order; an idle one ends, too."""
    async with Server() as server:
        options = Options(max_in_flight=most, max_connection_age_s=0.1)
        async with evframe.EventInterface(plugins={"xmlrpc": XmlrpcTransport(options)}) as events:
            events.register_event("E_TEST")
            lease = events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
            raised = 0
            while server.accepted < 4:
                events.raise_event("E_TEST", [raised])
                raised += 1
                await asyncio.sleep(0.001)
            await until(lambda: not lease.subscriber.depth)
            await until(lambda: not any(each.is_open for _, each in events.plugin("xmlrpc")._connections.values()))

    assert [xmlrpc.client.loads(body)[0][1] for _, body in server.requests] == list(range(raised))
    assert (lease.subscriber.delivered, lease.subscriber.attempts) == (raised, 0)


async def test_a_name_that_does_not_resolve_is_away():
    """A subscriber whose name does not resolve is away, and gets its events once it does."""
    with FakeNames() as names:
        async with Server() as server, named(names) as events:
            lease = events.subscribe_event("E_TEST", f"xmlrpc:peer.example:{server.port}:m")
            events.raise_event("E_TEST", [1])
            await until(lambda: lease.subscriber.attempts)
            assert events.statistics[0].away == "unresolved"
            names["peer.example"] = ["127.0.0.1"]
            await until(lambda: lease.subscriber.delivered == 1)


async def test_an_address_that_does_not_answer_leaves_time_to_the_next():
    """Of two addresses, the first of which answers no connection, the second gets the calls."""
    with FakeNames({"peer.example": ["127.0.0.3", "127.0.0.1"]}) as names:
        async with Server() as server, named(names, connect_timeout_ms=400) as events:
            with silent_listener("127.0.0.3", server.port):
                lease = events.subscribe_event("E_TEST", f"xmlrpc:peer.example:{server.port}:m")
                assert (await events.raise_event_and_wait("E_TEST", [1], timeout_s=20))[0].delivered
                assert lease.subscriber.attempts == 0


async def test_a_name_that_moves_while_a_connection_is_made_is_followed(monkeypatch):
    """A connection to an address that the name has lost in the meantime makes no call."""
    began, may = asyncio.Event(), asyncio.Event()
    real = asyncio.get_running_loop().sock_connect

    async def slow(kernel, address):
        if address[0] == "127.0.0.1" and not began.is_set():
            began.set()
            await may.wait()
        await real(kernel, address)

    with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
        async with Server() as old, named(names, every_s=0.05) as events:
            monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", slow)
            events.subscribe_event("E_TEST", f"xmlrpc:peer.example:{old.port}:m")
            events.raise_event("E_TEST", [1])
            await began.wait()
            names["peer.example"] = ["127.0.0.2"]
            await until(lambda: events.resolver.known("peer.example", 1)[0].ip == "127.0.0.2")
            may.set()
            await until(lambda: events.statistics[0].away == "refused")
            assert not old.requests


async def test_an_exchanged_connection_is_closed_after_its_last_reply():
    """When the name moves during a call, the connection is closed with the reply, also when nothing follows."""
    with FakeNames({"peer.example": ["127.0.0.1"]}) as names:
        may_answer = asyncio.Event()

        class Slow(Server):
            async def serve(self, reader, writer):
                await reader.readuntil(b"</methodCall>")
                await may_answer.wait()
                writer.write(http(OK))
                await reader.read()

        async with Slow() as server, named(names, every_s=0.05) as events:
            lease = events.subscribe_event("E_TEST", f"xmlrpc:peer.example:{server.port}:m")
            events.raise_event("E_TEST", [1])
            transport = events.plugin("xmlrpc")
            await until(lambda: transport._connections)
            names["peer.example"] = ["127.0.0.2"]
            await until(lambda: events.resolver.known("peer.example", 1)[0].ip == "127.0.0.2")
            may_answer.set()
            await until(lambda: server.accepted and not server.writers)
            assert lease.subscriber.delivered == 1


SECRETS = ["3f2b8c91d4e7", "s3cr3tPlace", "AbCdEfGhIjKl", "TOKEN", "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "topsecret"]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("form", ["/hooks/{}", "/{}/rpc", "/rpc?key={}", "/rpc?v=1&access_token={}"])
async def test_a_secret_in_a_path_is_masked(secret, form, caplog):
    """A secret in a path is in no listing, error or log line, and reaches the server."""
    caplog.set_level("DEBUG")
    async with Server() as server, interface() as events:
        text = f"xmlrpc:127.0.0.1:{server.port}{form.format(secret)}:m"
        lease = events.subscribe_event("E_TEST", text)
        assert (await events.raise_event_and_wait("E_TEST"))[0].delivered
        shown = lease.subscriber.socket.canonical
        with pytest.raises(evframe.SocketError) as refused:
            events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:0{form.format(secret)}:m")
        assert form.format(secret).encode() in server.requests[0][0]
        seen = [shown, repr(lease.subscriber.socket), str(refused.value), repr(events.statistics), caplog.text]
        assert not [each for each in seen if secret in each]

        # What a listing prints is the same subscriber.
        assert events.subscribe_event("E_TEST", text) is lease
        assert events.subscribe_event("E_TEST", shown) is lease
        assert lease.subscriber.text == text
        other = events.subscribe_event("E_TEST", text.replace(secret, "0therS3cret"))
        assert other.subscriber is not lease.subscriber
        events.unsubscribe_event("E_TEST", shown)
        assert [each.subscriber for each in events.subscriptions] == [other.subscriber]


@pytest.mark.parametrize(
    "path", ["", "/", "/RPC2", "/a/b", "/a/b?c=1", "/xmlrpc.php", "/v1/block_ip", "/Handler/rpc-2"]
)
def test_a_path_of_words_is_shown(path):
    """A path of words and small numbers is shown as it is."""
    assert parse("xmlrpc", f"h:1{path}:m").canonical == f"xmlrpc:h:1{'' if path == '/RPC2' else path}:m"


def test_a_path_behind_a_colon_is_no_method():
    """A path with a secret that a colon keeps from its port is refused: methods are shown as they are."""
    events = evframe.EventInterface(plugins={"xmlrpc": XmlrpcTransport()})
    events.register_event("E_TEST")
    with pytest.raises(evframe.SocketError, match="got a colon between the port and the path") as refused:
        events.subscribe_event("E_TEST", "xmlrpc:127.0.0.1:8081:/in?token=sesame:method")
    assert "sesame" not in str(refused.value)


def test_mask_paths_shows_nothing_of_a_path():
    """With `mask_paths`, nothing of a path is shown."""
    transport = XmlrpcTransport(Options(mask_paths=True))
    assert "abc" not in transport.on_subscribe("xmlrpc", "h:1/abc/def:m").canonical
    with pytest.raises(evframe.SocketError) as refused:
        transport.on_subscribe("xmlrpc", "h:0/abc/def:m")
    assert "abc" not in str(refused.value)


def test_a_mark_is_no_path():
    """A text from a listing is refused when no subscriber has it."""
    with pytest.raises(evframe.SocketError, match="expected the path itself"):
        XmlrpcTransport().on_subscribe("xmlrpc", "h:1/x/***0123456789ab:m")


EXACT = [
    (evframe.ExactNumber("1.50"), "<double>1.50</double>"),
    (evframe.ExactNumber("1e400"), "<double>1e400</double>"),
    (evframe.ExactNumber("-" + "9" * 5000), f"<i8>-{'9' * 5000}</i8>"),
    (10**5000, f"<i8>1{'0' * 5000}</i8>"),
    (2**70, "<i8>1180591620717411303424</i8>"),
    (True, "<boolean>1</boolean>"),
    (float("inf"), "<string></string>"),
]


@pytest.mark.parametrize(("number", "text"), EXACT, ids=range(len(EXACT)))
def test_numbers_are_written_as_they_were_sent(number, text):
    """A number has all its digits, alone and within arrays and structs."""
    assert value(number) == f"<value>{text}</value>"
    assert f"<value>{text}</value>" in value([{"n": number}])


def test_pairs_within_values_are_structs():
    """Names that repeat are members of a struct, at any depth; without names the values are an array."""
    inner = value([evframe.Pairs([("a", 1), ("a", evframe.Pairs([("b", 2)]))])])
    assert re.findall("<name>(.*?)</name>", inner) == ["a", "a", "b"]
    assert inner.count("<struct>") == 2
    assert value(evframe.Pairs([(None, 1), (None, 2)])) == value([1, 2])
