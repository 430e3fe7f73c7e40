"""Where events arrive at a client."""

import json
import os
import select
import socket
from contextlib import ExitStack, suppress

import pytest
from evframe_client import AsyncClient, parse_url
from evframe_client.addresses import own_address, subscriber_text
from evframe_client.receivers import StreamReceiver, open_receiver
from evframe_client.subscriptions import confirmation, parse_event
from evframe_wire.endpoints import bind_inet
from processes import until


@pytest.fixture
def stream():
    receiver = open_receiver("tcp", "127.0.0.1")
    yield receiver
    receiver.close()


def payloads_of(arrived):
    return [payload for payload, _ in arrived]


def read(receiver, count):
    """Return *count* payloads, which may come with any number of reads; those with an id are confirmed."""
    poll = select.poll()
    poll.register(receiver.fileno(), select.POLLIN)
    payloads = []
    while len(payloads) < count:
        assert poll.poll(20_000), payloads
        payloads += confirmed(receiver)
    return payloads


def confirmed(receiver):
    payloads = []
    for payload, connection in receiver.read():
        payloads.append(payload)
        if connection is not None:
            connection.reply(confirmation(payload))
    return payloads


def test_datagrams_that_came_too_fast_are_counted():
    """What the kernel had no room for is known when the next datagram is taken."""
    receiver = open_receiver("udp", "127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(receiver.address)
        for _ in range(4000):
            sender.send(b"x" * 5000)
        got = 0
        while payloads := payloads_of(receiver.read()):
            got += len(payloads)
        sender.send(b"last")
        assert read(receiver, 1) == [b"last"]
    receiver.close()

    assert receiver.lost > 0
    assert got + receiver.lost == 4000


def test_connections_come_and_go(stream):
    """Any number of connections is read, at once and one after the other; what one leaves unfinished is a payload."""
    with ExitStack() as stack:
        senders = [stack.enter_context(socket.create_connection(stream.address)) for _ in range(3)]
        for sender in senders:
            sender.sendall(b'{"a":1}{"b"')
        assert read(stream, 3) == [b'{"a":1}'] * 3
        senders[0].sendall(b":2}")
        assert read(stream, 1) == [b'{"b":2}']
    assert read(stream, 2) == [b'{"b"'] * 2
    with socket.create_connection(stream.address) as sender:
        sender.sendall(b"[]")
    assert read(stream, 1) == [b"[]"]


def test_confirmations(stream):
    """Events with an id are confirmed by it, wherever it stands; others, CloudEvents, and what has one inside, are not."""
    with socket.create_connection(stream.address) as sender:
        sender.sendall(b'{"id":7,"method":"E"}{"method":"E","id":"x"}{"method":"E","params":{"id":9}}{"method":"id"}')
        sender.sendall(b'{"specversion":"1.0","type":"E","source":"/a","id":"1","method":"E"}')
        read(stream, 5)
        sender.settimeout(20)
        text = b""
        while text.count(b"}") < 2:
            text += sender.recv(4096)
        answers = text.replace(b"}{", b"}\n{").split(b"\n")
        sender.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sender.recv(1)

    assert [json.loads(answer) for answer in answers] == [
        {"jsonrpc": "2.0", "result": "OK", "id": 7},
        {"jsonrpc": "2.0", "result": "OK", "id": "x"},
    ]


def test_sender_that_does_not_read_its_confirmations(stream):
    """It is not read from until it takes them, so that they do not pile up here; nothing is lost."""
    text = b'{"id":7,"method":"E"}'
    with socket.socket() as sender:
        for sock in (stream._sock, sender):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        sender.connect(stream.address)
        sender.setblocking(False)
        sent = received = reads = 0
        while reads < 50:  # in which nothing has changed
            with suppress(BlockingIOError):
                while True:
                    sent += sender.send((text * 3000)[sent % len(text) :])
            more = len(confirmed(stream))
            received += more
            reads = 0 if more else reads + 1
        assert received < sent // len(text)
        answers = 0
        while received < sent // len(text) or answers < received:
            with suppress(BlockingIOError):
                answers += sender.recv(1 << 20).count(b"}")
            received += len(confirmed(stream))
        assert received == answers == sent // len(text)


def test_connections_are_bounded(stream):
    """Those beyond the limit are closed at once, and there is room again when one has ended."""
    with ExitStack() as stack:

        def connect():
            sender = stack.enter_context(socket.create_connection(stream.address))
            sender.settimeout(20)
            assert payloads_of(stream.read()) == []
            return sender

        senders = [connect() for _ in range(256)]
        assert stream.connections == 256
        assert connect().recv(1) == b""
        senders[0].close()
        until(lambda: payloads_of(stream.read()) == [] and stream.connections == 255)
        connect().sendall(b"{}")
        assert read(stream, 1) == [b"{}"]


def test_a_payload_without_an_end():
    """Of what is longer than any payload the first bytes are one that cannot be read; what follows it is."""
    receiver = StreamReceiver(bind_inet(socket.SOCK_STREAM, "127.0.0.1", 0), 1000)
    with socket.create_connection(receiver.address) as sender:
        sender.sendall(b'{"a":"' + b"x" * 2000)
        assert read(receiver, 1) == [b'{"a":"' + b"x" * 994]
        sender.sendall(b'"}{"b":1}')
        assert read(receiver, 1) == [b'{"b":1}']
    receiver.close()


@pytest.mark.parametrize(
    ("begin", "end"),
    [(b'{"a":[' + b"[0]," * 10_000, b"]}"), (b'{"a":[' * 500, b"]}" * 500), (b'{"a":1 2,"b":[', b"]}")],
)
def test_nothing_within_a_payload_that_cannot_be_read_is_one(begin, end):
    """An event that is nested in what is too long, nested too deep, or no JSON is not taken."""
    event = b'{"jsonrpc":"2.0","method":"E","params":{}}'
    receiver = StreamReceiver(bind_inet(socket.SOCK_STREAM, "127.0.0.1", 0), 20_000)
    with socket.create_connection(receiver.address) as sender:
        sender.sendall(begin + event + b"," + event + end + event)
        broken, following = read(receiver, 2)
        assert broken == (begin + event + b"," + event + end)[:20_000]
        assert following == event
    receiver.close()


@pytest.mark.parametrize("kind", ["udp", "unix", "tcp"])
def test_what_has_arrived_before_the_end(kind):
    """What waits at the end is returned, however much it is; nothing more arrives then, and no name is left."""
    receiver = open_receiver(kind, "127.0.0.1")
    path = receiver.address if kind == "unix" else None
    count = 5 if kind == "unix" else 1000
    with socket.socket(
        socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM
    ) as sender:
        sender.connect(receiver.address)
        if kind == "tcp":
            until(lambda: payloads_of(receiver.read()) == [] and receiver.connections == 1)
        for number in range(count):
            sender.sendall(b"[%d]" % number)
        assert payloads_of(receiver.last()) == [b"[%d]" % number for number in range(count)]
        assert not path or not os.path.exists(os.path.dirname(path))
    receiver.close()


@pytest.mark.parametrize(
    ("kind", "address", "host", "text"),
    [
        ("udp", ("127.0.0.1", 9), None, "udp:127.0.0.1:9"),
        ("tcp", ("::1", 9, 0, 0), None, "tcp:[::1]:9"),
        ("udp", ("0.0.0.0", 9), "gateway.example", "udp:gateway.example:9"),
        ("udp", ("::", 9, 0, 0), "[2001:db8::1]", "udp:[2001:db8::1]:9"),
        ("unix", "/run/x", "ignored", "unix:/run/x"),
    ],
)
def test_the_text_of_a_subscriber(kind, address, host, text):
    """The gateway gets the address, or another host with its port."""
    assert subscriber_text(kind, address, host) == text


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://127.0.0.1:8888/mi", "127.0.0.1"),
        ("udp://127.0.0.2:8888", "127.0.0.1"),
        ("http://localhost:8888/mi", "127.0.0.1"),  # and not ::1, to which the original sends nothing
        ("http://[::1]:8888/mi", "::1"),
        ("http+unix://%2Fx/mi", "127.0.0.1"),
        ("unix:///x", "127.0.0.1"),
        ("fifo:///x", "127.0.0.1"),
    ],
)
async def test_own_address(url, address):
    """The gateway gets the address from which it is reached, and loopback when that is not over IP."""
    found = await own_address(parse_url(url))
    assert found.rpartition(".")[0] == address.rpartition(".")[0]
    receiver = open_receiver("udp", found)
    assert subscriber_text("udp", receiver.address).startswith(f"udp:[{found}]:" if ":" in found else f"udp:{found}:")
    receiver.close()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"receiver": "http"}, "receiver: expected udp, unix, tcp, got 'http'"),
        ({"address": "0.0.0.0"}, "address: expected the IP address at which the gateway reaches this program"),
        ({"address": "localhost"}, "address: expected the IP address"),
        ({"lease_s": 0}, "lease_s: expected whole seconds, 1 or more, got 0"),
        ({"lease_s": 1.5}, "lease_s: expected whole seconds"),
    ],
)
def test_arguments(options, problem):
    """An argument that cannot be used is refused before anything is asked."""
    with pytest.raises(ValueError) as caught:
        AsyncClient().subscribe("*", **options)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("payload", "name", "params"),
    [
        (b'{"jsonrpc":"2.0","method":"E","params":{"a":null}}', "E", {"a": None}),
        (b'{"id":5,"jsonrpc":"2.0","method":"E","params":["\xff\n"]}\n', "E", ["\udcff\n"]),
        (b'{"jsonrpc":"2.0","method":"E"}', "E", None),
        (b'{"specversion":"1.0","type":"x.E","source":"/a","id":"1","data":{"a":null}}', "x.E", {"a": None}),
        (b'{"specversion":"1.0","type":"x.E","source":"/a","id":"1"}', "x.E", None),
        (b'{"specversion":"1.0","type":"x.E","source":"/a","id":"1","method":"E"}', "x.E", None),
    ],
)
def test_events(payload, name, params):
    """A payload is an event with its name and its parameters, in which raw bytes survive, or a CloudEvent."""
    event = parse_event(payload)

    assert (event.name, event.params, event.payload) == (name, params, payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"x",
        b"[]",
        b'{"method":1}',
        b'{"method":"E","params":"x"}',
        b"[" * 99_999,
        b'{"specversion":"0.3","type":"E"}',
        b'{"specversion":"1.0","type":1}',
        b'{"specversion":"1.0","type":"E","data":"x"}',
    ],
)
def test_what_is_no_event(payload):
    """Anything else is refused."""
    with pytest.raises(ValueError):
        parse_event(payload)


def test_a_web_page_sends_no_event(stream):
    """A browser that posts an event to the port of a receiver is disconnected; what it began with is counted as no event."""
    event = b'{"jsonrpc":"2.0","method":"E_A","params":{"ip":"192.0.2.1"}}'
    head = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/plain\r\n\r\n"
    with ExitStack() as stack:
        whole, cut, late, other = (stack.enter_context(socket.create_connection(stream.address)) for _ in range(4))
        whole.sendall(head + event)
        cut.sendall(head[:1])
        late.sendall(b"\r\n")
        other.sendall(event)
        assert sorted(read(stream, 3)) == [b"P", head[:20], event]
        late.sendall(head + event)
        assert read(stream, 1) == [head[:20]]
        assert stream.connections == 1
        for sender in (whole, cut, late):
            with suppress(ConnectionResetError):
                assert sender.recv(1) == b""
        other.sendall(b"POST " + event)  # stray bytes in the middle cost nothing else
        assert read(stream, 2) == [b"POST", event]
