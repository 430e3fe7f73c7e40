"""Headers of kept events: they are on disk beside the payload, and nowhere else."""

import json
import sqlite3
from contextlib import closing

import pytest
from carried import PARENT, ByParameter
from evframe_journal import JournalPlugin, Options
from evframe_journal.carried import packed, unpacked

import evframe
from evframe.config import parse_config
from evframe.testing import MemoryTransport, until

HEADERS = {"traceparent": PARENT, "tracestate": "a=1,b=2"}


class Peer:
    """Takes events, or is away."""

    def __init__(self):
        self.got = []
        self.takes = False

    def __call__(self, batch):
        if not self.takes:
            raise evframe.Unavailable("away")
        self.got += batch.events
        return True


def interface(folder, peer, policy="", *, traced=True, most=10, **options):
    memory = MemoryTransport()
    memory.when("peer", peer)
    journal = JournalPlugin(Options(path=str(folder / "journal"), store_after_ms=2, **options))
    config = parse_config(f'[core]\nqueue_size = {most}\n[[policies]]\nsocket = "*"\nkeep = "disk"\n{policy}')
    events = evframe.EventInterface(config, plugins={"memory": memory, "journal": journal})
    if traced:
        events.trace_by(ByParameter())
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:peer")
    return events


@pytest.mark.parametrize("is_traced", [True, False])
async def test_an_event_of_an_earlier_process_has_its_headers(tmp_path, is_traced):
    """An event that was read from disk has the headers of its raise, and its payload is as it was."""
    peer = Peer()
    async with interface(tmp_path, peer) as events:
        for number in range(100):  # more than what is in memory
            events.raise_event("E_A", {"n": number} | ({"headers": HEADERS} if number % 2 else {}))
        await until(lambda: events.plugin("journal").written == 100)
    peer.takes = True
    async with interface(tmp_path, peer, traced=is_traced) as events:
        await until(lambda: len(peer.got) == 100)

    assert [event.carried for event in peer.got] == [None, HEADERS] * 50
    assert [event["n"] for event in peer.got] == list(range(100))
    assert not any(b"\0" in event.payload for event in peer.got)


async def test_a_dead_letter_has_no_headers(tmp_path):
    """A letter has the payload alone, wherever the event was: in memory, on disk, or under way."""
    peer = Peer()
    async with interface(tmp_path, peer, "dead_letter = true\n") as events:
        for number in range(100):
            events.raise_event("E_A", {"n": number, "headers": HEADERS})
        journal = events.plugin("journal")
        await until(lambda: journal.written == 100)
        events.unsubscribe_event("E_A", "memory:peer")
        await until(lambda: journal.letters.count == 100)
    with closing(sqlite3.connect(tmp_path / "journal")) as database:
        payloads = [payload for (payload,) in database.execute("SELECT payload FROM dead")]

    assert sorted(json.loads(payload)["params"]["n"] for payload in payloads) == list(range(100))


HARMLESS = [b'{"jsonrpc":"2.0","method":"E_A"}', b'{"jsonrpc":"2.0","method":"E_A","params":{"a":"\\u0000"}}']


@pytest.mark.parametrize("payload", HARMLESS)
def test_a_payload_without_headers_is_itself(payload):
    """What is written for an event without headers is its payload."""
    event = evframe.EventDefinition(0, "E_A").restored(payload, 0.0)

    assert packed(event) is payload
    assert unpacked(payload) == (payload, None)
    assert unpacked(packed(event.carrying(HEADERS))) == (payload, HEADERS)
    assert unpacked(packed(event.carrying({}))) == (payload, None)


@pytest.mark.parametrize(
    "headers",
    [{"a": "x\0y"}, {"a\0b": "x"}, {"a": "\ud800"}, {"é": "x"}, {"a": b"x"}, {"a": 7}, {None: "x"}],
)
def test_what_is_no_header_is_not_written(headers):
    """What no header of HTTP has, such as a NUL, leaves the headers out, and never changes the event."""
    event = evframe.EventDefinition(0, "E_A").restored(HARMLESS[0], 0.0).carrying(headers)

    assert unpacked(packed(event)) == (HARMLESS[0], None)


@pytest.mark.parametrize("rest", [b"\0", b"\0a", b"\0a\0b\0c", b"\0\xff\0\xfe", b"\0a\0\xc3\xa9"])
def test_what_is_no_header_is_left_out(rest):
    """Whatever stands behind a payload, the event is read."""
    payload, headers = unpacked(HARMLESS[0] + rest)
    assert all(text.isascii() for pair in (headers or {}).items() for text in pair)

    assert payload == HARMLESS[0]
    assert headers is None or all(isinstance(each, str) for pair in headers.items() for each in pair)


async def test_headers_count_for_the_memory(tmp_path):
    """Events take no more memory than they may, whatever headers they have, and all of it is given back."""
    peer = Peer()
    async with interface(tmp_path, peer, memory_bytes=1 << 20) as events:
        memory = events.plugin("journal")._journal.memory
        headers = {"baggage": "x" * 4000}
        events.trace_by(Always(headers))
        for number in range(1000):  # without a turn, so that nothing is written
            events.raise_event("E_A", {"n": number})
        count = events.statistics[0].depth
        assert 64 < count <= (1 << 20) // 4000
        await until(lambda: events.plugin("journal").written == count)
        peer.takes = True
        await until(lambda: len(peer.got) == count)
        assert memory.fresh == 0

    assert all(event.carried == headers for event in peer.got)


class Always(ByParameter):
    """Gives each event the same headers."""

    def __init__(self, headers):
        self._headers = headers

    def keep(self, event):
        return event.carrying(self._headers)


@pytest.mark.parametrize("size", [10, 4000])
async def test_events_of_an_earlier_process_count_for_the_memory(tmp_path, size):
    """The size of the events in the file is known before they are read, and no more are read than may be in memory."""
    peer = Peer()
    async with interface(tmp_path, peer, most=5000) as events:
        events.trace_by(Always({"baggage": "x" * size}))
        for number in range(3000):
            events.raise_event("E_A", {"n": number})
            if number % 1000 == 999:
                await until(lambda number=number: events.plugin("journal").written == number + 1)
    async with interface(tmp_path, peer, most=5000, memory_bytes=1 << 20) as events:
        ((_, queue),) = events.plugin("journal")._journal._queues.items()
        await until(lambda: len(queue))
        assert 64 <= len(queue) <= (1 << 20) // (size + 576)
