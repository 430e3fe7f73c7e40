"""Frames: what is encoded is decoded, and nothing else is."""

from zlib import crc32

import pytest
from evframe_shards.frames import SAME, Frame, FrameError
from evframe_shards.hashing import shard_of
from evframe_shards.lane import INDEX_BITS, deliveries
from hypothesis import given, settings
from hypothesis import strategies as st
from orjson import dumps, loads

from evframe.events.event import EventRegistry

REGISTRY = EventRegistry()
NAMES = ["E_A", "E_ÄÖ", 'E_"', "E_\udcff"]
OFFSET = 1.75e9


def definition_of(name):
    return REGISTRY.register(name)


def events(*names_and_params):
    return [definition_of(name).snapshot(params, 10.0 + at / 8) for at, (name, params) in enumerate(names_and_params)]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.none() | st.dictionaries(st.text(max_size=3), st.integers(-9, 9), max_size=2),
            st.integers(0, 4) | st.lists(st.integers(0, 4), min_size=2, max_size=5),
            st.booleans(),
        ),
        max_size=9,
    )
)
def test_a_frame_is_read_as_it_was_written(rows):
    """Events, their names, times, headers and subscribers are what they were."""
    written = [
        event.carrying({"traceparent": str(at)}) if row[3] else event
        for at, (event, row) in enumerate(zip(events(*(row[:2] for row in rows)), rows, strict=True))
    ]
    frame = Frame("w", 3, 7, 11, ["a", "b", "ä", "d", "e"], written, [row[2] for row in rows])

    read = Frame.decode(frame.encode(OFFSET), definition_of, OFFSET)

    assert (read.writer, read.shard, read.number, read.known, read.name) == ("w", 3, 7, 11, frame.name)
    assert (read.sockets, read.targets) == (frame.sockets, frame.targets)
    assert [event.payload for event in read.events] == [event.payload for event in written]
    assert [event.name for event in read.events] == [event.name for event in written]
    assert [event.carried for event in read.events] == [event.carried for event in written]
    assert [event.raised_at for event in read.events] == pytest.approx([event.raised_at for event in written], abs=1e-5)


def test_bytes_that_are_no_frame_are_an_error():
    """Damage, other bytes, and a later version are refused with what was expected."""
    data = Frame("w", 0, 1, 0, ["a"], events(("E_A", {"a": 1})), [0]).encode(OFFSET)

    for at in range(len(data)):
        with pytest.raises(FrameError):
            Frame.decode(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], definition_of, OFFSET)
        with pytest.raises(FrameError):
            Frame.decode(data[:at], definition_of, OFFSET)
    with pytest.raises(FrameError, match="expected a frame of version 1, got one of version 2"):
        Frame.decode(data[:3] + b"\x02" + data[4:], definition_of, OFFSET)


@pytest.mark.parametrize(
    "changed",
    [
        {"x": [1]},
        {"x": [-1]},
        {"x": [[0, 7]]},
        {"x": [[]]},
        {"x": ["a"]},
        {"x": [True]},
        {"x": [0, 0]},
        {"x": None},
        {"s": [1]},
        {"s": None},
        {"n": []},
        {"n": [""]},
        {"n": [7]},
        {"n": ["bytes:x"]},
        {"n": ["E" * 65]},
        {"z": [99]},
        {"z": [-1]},
        {"z": ["a"]},
        {"d": []},
        {"i": [1]},
        {"t": "now"},
        {"q": "1"},
        {"k": None},
        {"w": 7},
        {"p": 1.5},
        {"e": "x"},
        {"e": [1, 2]},
        {"h": []},
        {"h": {"5": {}}},
        {"h": {"x": {}}},
    ],
)
def test_a_frame_that_is_whole_and_says_something_else_is_an_error(changed):
    """A frame that others have made with a right checksum is refused as a whole, before any event of it is used."""
    data = Frame("w", 0, 1, 0, ["a"], events(("E_A", {"a": 1})), [0]).encode(OFFSET)
    length = int.from_bytes(data[4:8], "little")
    for text in (dumps({**loads(data[12 : 12 + length]), **changed}), b"[]", b"{", b"7"):
        body = data[12 + length :]
        head = data[:4] + len(text).to_bytes(4, "little") + crc32(body, crc32(text, len(text))).to_bytes(4, "little")
        with pytest.raises(FrameError):
            Frame.decode(head + text + body, definition_of, OFFSET)


def test_a_subscriber_has_the_same_shard_in_each_release():
    """The shard is fixed by the text alone, and subscribers are spread evenly."""
    assert [shard_of(text, 64) for text in ("udp:127.0.0.1:8081", "tcp:[::1]:5", "file:\udcff")] == [43, 12, 42]
    counts = [0] * 64
    for port in range(6400):
        counts[shard_of(f"udp:127.0.0.1:{port}", 64)] += 1
    assert max(counts) < 150


def test_each_subscriber_gets_its_events_with_their_positions():
    """An event without targets has those of the one before."""
    written = events(*(("E_A", {"n": number}) for number in range(5)))
    frame = Frame("w", 0, 1, 0, ["a", "b", "c"], written, [[0, 2], SAME, 2, SAME, 0])
    read = Frame.decode(frame.encode(OFFSET), definition_of, OFFSET)
    found = {key: [(place, event.params["n"]) for place, event, _ in each] for key, each in deliveries(3, read)}
    base = 3 << INDEX_BITS
    assert found == {
        "a": [(base, 0), (base + 1, 1), (base + 4, 4)],
        "c": [(base + number, number) for number in range(4)],
    }
