"""CloudEvents over UDP, UNIX datagrams and TCP, as the official SDK reads what arrives."""

import asyncio
import json
import socket
import time
from contextlib import ExitStack

import pytest
from carried import PARENT, ByParameter
from cloudevents.core.formats.json import JSONFormat
from evframe_cloudevents import CloudEventsPlugin, FormatOptions, Formats, Options
from evframe_datagram import DatagramTransport
from evframe_datagram import Options as DatagramOptions
from evframe_stream import Options as StreamOptions
from evframe_stream import StreamTransport
from evframe_wire.ids import prefix_of

import evframe
from evframe.plugin import parse_config

PARAMS = [None, {"n": 1, "text": 'é"€'}, [1, "two", None], {"deep": [{"a": [1.5]}], "big": 2**70}]


class Receiver:
    """A bound socket: the texts of JSON that arrive."""

    def __init__(self, kind, path):
        family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        self.socket.bind(path if kind == "unix" else ("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.text = f"unix:{path}" if kind == "unix" else f"{kind}:127.0.0.1:{self.socket.getsockname()[1]}"
        self.is_stream = kind == "tcp"
        if self.is_stream:
            self.socket.listen()

    async def texts(self, count):
        loop = asyncio.get_running_loop()
        if not self.is_stream:
            return [await loop.sock_recv(self.socket, 65536) for _ in range(count)]
        connection, _ = await loop.sock_accept(self.socket)
        with connection:
            data = b""
            while data.count(b"\n") < count:
                data += await loop.sock_recv(connection, 65536)
        return data.splitlines()


@pytest.fixture(params=["udp", "tcp", "unix"])
def receiver(request, tmp_path):
    found = Receiver(request.param, str(tmp_path / "ev"))
    with found.socket:
        yield found


def interface(settings=None, **formats):
    """Return an interface whose transports have the options *formats*."""
    plugins = {
        "datagram": DatagramTransport(DatagramOptions(**formats)),
        "stream": StreamTransport(StreamOptions(newline_framing=True, **formats)),
    }
    if settings is not None:
        plugins["cloudevents"] = CloudEventsPlugin(settings)
    events = evframe.EventInterface(plugins=plugins)
    events.register_event("E_TEST")
    return events


async def received(events, receiver, *params):
    """Raise an event for each of *params*, and return the texts that arrive."""
    async with events:
        events.subscribe_event("E_TEST", receiver.text)
        for each in params:
            events.raise_event("E_TEST", each)
        async with asyncio.timeout(20):
            return await receiver.texts(len(params))


async def test_the_sdk_reads_what_arrives(receiver):
    """Each message is a structured CloudEvent: the name as its type, the parameters as its data, an id and a time."""
    events = interface(Options("https://gateway.example/1", "org.example."), format="cloudevents")
    texts = await received(events, receiver, *PARAMS)
    read = [JSONFormat().read(None, text) for text in texts]
    assert [event.get_data() for event in read] == PARAMS
    assert {(event.get_type(), event.get_source()) for event in read} == {
        ("org.example.E_TEST", "https://gateway.example/1")
    }
    assert len({event.get_id() for event in read}) == len(PARAMS)
    times = [event.get_time() for event in read]
    assert times == sorted(times)
    kinds = [event.get_datacontenttype() for event in read]
    assert kinds == [None if params is None else "application/json" for params in PARAMS]


async def test_the_source_names_the_host(receiver):
    """Without options the source has the name of the host, and the type is the event's name."""
    (text,) = await received(interface(format="cloudevents"), receiver, {"n": 1})
    event = JSONFormat().read(None, text)
    assert event.get_source() == f"//{socket.gethostname()}/evframe"
    assert event.get_type() == "E_TEST"


async def test_context_is_an_extension(receiver):
    """An event that carries a context has it in the extension of distributed tracing."""
    events = interface(format="cloudevents")
    events.trace_by(ByParameter())
    headers = {"traceparent": PARENT, "tracestate": 'a="1"'}
    texts = await received(events, receiver, {"headers": headers}, {"n": 1})
    traced, plain = [JSONFormat().read(None, text) for text in texts]
    assert {name: traced.get_extension(name) for name in headers} == headers
    assert plain.get_extension("traceparent") is None


async def test_some_subscribers_get_cloud_events(receiver):
    """The first rule that matches a socket counts, and what no rule matches is the notification as it always was."""
    scheme = receiver.text.partition(":")[0]
    rules = [FormatOptions(receiver.text, "cloudevents"), FormatOptions("*", "jsonrpc")]
    for formats, is_cloud_event in ((rules, True), (rules[1:], False), ([], False)):
        with ExitStack() as stack:
            own = receiver
            if scheme == "tcp":  # a connection for each interface
                own = stack.enter_context(_closing(Receiver("tcp", "")))
                formats = [FormatOptions(own.text, each.format) if each.socket != "*" else each for each in formats]
            (text,) = await received(interface(formats=formats), own, {"n": 1})
            assert ("specversion" in json.loads(text)) == is_cloud_event
            if not is_cloud_event:
                assert text == b'{"jsonrpc":"2.0","method":"E_TEST","params":{"n":1}}'


class _closing:
    def __init__(self, receiver):
        self._receiver = receiver

    def __enter__(self):
        return self._receiver

    def __exit__(self, *_):
        self._receiver.socket.close()


async def test_other_attributes_after_a_reload(receiver):
    """Changed attributes are used from the next event on; the transport stays as it is."""
    plugin = CloudEventsPlugin(Options("urn:a"))
    events = evframe.EventInterface(
        plugins={
            "datagram": DatagramTransport(DatagramOptions("cloudevents")),
            "stream": StreamTransport(StreamOptions(newline_framing=True, format="cloudevents")),
            "cloudevents": plugin,
        }
    )
    async with events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", receiver.text)
        await events.raise_event_and_wait("E_TEST", [1])
        undo = plugin.reconfigure(Options("urn:b", "x."))
        await events.raise_event_and_wait("E_TEST", [2])
        undo()
        await events.raise_event_and_wait("E_TEST", [3])
        async with asyncio.timeout(20):
            found = [json.loads(text) for text in await receiver.texts(3)]
    assert [(each["source"], each["type"]) for each in found] == [
        ("urn:a", "E_TEST"),
        ("urn:b", "x.E_TEST"),
        ("urn:a", "E_TEST"),
    ]


def test_formats_of_addresses_in_brackets():
    """The canonical socket of an IPv6 address is a pattern of itself."""
    formats = Formats(
        "jsonrpc", [FormatOptions("tcp:[::1]:9000", "cloudevents"), FormatOptions("*[fe80:*", "cloudevents")]
    )
    found = [formats.of(each) for each in ("tcp:[::1]:9000", "tcp:[fe80::1%lo]:1", "tcp:[::2]:9000", "tcp:1:9000")]
    assert found == ["cloudevents", "cloudevents", "jsonrpc", "jsonrpc"]


def test_a_reply_needs_an_id():
    """In reliable mode, whose replies have the ids of JSON-RPC, a CloudEvent is refused."""
    with pytest.raises(ValueError, match=r"^format: expected 'jsonrpc' in reliable mode"):
        StreamOptions(reliable_mode=True, format="cloudevents")
    rules = [FormatOptions("tcp:a:1", "jsonrpc"), FormatOptions("tcp:*", "cloudevents")]
    with pytest.raises(ValueError, match=r"^formats\[1\].format: expected 'jsonrpc' in reliable mode"):
        StreamOptions(reliable_mode=True, formats=rules)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('source = "a b"', "plugins.cloudevents.source: expected a URI reference, got 'a b'"),
        ('source = ""', "plugins.cloudevents.source: expected a URI reference, got ''"),
        ('type_prefix = "ö"', "plugins.cloudevents.type_prefix: expected text such as 'org.example.', got 'ö'"),
        ('[plugins.datagram]\nformat = "x"', "plugins.datagram.format: expected one of jsonrpc, cloudevents, got 'x'"),
    ],
)
def test_options_that_do_not_fit(table, problem):
    """Each problem has its path."""
    config = parse_config(f"[plugins.cloudevents]\n{table}\n")
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(config)
    assert caught.value.problems == [problem]


async def test_an_event_on_disk_keeps_its_id_and_its_time(tmp_path):
    """What another process delivers has the id that webhooks have for it, and the time of its raise."""
    path = tmp_path / "ev"
    config = parse_config(
        f"""
[core]
drain_timeout_s = 0.1
[plugins.journal]
path = "{tmp_path}/journal"
[plugins.datagram]
format = "cloudevents"
[[subscriptions]]
event = "E_TEST"
socket = "unix:{path}"
keep = "disk"
"""
    )
    before = time.time()
    async with evframe.EventInterface(config) as events:
        for number in range(3):
            await events.raise_event_and_wait("E_TEST", [number], until="stored")
    after = time.time()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.setblocking(False)
        async with evframe.EventInterface(config):
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(20):
                texts = [await loop.sock_recv(receiver, 65536) for _ in range(3)]
    read = [JSONFormat().read(None, text) for text in texts]
    assert [event.get_data() for event in read] == [[0], [1], [2]]
    assert len({event.get_id() for event in read}) == 3
    assert not any(event.get_id().startswith(prefix_of(0)[:16]) for event in read)
    assert all(before - 0.1 <= event.get_time().timestamp() <= after + 0.1 for event in read)
