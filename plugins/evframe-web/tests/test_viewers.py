"""What pages get of live events: frames, bounds and counts."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
from evframe_web import library, viewers
from evframe_web.viewers import MOST_BYTES, PIECE_BYTES, Viewer

from evframe.testing import until


def parse(data):
    """Return the events of a stream: kinds, each with its lines of data."""
    found = []
    for frame in data.decode().split("\n\n"):
        lines = frame.split("\n")
        kind = next((line[7:] for line in lines if line.startswith("event: ")), None)
        if kind is not None:
            found.append((kind, [line[6:] for line in lines if line.startswith("data: ")]))
    return found


class Page:
    """A page that reads a stream, byte for byte."""

    def __init__(self, port, pattern="*", receive_bytes=None):
        self.port, self.pattern, self.receive_bytes = port, pattern, receive_bytes
        self.data = b""

    async def __aenter__(self):
        self.socket = socket.socket()
        if self.receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_bytes)
        self.socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.socket, ("127.0.0.1", self.port))
        head = f"GET /api/events?pattern={self.pattern} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        await loop.sock_sendall(self.socket, head.encode())
        self.answer = b""
        while b"event: open" not in self.answer:
            self.answer += await loop.sock_recv(self.socket, 4096)
        return self

    async def __aexit__(self, *error):
        self.socket.close()

    async def count(self, wanted):
        """Read until so many events have come; the chunks of the transfer do not matter for the count."""
        loop = asyncio.get_running_loop()
        found, rest = 0, b""
        while found < wanted:
            data = await loop.sock_recv(self.socket, 1 << 18)
            assert data, f"expected {wanted} events, got {found}"
            rest += data
            found += rest.count(b"event: raised")
            rest = rest[-12:]
        return found


async def read(page, wanted):
    """Return the events of a response of the client's until there are so many."""
    found = []
    while len(found) < wanted:
        found += parse(await page.content.readuntil(b"\n\n"))
    return found


async def test_an_event_is_a_line_about_it_and_its_parameters_as_they_are(served):
    """Parameters keep their text, such as large numbers and names that come twice; what is too long is cut."""
    async with served() as each:
        async with each_client(each, "/api/events") as page:
            each.events.raise_event("E_A", {"number": 12345678901234567890, "text": "<b>\n\r\u2028"})
            each.events.raise_event("E_A")
            each.events.raise_event("E_A", {"long": "x" * 100_000})
            opened, first, second, third = await read(page, 4)
    assert opened == ("open", ['{"pattern":"*"}'])
    kind, (about, body) = first
    assert (kind, json.loads(about)["name"], body) == (
        "raised",
        "E_A",
        '{"number":12345678901234567890,"text":"<b>\\n\\r\u2028"}',
    )
    assert abs(json.loads(about)["at"] - json.loads(second[1][0])["at"]) < 60
    assert len(second[1]) == 1
    assert json.loads(third[1][0])["bytes"] == len('{"long":""}') + 100_000
    assert len(third[1][1]) == viewers.BODY_BYTES


@asynccontextmanager
async def each_client(each, path):
    """Yield a response."""
    async with aiohttp.ClientSession() as client, client.get(each.url + path) as response:
        yield response


async def test_events_are_listened_for_while_a_page_looks_alone(served):
    """A pattern has one subscriber, however many pages look; it ends with the last page, and is in no number."""
    async with served() as each:
        channel = each.web._desk._context.raising.event("E_A")
        assert not channel.has_targets
        async with Page(each.web.address[1], "E_*"), Page(each.web.address[1], "E_*"):
            assert len(channel.consumers) == 1
            each.events.raise_event("E_A")
            await until(lambda: each.events.statistics[0].delivered == 1)
            assert (await each.get("/api/state"))[1]["delivered"] == 0
            assert (await each.get("/api/table?name=subscribers&sort=state"))[1]["rows"] == []
            assert each.web.statistics()[0].gauges["viewers"] == 2
        await until(lambda: not channel.has_targets)
        await until(lambda: not each.web._desk.own.subscribers)
        each.web._desk.snapshots.forget()
        state = (await each.get("/api/state"))[1]
        assert (state["raised"], state["delivered"], state["transports"]) == (1, 0, [])


async def test_the_gateway_chooses_the_events_of_a_pattern(served):
    """An event that does not match is not sent; events that are registered later count, too."""
    async with served() as each:
        async with each_client(each, "/api/events?pattern=E_B*") as page:
            each.events.register_event("E_BEE")
            each.events.raise_event("E_A")
            each.events.raise_event("E_BEE")
            assert json.loads((await read(page, 2))[1][1][0])["name"] == "E_BEE"


async def test_one_of_a_hundred_pages_stops_and_loses_alone(served, monkeypatch):
    """The others get every event, what waits for the stopped one is bounded, and its loss is counted."""
    monkeypatch.setattr(viewers, "MOST_BYTES", 64 << 10)
    count, body = 600, {"text": "x" * 2000}
    async with served({"events_per_s": 1_000_000}) as each, AsyncExitStack() as stack:
        port = each.web.address[1]
        pages = [await stack.enter_async_context(Page(port)) for _ in range(99)]
        await stack.enter_async_context(Page(port, receive_bytes=4096))
        assert each.web.statistics()[0].gauges["viewers"] == 100
        for _ in range(count // 10):
            for _ in range(10):
                each.events.raise_event("E_A", body)
            await asyncio.gather(*(page.count(10) for page in pages))
            assert each.web._desk.viewers.waiting_bytes <= (64 << 10) + 100 * PIECE_BYTES
        group = each.web.statistics()[0]
        assert group.counters["skipped"] == 0
        lost = [viewer.lost for watch in each.web._desk.viewers._watches.values() for viewer in watch.viewers]
        assert lost[:99] == [0] * 99
        assert lost[99] == group.counters["lost"] > 0
        assert each.events.statistics[0].failed == 0, "it is no loss of the gateway"


async def test_a_page_that_takes_nothing_is_closed(served, monkeypatch, caplog):
    """Its connection ends after a time, with a line of the log."""
    monkeypatch.setattr(library, "SLOW_S", 0.2)
    async with served({"events_per_s": 1_000_000}) as each:
        async with Page(each.web.address[1], receive_bytes=4096):
            while each.web.statistics()[0].gauges["viewers"]:
                each.events.raise_event("E_A", {"text": "x" * 10_000})
                await asyncio.sleep(0.01)
        assert "a page was too slow to look at events" in caplog.text


async def test_more_events_than_a_page_gets_in_a_second_are_counted(served):
    """The first ones of a burst are sent, and the number of the others."""
    async with served({"events_per_s": 10}) as each:
        async with each_client(each, "/api/events") as page:
            for number in range(1000):
                each.events.raise_event("E_A", {"number": number})
            found = await read(page, 12)
    kinds = [kind for kind, _ in found]
    assert kinds.count("raised") == 10
    skipped = sum(json.loads(lines[0])["skipped"] for kind, lines in found if kind == "gap")
    assert skipped == 990


async def test_no_more_pages_than_the_option_says(served):
    """One more is answered with 503, and gets in when another one has gone."""
    async with served({"max_viewers": 1}) as each:
        async with Page(each.web.address[1]):
            assert await each.get("/api/events") == (503, {"error": "1 pages look at events already"})
        await until(lambda: not len(each.web._desk.viewers))
        async with Page(each.web.address[1]):
            pass


async def test_what_a_page_is_too_slow_for_is_dropped_oldest_first():
    """The newest events are kept up to the bound, and a page learns how many it has lost before them."""
    viewer = Viewer()
    frames = [b"%08d" % number + bytes(PIECE_BYTES // 2) for number in range(100)]
    lost = viewer.put(frames, 3)
    assert viewer.waiting_bytes <= MOST_BYTES
    piece = await viewer.take()
    assert parse(piece)[0] == ("gap", [f'{{"lost":{lost},"skipped":3}}'])
    assert frames[lost][:8] in piece, "the oldest that is kept"
    while viewer.waiting_bytes:
        piece = await viewer.take()
        assert len(piece) <= PIECE_BYTES
    assert piece.endswith(frames[-1])
    viewer.close()
    assert await viewer.take() == b""


async def test_one_event_is_kept_however_large():
    """An event that has more than the bound is sent alone."""
    viewer = Viewer()
    assert viewer.put([bytes(MOST_BYTES * 2)], 0) == 0
    assert len(await viewer.take()) == MOST_BYTES * 2


async def test_the_end_of_the_interface_ends_the_stream(served):
    """A page that looks does not hold up the end, and gets what was raised before it."""
    async with AsyncExitStack() as stack:
        async with served() as each:
            page = await stack.enter_async_context(each_client(each, "/api/events"))
            each.events.raise_event("E_A")
        assert [kind for kind, _ in parse(await page.content.read())] == ["open", "raised"]
