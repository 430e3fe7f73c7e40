"""The stream transport against peers on loopback."""

import asyncio
import json
import socket
import struct

import pytest
from evframe_stream import Options, StreamTransport, parse
from stream_servers import StreamServer

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import until

decode = json.JSONDecoder().raw_decode


class Peer(StreamServer):
    """A TCP server that keeps what it reads, and answers as a test says."""

    def __init__(self, answer=None, port=0):
        super().__init__(self.serve, port=port)
        self.answer = answer
        self.data = b""
        self.changed = asyncio.Condition()

    async def serve(self, reader, writer):
        buffered = ""
        while data := await reader.read(65536):
            self.data += data
            buffered += data.decode()
            while self.answer is not None and buffered.endswith("}"):  # a large message is not decoded at each part
                try:
                    message, end = decode(buffered)
                except ValueError:
                    break
                buffered = buffered[end:]
                for part in self.answer(message):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
            async with self.changed:
                self.changed.notify_all()

    async def until(self, true):
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(true)


QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.1))


def interface(config=None, **options):
    return evframe.EventInterface(config, plugins={"stream": StreamTransport(Options(**options))})


def ok(message, **more):
    return [json.dumps({"jsonrpc": "2.0", "result": "OK", "id": message["id"], **more}).encode()]


@pytest.mark.parametrize(
    ("rest", "canonical"),
    [
        ("127.0.0.1:8080", "tcp:127.0.0.1:8080"),
        ("127.0.0.1:8080/", "tcp:127.0.0.1:8080"),
        ("127.0.0.1:8080/m", "tcp:127.0.0.1:8080/m"),
        ("127.0.0.1:8080/M", "tcp:127.0.0.1:8080/M"),
        ("127.0.0.1:8080/m/n", "tcp:127.0.0.1:8080/m/n"),
        ("127.0.0.1:8080/m n", "tcp:127.0.0.1:8080/m n"),
        ("127.0.0.1:08080/z", "tcp:127.0.0.1:8080/z"),
        ("localhost:8080", "tcp:localhost:8080"),
        ("[::1]:80", "tcp:[::1]:80"),
    ],
)
def test_accepted_s9(rest, canonical):
    """Each accepted row prints its canonical text; S9: IPv6 in brackets too."""
    assert parse(rest).canonical == canonical


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "h",
        "h:",
        ":1",
        "h:/m",
        "h:8080m",
        "h: 80",
        "h:80 /m",
        "127.0.0.1:8080m",
        "127.0.0.1: 80",
        "127.0.0.1:80 /m",
        " 127.0.0.1:80",
        "::1:80",
        "[::1]",
        "127.0.0.1:65537/z",
        "127.0.0.1:0",
    ],
)
def test_rejected(rest):
    """Each rejected row is an error; a port never wraps."""
    with pytest.raises(ValueError, match="expected"):
        parse(rest)


@pytest.mark.parametrize(
    ("method", "event_param", "params", "expected"),
    [
        ("", None, None, '{"jsonrpc":"2.0","method":"E_TEST"}'),
        ("/meth", "ev", None, '{"jsonrpc":"2.0","method":"meth"}'),
        ("/meth", "ev", {"s": "hello"}, '{"jsonrpc":"2.0","method":"meth","params":{"ev":"E_TEST","s":"hello"}}'),
        ("/meth", "ev", ["hello", 42], '{"jsonrpc":"2.0","method":"meth","params":["E_TEST","hello",42]}'),
        ("", "ev", {"n": evframe.UNSET}, '{"jsonrpc":"2.0","method":"E_TEST","params":{"ev":"E_TEST"}}'),
        ("", "", {"i": 1}, '{"jsonrpc":"2.0","method":"E_TEST","params":{"":"E_TEST","i":1}}'),
        ("/m n", None, {"i": -7}, '{"jsonrpc":"2.0","method":"m n","params":{"i":-7}}'),
    ],
)
@pytest.mark.parametrize("newline", [False, True])
async def test_bytes(method, event_param, params, expected, newline):
    """Each row of the payload table, byte for byte; S9: a newline after each when asked for."""
    async with Peer() as peer, interface(event_param=event_param, newline_framing=newline) as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}{method}")
        first, second = [await events.raise_event_and_wait("E_TEST", params) for _ in range(2)]
        await peer.until(lambda: len(peer.data) >= 2 * (len(expected) + newline))

    assert peer.data.decode() == 2 * (expected + "\n" * newline)
    assert first[0].delivered
    assert second[0].delivered


async def test_reliable_bytes():
    """In reliable mode the id is the first member, positive and new for each request."""
    async with Peer(ok) as peer, interface(reliable_mode=True) as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        for _ in range(3):
            assert (await events.raise_event_and_wait("E_TEST", {"s": "hello"}))[0].delivered
    text = peer.data.decode()
    ids = []
    while text:
        message, end = decode(text)
        ids.append(message["id"])
        assert text[:end] == '{"id":%d,"jsonrpc":"2.0","method":"E_TEST","params":{"s":"hello"}}' % message["id"]
        text = text[end:]

    assert len(set(ids)) == 3
    assert all(0 < number < 2**31 for number in ids)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda m: ok(m), None),
        (lambda m: [b'{"ID":%d,"Result":1}' % m["id"]], None),
        (lambda m: [b'{"id":"%d"}' % m["id"]], None),
        (lambda m: [b'{"id":%d,"error":null}' % m["id"]], None),
        (lambda m: [b'[{"id":1.5},{"id":%d,"result":{"a":"}"}}]\r\n' % m["id"]], None),
        (lambda m: [b"%c" % byte for byte in ok(m)[0]], None),
        (lambda m: [b'not json {"half":\x00 } {"id":null}{"id":true}[1,"x"]{"nothing":1} ', *ok(m)], None),
        (lambda m: [b'{"', *ok(m)], None),
        (lambda m: [b'{"jsonrpc":"2.0","result":1,"i', *ok(m)], None),
        (lambda m: [b'{"id":1e999}{"id":NaN}{"id":-Infinity}{"id":"%b"}{"id":0}' % (b"9" * 5000), *ok(m)], None),
        (lambda m: [b"[" * 5000 + b"]" * 5000, *ok(m)], None),
        (lambda m: [b"[" * 1001 + b'{"id":%d,"error":1}' % m["id"] + b"]" * 1001, *ok(m)], None),
        (lambda m: [b'{"a":[' + b"[0]," * 300_000 + b'{"id":%d,"error":1}]}' % m["id"], *ok(m)], None),
        (lambda m: [b'{"id":%d.0}' % m["id"]], None),
        (lambda m: [json.dumps({"result": "x" * 20000, "id": m["id"]}).encode()], None),
        (lambda m: [b'{"id":%d,"error":{"code":1}}' % m["id"]], "error_reply"),
        (lambda m: [b'{"id":%d,"ERROR":{"code":1}}' % m["id"]], "error_reply"),
        (lambda m: [b'{"id":%d,"result":1}' % (m["id"] + 1000)], "timeout"),
        (lambda m: [], "timeout"),
    ],
    ids=[
        "ok",
        "case",
        "string-id",
        "error-null",
        "batch",
        "byte-by-byte",
        "garbage",
        "stray",
        "half",
        "odd-numbers",
        "deep",
        "within-deep",
        "within-long",
        "float-id",
        "large",
        "error",
        "ERROR",
        "unknown",
        "none",
    ],
)
async def test_replies_s2_s5_s10(answer, reason):
    """S2, S5, S10: every form of a reply counts, wherever it is split; garbage is no reply."""
    async with (
        Peer(answer) as peer,
        interface(reliable_mode=True, timeout_ms=300 if reason == "timeout" else 20_000) as events,
    ):
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        reports = await asyncio.gather(
            *(events.raise_event_and_wait("E_TEST", [number], timeout_s=None) for number in range(5))
        )

    assert [report[0].reason for report in reports] == [reason] * 5
    assert peer.accepted == 1


async def test_pipelined_replies_in_any_order_s7():
    """S7: many requests are outstanding at once; replies are matched by id in any order."""
    held = []

    def answer(message):
        held.append(message)
        if len(held) < 50:
            return []
        return [b"".join(ok(message)[0] for message in reversed(held))]

    async with Peer(answer) as peer, interface(reliable_mode=True, timeout_ms=20_000) as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        reports = await asyncio.gather(*(events.raise_event_and_wait("E_TEST", [number]) for number in range(50)))

    assert all(report[0].delivered for report in reports)
    assert len({message["id"] for message in held}) == 50


async def test_deadline_of_each_request_s3_s4():
    """S3, S4: a request without a reply fails at its own deadline; a late reply and the stream are unharmed."""
    first = []

    def answer(message):
        if message["params"] == [0]:
            first.append(message)
            return []
        return ok(message)

    async with Peer(answer) as peer, interface(reliable_mode=True, timeout_ms=200) as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        started = asyncio.get_running_loop().time()
        silent = asyncio.create_task(events.raise_event_and_wait("E_TEST", [0]))
        for number in range(1, 20):
            assert (await events.raise_event_and_wait("E_TEST", [number]))[0].delivered
        assert (await silent)[0].reason == "timeout"
        assert asyncio.get_running_loop().time() - started >= 0.19
        (writer,) = peer.writers
        writer.write(ok(first[0])[0])
        assert (await events.raise_event_and_wait("E_TEST", [20]))[0].delivered

    assert peer.accepted == 1


async def test_large_messages_stay_whole_s3():
    """S3: messages larger than every kernel buffer arrive whole and in order."""
    async with Peer() as peer, interface() as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        reports = await asyncio.gather(
            *(events.raise_event_and_wait("E_TEST", [number, "x" * 3_000_000], timeout_s=30) for number in range(4))
        )
        await peer.until(lambda: len(peer.data) > 4 * 3_000_000)

    assert all(report[0].delivered for report in reports)
    text = peer.data.decode()
    for number in range(4):
        message, end = decode(text)
        assert message["params"][0] == number
        text = text[end:]


async def test_request_that_times_out_half_written_s3():
    """S3: a request whose time is over while half of it is written is finished, so that the next one can be read."""
    read = asyncio.Event()

    class Late(Peer):
        async def serve(self, reader, writer):
            await read.wait()
            await super().serve(reader, writer)

    async with Late(ok) as peer, interface(reliable_mode=True, timeout_ms=200) as events:
        events.register_event("E_TEST")
        lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        large = await events.raise_event_and_wait("E_TEST", ["large", "x" * 20_000_000])
        assert large[0].reason == "timeout"
        (connection,) = events.plugin("stream").connections
        assert 0 < connection._buffered < 20_000_000  # half-written indeed
        read.set()
        await peer.until(lambda: len(peer.data) > 20_000_000)
        assert (await events.raise_event_and_wait("E_TEST", ["next"], timeout_s=20))[0].delivered
        assert lease.subscriber.reasons == {"timeout": 1}

    text = peer.data.decode()
    for name in ("large", "next"):
        message, end = decode(text)
        assert message["params"][0] == name
        text = text[end:]
    assert text == ""
    assert peer.accepted == 1


async def test_connecting_that_takes_for_ever_s1_s4():
    """S1, S4: making a connection is bounded in time, delays no other subscriber, and is tried again."""
    with socket.socket() as hole, socket.socket() as filler:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        hole.setblocking(False)
        filler.connect(hole.getsockname())  # now the kernel answers no further SYN
        async with Peer() as peer, interface(connect_timeout_ms=100) as events:
            events.register_event("E_TEST")
            stuck = events.subscribe_event("E_TEST", "tcp:127.0.0.1:%d" % hole.getsockname()[1])
            events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            report = await events.raise_event_and_wait("E_TEST", [1], timeout_s=0.5)
            assert {outcome.reason for outcome in report} == {None, "pending"}
            await until(lambda: stuck.subscriber.attempts)
            loop = asyncio.get_running_loop()
            accepted = [(await loop.sock_accept(hole))[0]]
            async with asyncio.timeout(20):
                accepted.append((await loop.sock_accept(hole))[0])
            await until(lambda: stuck.subscriber.delivered == 1)
            for one in accepted:
                one.close()


async def test_black_hole_holds_no_other_up_s1():
    """S1: a peer that never reads and one that cannot be reached hold up no other."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as hole:
        async with Peer() as peer, interface(QUICK_END) as events:
            events.register_event("E_TEST")
            events.subscribe_event("E_TEST", "tcp:127.0.0.1:1")
            events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{hole.getsockname()[1]}")
            lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            for number in range(5000):
                events.raise_event("E_TEST", {"number": number, "text": "x" * 100})
            async with asyncio.timeout(20):
                while lease.subscriber.depth:
                    await asyncio.sleep(0.001)
            assert lease.subscriber.delivered == 5000


@pytest.mark.parametrize("reliable", [False, True])
@pytest.mark.parametrize("reset", [False, True])
async def test_peer_comes_back(reliable, reset):
    """What a lost connection had not delivered goes over the next one, whole and in order."""
    async with interface(reliable_mode=reliable, timeout_ms=20_000) as events:
        events.register_event("E_TEST")
        answer = ok if reliable else None
        async with Peer(answer) as peer:
            lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            assert (await events.raise_event_and_wait("E_TEST", [0]))[0].delivered
            await peer.until(lambda: b"[0]" in peer.data)
            if reset:
                (writer,) = peer.writers
                raw = writer.get_extra_info("socket")
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.refuse()
            peer.reset()
            for number in range(1, 3001):  # before the end of the connection is noticed
                events.raise_event("E_TEST", [number])
        while not lease.subscriber.attempts:
            await asyncio.sleep(0.001)
        async with Peer(answer, peer.port) as back:
            async with asyncio.timeout(20):
                while lease.subscriber.depth:
                    await asyncio.sleep(0.001)
            await back.until(lambda: b"[3000]" in back.data)

    numbers = [int(part.split("]")[0]) for part in back.data.decode().split("[")[1:]]
    assert [number for number in numbers if number] == list(range(1, 3001))
    assert lease.subscriber.delivered == 3001


async def test_answered_requests_are_not_sent_again():
    """A lost connection gives back only what was not answered, also when that is in the middle."""

    def answer(message):
        return [] if message["params"][0] % 3 == 0 else ok(message)

    async with interface(reliable_mode=True, timeout_ms=20_000) as events:
        events.register_event("E_TEST")
        async with Peer(answer) as peer:
            lease = events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            for number in range(30):
                events.raise_event("E_TEST", [number])
            await peer.until(lambda: b"[29]" in peer.data)
        while not lease.subscriber.attempts:
            await asyncio.sleep(0.001)
        async with Peer(ok, peer.port) as back, asyncio.timeout(20):
            while lease.subscriber.depth:
                await asyncio.sleep(0.001)

    assert [int(part.split("]")[0]) for part in back.data.decode().split("[")[1:]] == list(range(0, 30, 3))
    assert lease.subscriber.delivered == 30


async def test_connection_is_shared_and_closed_s9():
    """S9: subscribers of one address share a connection, which is kept alive, and closed with the last of them."""
    async with Peer() as peer, interface() as events:
        events.register_event("E_TEST")
        sockets = [f"tcp:127.0.0.1:{peer.port}{method}" for method in ("", "/m", "/n")]
        for text in sockets:
            events.subscribe_event("E_TEST", text)
        await events.raise_event_and_wait("E_TEST")
        await events.raise_event_and_wait("E_TEST")
        await peer.until(lambda: len(peer.data) >= 6 * 35 - 4 * 5)
        assert peer.accepted == 1
        (connection,) = events.plugin("stream").connections
        assert connection._kernel.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for text in sockets:
            events.unsubscribe_event("E_TEST", text)
        await peer.ended()


async def test_plain_success_is_reported_s6_s8_s11():
    """S6, S8, S11: every plain event has one outcome: acknowledged, or what went wrong."""
    async with Peer() as peer, interface(QUICK_END) as events:
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
        events.subscribe_event("E_TEST", "tcp:127.0.0.1:1")
        report = {o.socket: o.reason for o in await events.raise_event_and_wait("E_TEST", timeout_s=0.5)}
        events.unsubscribe_event("E_TEST", "tcp:127.0.0.1:1")

    assert report == {f"tcp:127.0.0.1:{peer.port}": None, "tcp:127.0.0.1:1": "pending"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timeout_ms": 0}, "timeout_ms"),
        ({"connect_timeout_ms": -1}, "connect_timeout_ms"),
        ({"resend_ms": -1}, "resend_ms"),
        ({"user_timeout_ms": 2**31}, "user_timeout_ms"),
        ({"keepalive_s": 32_768}, "keepalive_s"),
    ],
)
def test_bad_options(options, field):
    """A value out of range is an error that names the option."""
    with pytest.raises(ValueError, match=f"{field}: expected"):
        Options(**options)


def test_same_text_twice_q10():
    """Q-10: a socket's text can be used again as it is."""
    events = interface()
    text = "tcp:127.0.0.1:8080/m"
    for name in ("E_A", "E_B"):
        events.register_event(name)
        events.subscribe_event(name, text)

    assert [lease.subscriber.socket.canonical for lease in events.subscriptions] == [text, text]


class Closed:
    """A plugin for the tests: keeps what it is notified of connections, and has a meta event."""

    def __init__(self):
        self.closed = []

    @evframe.hookimpl
    def register_events(self, collector):
        collector.add("E_QUIET", {}, is_meta=True)

    @evframe.hookimpl
    def connection_closed(self, peer, local, protocol):
        self.closed.append((peer, local, protocol))


def recorded(**options):
    recorder = Closed()
    plugins = {"stream": StreamTransport(Options(**options)), "recorder": recorder}
    return evframe.EventInterface(QUICK_END, plugins=plugins), recorder


@pytest.mark.parametrize("reliable", [True, False])
async def test_closed_connection_is_reported(reliable):
    """That a connection is closed is reported with both addresses, by either side; the interface's end is not."""
    events, recorder = recorded(reliable_mode=reliable)
    events.register_event("E_TEST")
    async with Peer(ok if reliable else None) as peer, events:
        for number, ends in enumerate(("the peer closes", "the last subscriber leaves", "the interface is left"), 1):
            events.subscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            assert (await events.raise_event_and_wait("E_TEST"))[0].delivered
            await peer.until(lambda number=number: peer.accepted == number)
            *_, writer = peer.writers
            expected = writer.get_extra_info("sockname"), writer.get_extra_info("peername"), "tcp"
            if ends == "the peer closes":
                writer.close()
            elif ends == "the last subscriber leaves":
                events.unsubscribe_event("E_TEST", f"tcp:127.0.0.1:{peer.port}")
            else:
                break
            await until(lambda: recorder.closed)
            assert recorder.closed == [expected]
            recorder.closed.clear()
        reported = recorder.closed
    assert reported == []


async def test_no_connection_is_none_that_closes():
    """A connection that is refused raises no event."""
    events, recorder = recorded()
    events.register_event("E_TEST")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with events:
            events.subscribe_event("E_TEST", "tcp:127.0.0.1:%d" % closed.getsockname()[1])
            events.raise_event("E_TEST")
            await until(lambda: events.subscriptions[0].subscriber.attempts)
    assert recorder.closed == []


async def test_events_about_connections_do_not_feed_themselves():
    """A connection that has carried meta events alone raises no event, so that a peer which closes after each ends it."""
    events, recorder = recorded()
    async with Peer() as peer, events:
        events.subscribe_event("E_QUIET", f"tcp:127.0.0.1:{peer.port}")
        for count in (1, 2):
            await events.raise_event_and_wait("E_QUIET")
            await peer.until(lambda count=count: peer.accepted == count)
            *_, writer = peer.writers
            writer.close()
            (connection,) = events.plugin("stream").connections
            await until(lambda connection=connection: not connection.is_open)
    assert recorder.closed == []
