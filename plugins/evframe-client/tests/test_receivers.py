"""Where events arrive at a client."""

import json
import select
import socket
from contextlib import suppress

import pytest
from evframe_client import AsyncClient, parse_url
from evframe_client.receivers import DatagramReceiver, StreamReceiver, open_receiver, own_address
from evframe_client.subscriptions import parse_event


@pytest.fixture
def stream():
    receiver = StreamReceiver("127.0.0.1")
    yield receiver
    receiver.close()


def address_of(receiver):
    host, _, port = receiver.text.partition(":")[2].rpartition(":")
    return host, int(port)


def read(receiver, count):
    """Return *count* payloads, which may come with any number of reads."""
    poll = select.poll()
    poll.register(receiver.fileno(), select.POLLIN)
    payloads = []
    while len(payloads) < count:
        assert poll.poll(20_000), payloads
        payloads += receiver.read()
    return payloads


def test_datagrams_that_came_too_fast_are_counted():
    """What the kernel had no room for is known when the next datagram is taken."""
    receiver = DatagramReceiver("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(address_of(receiver))
        for _ in range(4000):
            sender.send(b"x" * 5000)
        got = 0
        while payloads := receiver.read():
            got += len(payloads)
        sender.send(b"last")
        assert read(receiver, 1) == [b"last"]
    receiver.close()

    assert receiver.lost > 0
    assert got + receiver.lost == 4000


def test_connections_come_and_go(stream):
    """Any number of connections is read, at once and one after the other; what one leaves unfinished is a payload."""
    senders = [socket.create_connection(address_of(stream)) for _ in range(3)]
    for sender in senders:
        sender.sendall(b'{"a":1}{"b"')
    assert read(stream, 3) == [b'{"a":1}'] * 3
    senders[0].sendall(b":2}")
    assert read(stream, 1) == [b'{"b":2}']
    for sender in senders:
        sender.close()
    assert read(stream, 2) == [b'{"b"'] * 2
    with socket.create_connection(address_of(stream)) as sender:
        sender.sendall(b"[]")
    assert read(stream, 1) == [b"[]"]


def test_confirmations(stream):
    """Events with an id are confirmed by it, wherever it stands; others, and what has one inside, are not."""
    with socket.create_connection(address_of(stream)) as sender:
        sender.sendall(b'{"id":7,"method":"E"}{"method":"E","id":"x"}{"method":"E","params":{"id":9}}{"method":"id"}')
        read(stream, 4)
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
    """Its connection ends before the client would have to wait for it."""

    def send_and_never_read():
        while True:
            with suppress(BlockingIOError):
                sender.send(b'{"id":7,"method":"E"}' * 3000)
            stream.read()

    with socket.create_connection(address_of(stream)) as sender:
        sender.setblocking(False)
        with pytest.raises(ConnectionError):
            send_and_never_read()


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
    assert receiver.text.startswith(f"udp:[{found}]:" if ":" in found else f"udp:{found}:")
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
    ],
)
def test_events(payload, name, params):
    """A payload is an event with its name and its parameters, in which raw bytes survive."""
    event = parse_event(payload)

    assert (event.name, event.params, event.payload) == (name, params, payload)


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b'{"method":1}', b'{"method":"E","params":"x"}', b"[" * 99_999])
def test_what_is_no_event(payload):
    """Anything else is refused."""
    with pytest.raises(ValueError):
        parse_event(payload)
