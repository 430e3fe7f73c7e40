"""What a real rsyslog has read: the header, the structured data and the text of each message."""

import asyncio
import json
import os
import re
import socket
import ssl
from datetime import datetime
from itertools import count

import pytest
from brokers import certificates
from evframe_syslog import Options, SyslogTransport, parse
from evframe_wire.tls import server_context
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

HOSTS = count()
LONG = "E_" + "X" * 62


@pytest.fixture
def host():
    return f"host-{next(HOSTS)}.example"


def interface(config=None, **options):
    events = evframe.EventInterface(config, plugins={"syslog": SyslogTransport(Options(**options))})
    for name in ("E_TEST", "E_PIKE_BLOCKED", LONG, "E é]"):
        events.register_event(name)
    return events


async def read(broker, host, number):
    """Return the messages of a host, once there are so many."""
    found = []
    while len(found) < number:
        await asyncio.sleep(0.01)
        found = await asyncio.to_thread(broker.messages, host)
    assert len(found) == number
    return found


async def sent(broker, host, *params, way="tcp", event="E_TEST", **options):
    """Send events to the broker; return the messages that it has read."""
    async with interface(hostname=host, **options) as events:
        events.subscribe_event(event, f"syslog:{way}:127.0.0.1:{broker.port}")
        for each in params:
            assert (await events.raise_event_and_wait(event, each))[0].delivered
        return await read(broker, host, len(params))


VALUES = [
    ("plain", "plain"),
    ('"\\]', '"\\]'),
    ("\\\\]\\]", "\\\\]\\]"),
    ("", ""),
    ("a=b [c] <1>", "a=b [c] <1>"),
    ("Größe 中文 😀 \u2028", "Größe 中文 😀 \u2028"),
    ("a\nb\r\x00\x1b[0m\x7f\x85", "a\\nb\\r\\u0000\\u001b[0m\\u007f\\u0085"),
    (5, "5"),
    (-1.5, "-1.5"),
    (True, "true"),
    (None, "null"),
    ([1, "x"], '[1,"x"]'),
    ({"a": {"b": "]"}}, '{"a":{"b":"]"}}'),
    (2**70, str(2**70)),
    ("x" * 3000, "x" * 3000),
]


@pytest.mark.parametrize("way", ["udp", "tcp"])
async def test_parameters_are_structured_data(rsyslog, host, way):
    """Each value is read back as its text, with control characters as in JSON; the text is the notification."""
    messages = await sent(rsyslog, host, *({"v": value} for value, _ in VALUES), way=way)
    for message, (value, text) in zip(messages, VALUES, strict=True):
        assert message["data"] == {"event@32473": {"v": text}}
        assert json.loads(message["text"]) == {"jsonrpc": "2.0", "method": "E_TEST", "params": {"v": value}}


async def test_names_of_parameters(rsyslog, host):
    """Positions are names; what a name cannot have becomes an underscore, and a long one is cut off."""
    named = {'a b="]é': 1, "x" * 40: 2, "": 3}
    one, other, none, empty = await sent(rsyslog, host, ["a", "b"], named, None, {})
    assert one["data"] == {"event@32473": {"1": "a", "2": "b"}}
    assert other["data"] == {"event@32473": {"a_b____": "1", "x" * 32: "2", "_": "3"}}
    assert json.loads(other["text"])["params"] == named
    assert none["structured"] == empty["structured"] == "-"


async def test_bytes_that_are_no_text(rsyslog, host):
    """Structured data has U+FFFD in their place; the text has the bytes."""
    (message,) = await sent(rsyslog, host, {"v": b"a\xff]"})
    assert message["data"] == {"event@32473": {"v": "a\ufffd]"}}
    assert '{"v":"a\udcff]"}' in message["text"]


async def test_header(rsyslog, host):
    """The header has the time of the raise with its offset, the names, the process, and the event."""
    before = datetime.now().astimezone()
    (message,) = await sent(rsyslog, host, {"n": 1})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", message["at"])
    at = datetime.fromisoformat(message["at"])
    assert abs((at - before).total_seconds()) < 5
    assert at.utcoffset() == before.utcoffset()
    found = [message[key] for key in ("priority", "version", "host", "app", "process", "id")]
    assert found == ["133", "1", host, "evframe", str(os.getpid()), "E_TEST"]


async def test_the_time_is_that_of_the_raise(rsyslog, host):
    """An event that has waited for the receiver has the time of its raise, in the zone of the process."""
    async with interface(hostname=host) as events:
        target = f"syslog:tcp:127.0.0.1:{rsyslog.port}"
        events.subscribe_event("E_TEST", target)
        rsyslog.stop()
        try:
            events.raise_event("E_TEST", [1])
            at = datetime.now().astimezone()
            await until(lambda: events.statistics[0].away)
        finally:
            await asyncio.to_thread(rsyslog.start)
        started = datetime.now().astimezone()
        (message,) = await read(rsyslog, host, 1)
    assert datetime.fromisoformat(message["at"]) < started
    assert abs((datetime.fromisoformat(message["at"]) - at).total_seconds()) < 0.5


@pytest.mark.parametrize(("event", "priority"), [("E_TEST", 30), ("E_PIKE_BLOCKED", 28)])
async def test_priority(rsyslog, host, event, priority):
    """The first pattern that fits the name of the event has its severity."""
    severities = {"E_PIKE_*": "warning", "E_*": "info", "*": "debug"}
    options = {"facility": "daemon", "severity": "crit", "severities": severities, "app_name": "sip-1"}
    (message,) = await sent(rsyslog, host, [1], event=event, **options)
    assert (message["priority"], message["app"]) == (str(priority), "sip-1")


@pytest.mark.parametrize(("event", "id_"), [(LONG, LONG[:32]), ("E é]", "E__]")])
async def test_names_that_no_header_can_have(rsyslog, host, event, id_):
    """A long name, or one with other characters, is whole in the structured data."""
    (message,) = await sent(rsyslog, host, [1], event=event, content="structured", sd_id="sip@99999.1")
    assert message["id"] == id_
    assert message["data"] == {"sip@99999.1": {"1": "1"}, "delivery@99999.1": {"event": event}}
    assert message["text"] == ""


async def test_content(rsyslog, host):
    """A message has structured data, a text, or both."""
    (message,) = await sent(rsyslog, host, {"n": 1}, content="payload")
    assert (message["structured"], message["text"]) == ("-", '{"jsonrpc":"2.0","method":"E_TEST","params":{"n":1}}')


@pytest.mark.parametrize("way", ["udp", "tcp", "unix"])
async def test_too_large(rsyslog, host, way):
    """An event that receivers would cut off fails alone, wherever it is in a batch."""
    place = rsyslog.path if way == "unix" else f"127.0.0.1:{rsyslog.port}"
    sizes = [9000, 10, 9000, 9000, 20, 30, 9000]
    async with interface(hostname=host, content="payload") as events:
        events.subscribe_event("E_TEST", f"syslog:{way}:{place}")
        reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", ["x" * size]) for size in sizes))
        messages = await read(rsyslog, host, 3)
    assert [report[0].reason for report in reports] == ["too_large" if size > 8000 else None for size in sizes]
    assert [len(json.loads(message["text"])["params"][0]) for message in messages] == [10, 20, 30]


async def test_size_of_a_datagram(rsyslog, host):
    """With a larger limit, that of UDP is left."""
    async with interface(hostname=host, content="payload", max_bytes=1 << 20) as events:
        events.subscribe_event("E_TEST", f"syslog:udp:127.0.0.1:{rsyslog.port}")
        reports = [(await events.raise_event_and_wait("E_TEST", ["x" * size]))[0] for size in (65_000, 65_500, 7)]
        await read(rsyslog, host, 2)
    assert [report.reason for report in reports] == [None, "too_large", None]


async def test_events_that_fail_within_a_batch_to_a_reader_that_leaves(tmp_path):
    """What was sent is counted once, and the rest is sent to the next reader, whatever has failed before."""
    path = str(tmp_path / "log")
    reader = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    reader.bind(path)
    async with interface(content="payload") as events:
        lease = events.subscribe_event("E_TEST", f"syslog:unix:{path}")
        for number in range(30):
            events.raise_event("E_TEST", [number, "x" * (9000 if number % 5 == 0 else 1)])
        await until(lambda: lease.subscriber.in_flight)
        got = [reader.recv(10_000) for _ in range(3)]
        os.unlink(path)
        reader.close()
        await until(lambda: lease.subscriber.attempts)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
            reader.bind(path)
            reader.setblocking(False)
            while lease.subscriber.depth:
                await asyncio.sleep(0.001)
                try:
                    got.append(reader.recv(10_000))
                except BlockingIOError:
                    continue
            counters = events.statistics[0]
            assert (counters.raised, counters.delivered, counters.failed) == (30, 24, 6)


async def test_sockets():
    """The canonical text has the port always; hosts are those of the other transports."""
    texts = ["udp:h", "tcp:h", "tls:h", "udp:[::1]", "tls:[::1]:1", "unix:/dev/log", "unix:@name"]
    found = [parse(text) for text in texts]
    assert [each.canonical for each in found] == [
        "syslog:udp:h:514",
        "syslog:tcp:h:514",
        "syslog:tls:h:6514",
        "syslog:udp:[::1]:514",
        "syslog:tls:[::1]:1",
        "syslog:unix:/dev/log",
        "syslog:unix:@name",
    ]
    assert [each.endpoints for each in found[-4:]] == [(("::1", 514),), (("::1", 1),), (), ()]
    assert [each.is_connectionless for each in found] == [True, False, False, True, False, False, False]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"facility": "local9"}, "facility: expected one of 'kern'"),
        ({"severity": "warn"}, "severity: expected one of 'emerg'"),
        ({"severities": {"E_*": "error"}}, r"severities.E_\*: expected one of emerg"),
        ({"sd_id": "event"}, "sd_id: expected a name, '@'"),
        ({"sd_id": "a b@1"}, "sd_id: expected"),
        ({"sd_id": "sip@1."}, "sd_id: expected a name, '@'"),
        ({"sd_id": "sip@1..2"}, "sd_id: expected a name, '@'"),
        ({"sd_id": "sip@1234567890"}, "sd_id: expected a name, '@'"),
        ({"sd_id": "sip@1\n"}, "sd_id: expected a name, '@'"),
        ({"sd_id": "delivery@32473"}, "sd_id: expected another name than that of the delivery"),
        ({"hostname": "a b"}, "hostname: expected 1 to 255"),
        ({"app_name": "x" * 49}, "app_name: expected 1 to 48"),
        ({"key_file": "key.pem"}, "key_file: expected a cert_file"),
    ],
)
def test_options_that_do_not_fit(options, problem):
    """An option that no message can have is one clear error."""
    with pytest.raises(ValueError, match=problem):
        Options(**options)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"ca_file": "/nowhere.pem"}, "ca_file: expected certificates, got '/nowhere.pem'"),
        ({"cert_file": "/nowhere.pem"}, "cert_file: expected certificates, got '/nowhere.pem'"),
    ],
)
def test_files_that_cannot_be_used(options, problem):
    """A missing file is an error of the start."""
    with pytest.raises(evframe.ConfigError, match=problem):
        SyslogTransport(Options(**options))


QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.01))


@pytest.mark.parametrize("case", ["of the system", "of another", "ours of another", "none of ours", "fitting"])
async def test_certificates(rsyslog, host, tmp_path, case):
    """Nothing is sent to a receiver with another certificate; one that wants ours is away, or has it and the event."""
    foreign = str(certificates.make(tmp_path, "foreign", "client"))
    ca, ours = str(rsyslog.authority), str(rsyslog.certificate)
    options, port = {
        "of the system": ({}, rsyslog.tls_port),
        "of another": ({"ca_file": foreign}, rsyslog.tls_port),
        "ours of another": ({"ca_file": ca, "cert_file": foreign}, rsyslog.clients_port),
        "none of ours": ({"ca_file": ca}, rsyslog.clients_port),
        "fitting": ({"ca_file": ca, "cert_file": ours}, rsyslog.clients_port),
    }[case]
    async with interface(QUICK_END, hostname=host, **options) as events:
        events.subscribe_event("E_TEST", f"syslog:tls:localhost:{port}")
        events.raise_event("E_TEST", [1])
        await until(lambda: events.statistics[0].away or events.statistics[0].delivered)
        counters = events.statistics[0]
        if case == "fitting":
            assert len(await read(rsyslog, host, 1)) == 1
    assert (counters.away, counters.delivered) == ((None, 1) if case == "fitting" else ("tls", 0))


async def test_the_name_in_a_certificate(rsyslog, host):
    """A certificate for another name is refused."""
    async with interface(QUICK_END, hostname=host, ca_file=str(rsyslog.authority)) as events:
        events.subscribe_event("E_TEST", f"syslog:tls:127.0.0.1:{rsyslog.tls_port}")
        events.raise_event("E_TEST", [1])
        await until(lambda: events.statistics[0].away)
        assert events.statistics[0].away == "tls"
        assert not events.statistics[0].delivered


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_receivers_without_session_tickets(rsyslog, version):
    """A receiver that says nothing after the handshake gets the events, and the notification of the end."""
    tls = server_context(str(rsyslog.folder / "certificate.pem"), str(rsyslog.folder / "certificate-key.pem"))
    tls.maximum_version, tls.num_tickets = version, 0
    read = asyncio.Queue()

    async def serve(reader, _):
        read.put_nowait(await reader.read())  # an error without the notification

    async with StreamServer(serve, ssl=tls) as server, interface(ca_file=str(rsyslog.authority)) as events:
        target = f"syslog:tls:localhost:{server.port}"
        events.subscribe_event("E_TEST", target)
        assert (await events.raise_event_and_wait("E_TEST", [1]))[0].delivered
        events.unsubscribe_event("E_TEST", target)
        frame = await read.get()
        await server.ended()
    size, _, message = frame.partition(b" ")
    assert len(message) == int(size)
