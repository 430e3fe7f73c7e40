"""The XML-RPC transport: its requests byte for byte, its replies in every form, and real servers."""

import asyncio
import ssl
import subprocess
import threading
import xmlrpc.client
from contextlib import asynccontextmanager
from xmlrpc.server import SimpleXMLRPCRequestHandler, SimpleXMLRPCServer

import pytest
from carried import PARENT, ByParameter
from evframe_xmlrpc import Options, XmlrpcTransport, parse
from hypothesis import given
from hypothesis import strategies as st
from xmlrpc_server import FAULT, OK, QUICK_END, Server, http, interface

import evframe
from evframe.testing import Peer, TransportContract, until


class TestContract(TransportContract):
    """What every transport does."""

    bad_sockets = ("xmlrpc:", "xmlrpc:127.0.0.1:8080", "xmlrpc:127.0.0.1:0:m", "xmlrpc:127.0.0.1:70000:m")
    lost_sockets = ("xmlrpc:127.0.0.1:1:m",)

    def transport(self):
        return XmlrpcTransport()

    @asynccontextmanager
    async def peer(self):
        taken = 0
        async with Server() as server:

            async def receive(count):
                nonlocal taken
                while len(server.requests) < taken + count:
                    await asyncio.sleep(0.001)
                got = [body for _, body in server.requests[taken : taken + count]]
                taken += count
                return got

            yield Peer(f"xmlrpc:127.0.0.1:{server.port}:m", receive)


@pytest.mark.parametrize(
    ("text", "canonical", "path", "method"),
    [
        ("127.0.0.1:8080:m", "xmlrpc:127.0.0.1:8080:m", "/RPC2", "m"),
        ("127.0.0.1:8080/RPC2:m", "xmlrpc:127.0.0.1:8080:m", "/RPC2", "m"),
        ("127.0.0.1:8080/:m", "xmlrpc:127.0.0.1:8080/:m", "/", "m"),
        ("127.0.0.1:8080/a/b:m", "xmlrpc:127.0.0.1:8080/a/b:m", "/a/b", "m"),
        ("127.0.0.1:8080/a/b?c=1:m.n", "xmlrpc:127.0.0.1:8080/a/b?c=1:m.n", "/a/b?c=1", "m.n"),
        ("127.0.0.1:8080/a:b:c", "xmlrpc:127.0.0.1:8080/a:b:c", "/a", "b:c"),
        ("127.0.0.1:8080:m/x", "xmlrpc:127.0.0.1:8080:m/x", "/RPC2", "m/x"),
        ("127.0.0.1:8080: m", "xmlrpc:127.0.0.1:8080: m", "/RPC2", " m"),
        ("[::1]:8080/x:m", "xmlrpc:[::1]:8080/x:m", "/x", "m"),
    ],
)
def test_accepted_x3_x7(text, canonical, path, method):
    """X3, X7: each accepted row; the canonical text has the path and is the same subscriber."""
    found = parse("xmlrpc", text)
    assert (found.canonical, found.path, found.method) == (canonical, path, method)
    assert parse("xmlrpc", canonical.partition(":")[2]) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "127.0.0.1:8080",
        "127.0.0.1:8080:",
        "127.0.0.1::m",
        "127.0.0.1:0:m",
        "127.0.0.1:x:m",
        "127.0.0.1/x:8080:m",
        "127.0.0.1:65537:m",
        "127.0.0.1:80/a b:m",
        "127.0.0.1:80/a\r\nX: y:m",
    ],
)
def test_rejected_x10(text):
    """X10: each rejected row is an error and leaves nothing behind."""
    with pytest.raises(ValueError, match="expected"):
        parse("xmlrpc", text)


def param(inner):
    return f"<param>\n<value>{inner}</value>\n</param>\n"


@pytest.mark.parametrize(
    ("params", "blocks"),
    [
        (None, ""),
        ({"s": "hello"}, param("<string>hello</string>")),
        ({"i": 42}, param("<int>42</int>")),
        ({"i": -7}, param("<int>-7</int>")),
        ({"i": -(2**31)}, param("<int>-2147483648</int>")),
        ({"e": ""}, param("<string></string>")),
        ({"n": None}, param("<string></string>")),
        ({"n": evframe.UNSET}, param("<string></string>")),
        ({"u": "é€😀"}, param("<string>é€😀</string>")),
        ({"x": "<a&b>\"'\n"}, param("<string>&lt;a&amp;b&gt;\"'\n</string>")),
        ({"x": "a\x01b\r"}, param("<string>a\ufffdb&#13;</string>")),
        (
            ["hello", 42, -7, ""],
            param("<string>hello</string>")
            + param("<int>42</int>")
            + param("<int>-7</int>")
            + param("<string></string>"),
        ),
        ([True, 1.5], param("<boolean>1</boolean>") + param("<double>1.5</double>")),
    ],
)
@pytest.mark.parametrize("path", ["", "/a/b"])
@pytest.mark.parametrize("keep_alive", [True, False])
async def test_request_bytes_x1_x2_x9(params, blocks, path, keep_alive):
    """X1, X2, X9: each row of the block table, in a request that is byte for byte that of the original."""
    async with Server() as server, interface(keep_alive=keep_alive) as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}{path}:block_ip")
        report = await events.raise_event_and_wait("E_TEST", params)
    head, body = server.requests[0]
    text = (
        '<?xml version="1.0"?>\n<methodCall>\n<methodName>block_ip</methodName>\n<params>\n'
        f"{param('<string>E_TEST</string>')}{blocks}</params>\n</methodCall>"
    )

    assert report[0].delivered
    assert body.decode() == text
    assert head.decode() == (
        f"POST {path or '/RPC2'} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n"
        f"User-Agent: OpenSIPS XMLRPC Notifier\r\nContent-type: text/xml\r\nContent-length: {len(body)}\r\n\r\n"
    )
    if params is None:
        assert len(body) == 157


def member(name, inner):
    return f"<member>\n<name>{name}</name>\n<value>{inner}</value>\n</member>"


@pytest.mark.parametrize(
    ("params", "blocks"),
    [
        ({"s": "hello"}, param(f"<struct>{member('s', '<string>hello</string>')}</struct>")),
        ({"i": -42}, param(f"<struct>{member('i', '<int>-42</int>')}</struct>")),
        (
            {"s<": "&", "i": 42},
            param(f"<struct>{member('s&lt;', '<string>&amp;</string>')}{member('i', '<int>42</int>')}</struct>"),
        ),
        (["hello"], param("<string>hello</string>")),
        (None, ""),
    ],
)
async def test_struct_x9(params, blocks):
    """X9: with the option, named parameters are one struct, that of the original for one; others are as without it."""
    async with Server() as server, interface(use_struct_param=True) as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        await events.raise_event_and_wait("E_TEST", params)
    (_, body), *_ = server.requests

    assert body.decode() == (
        '<?xml version="1.0"?>\n<methodCall>\n<methodName>m</methodName>\n<params>\n'
        f"{param('<string>E_TEST</string>')}{blocks}</params>\n</methodCall>"
    )
    assert xmlrpc.client.loads(body)[0] == ("E_TEST", *([params] if isinstance(params, dict) else params or ()))


@pytest.mark.parametrize(
    ("params", "as_struct", "size"),
    [
        (["V" * 9], False, 50 + 9),
        ([12345], False, 44 + 5),
        ({"name": "V" * 9}, True, 115 + 4 + 9),
        ({"name": 12345}, True, 109 + 4 + 5),
    ],
)
async def test_sizes_of_blocks(params, as_struct, size):
    """The block of a parameter has the length of the original's."""
    async with Server() as server, interface(use_struct_param=as_struct) as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:method")
        await events.raise_event_and_wait("E_TEST", params)
    assert len(server.requests[0][1]) == 143 + len("method") + len("E_TEST") + size


@given(
    st.dictionaries(st.text(), st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.binary(), max_size=4)
)
def test_any_parameters_are_xml_x1(params):
    """X1: whatever the parameters, a parser reads a call with as many of them."""
    from evframe_xmlrpc.calls import call, values

    from evframe.events.event import EventDefinition

    try:
        event = EventDefinition(0, "E_TEST").snapshot(params, 0.0)
    except evframe.ParameterError:
        return
    got, method = xmlrpc.client.loads(call("m", values(event, as_struct=False)))

    assert method == "m"
    assert len(got) == len(params) + 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(OK), None),
        ([bytes([byte]) for byte in http(OK)], None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(OK), OK), None),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + OK, None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + http(OK), None),
        (http(FAULT), "fault"),
        (http(OK, "500 Oops"), "http_500"),
        (http(b"", "404 Not Found"), "http_404"),
        (http(b"garbage"), "bad_reply"),
        (http(b"<methodResponse/>"), "bad_reply"),
        (http(b'<!DOCTYPE x [<!ENTITY a "b">]>' + OK.partition(b"?>")[2]), "bad_reply"),
    ],
    ids=["ok", "bytes", "chunked", "close", "continue", "fault", "500", "404", "garbage", "empty", "doctype"],
)
async def test_outcome_x4(answer, reason):
    """X4: the HTTP status and a fault are outcomes, and what is no reply is one too."""
    async with Server(lambda _: answer) as server, interface() as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for _ in range(2):
            assert (await events.raise_event_and_wait("E_TEST", ["x"]))[0].reason == reason


BIG = [b"x" * (1 << 20)] * 100


@pytest.mark.parametrize(
    "parts",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 << 20), *BIG],
        [b"HTTP/1.1 200 OK\r\n\r\n", *BIG],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"100000\r\n%b\r\n" % part for part in BIG]],
        [b"HTTP/1.1 200 OK\r\nX: ", *BIG],
        [b"HTTP/1.1 200 OK\r\n", *[b"X: %b\r\n" % (b"x" * 1000)] * 100_000],
        [b"HTTP/1.1 100 Continue\r\n\r\n" * 1000] * 4000,
    ],
    ids=["length", "close", "chunked", "header", "headers", "continue"],
)
async def test_reply_of_100_mb_is_bounded(parts):
    """A reply of a hundred megabytes is read no further than its limit, and the call is not made again."""
    async with Server(lambda _: parts) as server, interface() as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        assert (await events.raise_event_and_wait("E_TEST"))[0].reason == "bad_reply"
        assert server.sent < 16 << 20  # what is not read is in the buffers of the kernel

    assert len(server.requests) == 1


LAUGHS = b"".join(b'<!ENTITY l%d "%b">' % (level, b"&l%d;" % (level - 1) * 10) for level in range(1, 10))


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE x [<!ENTITY l0 "ha">' + LAUGHS + b"]>" + OK.partition(b"?>")[2].replace(b"1", b"&l9;"),
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>' + OK.partition(b"?>")[2].replace(b"1", b"&e;"),
        b'<!DOCTYPE x [<!ENTITY e SYSTEM "ELSEWHERE">]>' + OK.partition(b"?>")[2].replace(b"1", b"&e;"),
        b'<!DOCTYPE x SYSTEM "ELSEWHERE">' + OK.partition(b"?>")[2],
        b'<!DOCTYPE x [<!ENTITY % e SYSTEM "ELSEWHERE"> %e;]>' + OK.partition(b"?>")[2],
        b"<methodResponse><params><param>" + b"<value><array><data>" * 40_000,
        OK.replace(b"<int>1</int>", b"<a>" * 100_000 + b"</a>" * 100_000),
        OK.replace(b"<int>1</int>", b"<a " + b" ".join(b"a%d='x'" % n for n in range(60_000)) + b"/>")[:-1],
    ],
    ids=["laughs", "file", "network", "document type", "parameter entity", "open", "deep", "attributes"],
)
@pytest.mark.parametrize("multicall", [False, True])
async def test_hostile_document(document, multicall):
    """A document that would grow, reach out or sink is no reply; it reaches nothing, and the loop runs."""
    async with Server() as elsewhere:
        body = document.replace(b"ELSEWHERE", b"http://127.0.0.1:%d/x" % elsewhere.port)
        assert len(body) < 1 << 20
        async with Server(lambda _: http(body)) as server, interface(multicall=multicall) as events:
            events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
            async with asyncio.timeout(5):
                assert (await events.raise_event_and_wait("E_TEST"))[0].reason == "bad_reply"
        assert elsewhere.accepted == 0


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9\r\n", b"\x00" * 100, b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n"])
async def test_no_http_is_no_reply_x4(garbage):
    """X4: what is no HTTP is an outcome of the oldest call, which is not made again; the others are."""
    answers = [garbage]
    async with Server(lambda _: answers.pop() if answers else http(OK)) as server, interface() as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", [n], timeout_s=20) for n in range(5)))
    numbers = [xmlrpc.client.loads(body)[0][1] for _, body in server.requests]

    assert [report[0].reason for report in reports] == ["bad_reply", None, None, None, None]
    assert numbers.count(0) == 1


async def test_reply_that_nobody_has_asked_for():
    """What a server sends before a call, or without end after its reply, ends the connection and is not kept."""
    answers = [[http(OK), *BIG]]
    async with Server(lambda _: answers.pop() if answers else http(OK)) as server, interface() as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for _ in range(2):
            assert (await events.raise_event_and_wait("E_TEST", timeout_s=20))[0].delivered
        assert server.sent < 16 << 20


async def test_several_calls_are_in_flight_x8():
    """X8: as many calls as the option says are on their way at once, and no more."""
    most = 8
    reached = asyncio.Event()

    class Holding(Server):
        async def serve(self, reader, writer):
            text = b""
            while text.count(b"</methodCall>") < most:
                text += await reader.read(65536)
            reached.set()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.2)
            writer.write(http(OK) * most)
            answered = most
            while answered < 20:
                text += await reader.read(65536)
                writer.write(http(OK) * (text.count(b"</methodCall>") - answered))
                answered = text.count(b"</methodCall>")

    async with Holding() as server, interface(max_in_flight=most) as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for number in range(20):
            events.raise_event("E_TEST", [number])
        await until(lambda: events.statistics[0].delivered == 20)
    assert reached.is_set()
    assert server.accepted == 1


async def test_keep_alive_and_pipelining_x8():
    """X8: calls follow each other on one connection, several at once, and arrive in order."""
    async with Server() as server, interface(max_in_flight=16) as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for number in range(500):
            events.raise_event("E_TEST", [number])
        async with asyncio.timeout(20):
            while events.statistics[0].delivered < 500:
                await asyncio.sleep(0.001)

    assert server.accepted == 1
    assert [xmlrpc.client.loads(body)[0][1] for _, body in server.requests] == list(range(500))


async def test_server_that_closes_after_each_reply():
    """A server that ends the connection with each reply gets every call once, in order."""
    async with Server(lambda _: http(OK, head="Connection: close\r\n")) as server, interface() as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for number in range(40):
            await events.raise_event_and_wait("E_TEST", [number], timeout_s=20)

    numbers = [xmlrpc.client.loads(body)[0][1] for _, body in server.requests]
    assert numbers == list(range(40))


async def test_silent_server_x5():
    """X5: a server that never answers fails a call at its time, and holds up no other subscriber."""
    async with Server(lambda _: None) as silent, Server() as good:
        async with interface(QUICK_END, timeout_ms=200) as events:
            for server in (silent, good):
                events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
            events.subscribe_event("E_TEST", "xmlrpc:127.0.0.1:1:m")
            report = {o.socket: o.reason for o in await events.raise_event_and_wait("E_TEST", timeout_s=1)}

    assert report == {
        f"xmlrpc:127.0.0.1:{silent.port}:m": "timeout",
        f"xmlrpc:127.0.0.1:{good.port}:m": None,
        "xmlrpc:127.0.0.1:1:m": "pending",
    }


async def test_large_event_x6():
    """X6: an event of any size is sent whole."""
    async with Server() as server, interface() as events:
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        assert (await events.raise_event_and_wait("E_TEST", ["x" * 100_000]))[0].delivered
    assert len(xmlrpc.client.loads(server.requests[0][1])[0][1]) == 100_000


async def test_server_comes_back():
    """Calls that were not answered are made again on the next connection, in order."""
    async with interface() as events:
        lease = events.subscribe_event("E_TEST", "xmlrpc:127.0.0.1:1:m")
        events.unsubscribe_event("E_TEST", "xmlrpc:127.0.0.1:1:m")
        async with Server() as first:
            lease = events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{first.port}:m")
            await events.raise_event_and_wait("E_TEST", [0])
            first.refuse()
            first.reset()
            for number in range(1, 300):  # before the end of the connection is noticed
                events.raise_event("E_TEST", [number])
        async with asyncio.timeout(20):
            while not lease.subscriber.attempts:
                await asyncio.sleep(0.001)
        async with Server(port=first.port) as second, asyncio.timeout(20):
            while lease.subscriber.depth:
                await asyncio.sleep(0.001)

    assert [xmlrpc.client.loads(body)[0][1] for _, body in second.requests] == list(range(1, 300))


class KeepAlive(SimpleXMLRPCRequestHandler):
    protocol_version = "HTTP/1.1"
    rpc_paths = ("/RPC2",)


@pytest.mark.parametrize("multicall", [False, True])
async def test_standard_server(multicall):
    """The server of the standard library gets every call; with the option, many at once, with an outcome for each."""
    got = []

    def take(event, number):
        if number == 7:
            raise ValueError("seven")
        got.append(number)
        return 1

    with SimpleXMLRPCServer(("127.0.0.1", 0), KeepAlive, logRequests=False) as server:
        server.register_function(take, "take")
        server.register_multicall_functions()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            async with interface(multicall=multicall) as events:
                events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.server_address[1]}:take")
                reports = await asyncio.gather(
                    *(events.raise_event_and_wait("E_TEST", [n], timeout_s=20) for n in range(30))
                )
        finally:
            await asyncio.to_thread(server.shutdown)
            thread.join()

    assert got == [number for number in range(30) if number != 7]
    assert [report[0].reason for report in reports] == ["fault" if number == 7 else None for number in range(30)]


@pytest.mark.parametrize("options", [{"timeout_ms": 0}, {"max_in_flight": 0}, {"connect_timeout_ms": -1}])
def test_bad_options(options):
    """A value out of range is an error that names the option."""
    with pytest.raises(ValueError, match=f"{next(iter(options))}: expected"):
        Options(**options)


def test_bad_ca_file(tmp_path):
    """Certificates that are not there are a problem of the configuration."""
    with pytest.raises(evframe.ConfigError, match="ca_file: expected"):
        XmlrpcTransport(Options(ca_file=str(tmp_path / "none")))


async def test_tls_x8(tmp_path):
    """X8: calls go over TLS to a server whose certificate is trusted, and to no other."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    words += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    async with Server(ssl=context) as server:
        text = f"xmlrpcs:localhost:{server.port}:m"
        async with interface(ca_file=str(certificate)) as events:
            lease = events.subscribe_event("E_TEST", text)
            assert lease.subscriber.socket.canonical == text
            assert (await events.raise_event_and_wait("E_TEST", ["secret"]))[0].delivered
        async with interface(QUICK_END) as events:
            lease = events.subscribe_event("E_TEST", text)
            events.raise_event("E_TEST", ["not for everybody"])
            async with asyncio.timeout(20):
                while not lease.subscriber.attempts:
                    await asyncio.sleep(0.001)

    assert [xmlrpc.client.loads(body)[0] for _, body in server.requests] == [("E_TEST", "secret")]


async def test_closed_connection_is_told():
    """That a connection is closed is reported with both addresses, unless it has carried meta events alone."""
    told = []

    class Hears:
        @evframe.hookimpl
        def register_events(self, collector):
            collector.add("E_QUIET", {}, is_meta=True)
            collector.add("E_LOUD", {})

        @evframe.hookimpl
        def connection_closed(self, peer, local, protocol):
            told.append((peer, local[0], protocol))

    events = evframe.EventInterface(plugins={"xmlrpc": XmlrpcTransport(Options(keep_alive=False)), "hears": Hears()})
    async with Server() as server, events:
        for name in ("E_QUIET", "E_LOUD"):
            events.subscribe_event(name, f"xmlrpc:127.0.0.1:{server.port}:m")
            await events.raise_event_and_wait(name)
        await until(lambda: told)
    assert told == [(("127.0.0.1", server.port), "127.0.0.1", "http")]


@pytest.mark.parametrize("multicall", [False, True])
async def test_a_request_has_the_headers_of_its_events(multicall):
    """A request has the headers of its event; several events in one request have some where all have the same."""
    first, second = (
        {"traceparent": PARENT},
        {
            "traceparent": f"{PARENT[:-2]}00",
            "tracestate": "a=1",
            "baggage": "x" * 3000,
            "x-end": "a\r\nx-other: 1",
            "x-\nother": "1",
            "x-letter": "é",
        },
    )
    async with Server() as server, interface(multicall=multicall) as events:
        events.trace_by(ByParameter())
        events.subscribe_event("E_TEST", f"xmlrpc:127.0.0.1:{server.port}:m")
        for params in ([{"headers": first}] * 2, [{"headers": first}, {"headers": second}], [{"headers": second}, {}]):
            for each in params:
                events.raise_event("E_TEST", each)
            await until(lambda: not events.statistics[0].depth)
        heads = [head.decode() for head, _ in server.requests]

    found = [
        {
            name: value
            for line in head.splitlines()
            if (name := line.partition(": ")[0]) in {*first, *second} and (value := line.partition(": ")[2])
        }
        for head in heads
    ]
    kept = {name: value for name, value in second.items() if name.startswith("trace")}
    assert not any("x-" in head.lower() for head in heads)
    assert found == ([first, {}, {}] if multicall else [first, first, first, kept, kept, {}])
