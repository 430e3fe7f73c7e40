"""JSON values on a stream."""

import json

import pytest
from evframe_stream import ReplyScanner
from evframe_stream.partial import PartialValue
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.text(), JSON) | st.lists(JSON)), st.sampled_from(["", "\n", " x "]), st.data())
def test_split_anywhere(values, between, data):
    """Values come out as they went in, however the bytes are cut."""
    stream = between.join(json.dumps(value) for value in values).encode()
    scanner = ReplyScanner()
    got = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += scanner.feed(stream[:size])
        stream = stream[size:]

    assert got == values


@given(st.binary())
def test_any_bytes(data):
    """No bytes raise, and a value after a bad one that is closed is found."""
    list(ReplyScanner().feed(data))
    scanner = ReplyScanner()

    assert list(scanner.feed(b'{"bad": tru} [1,} {"id": 1}')) == [{"id": 1}]


def test_endless_value_is_bounded():
    """A value that never ends is given up at its limit, and the next one is found."""
    scanner = ReplyScanner()
    for _ in range(20):
        assert list(scanner.feed(b'{"a":"' + b"x" * 100_000)) == []
    scanner.feed(b'"}')

    assert len(scanner._text) < 2 << 20


STRAY = [
    b'{"',
    b"[",
    b"{",
    b'["',
    b'{"a":',
    b'{"jsonrpc": "2.0", "resu',
    b'{"jsonrpc": "2.0", "result": 1, "id": 4',
    b'{"a":"\\',
]


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize("between", [b"", b"\n"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_stray_bytes_cost_no_reply_after_the_next(stray, between, size):
    """Half a reply, wherever it was cut, costs itself alone, however the bytes are split."""
    replies = [{"jsonrpc": "2.0", "result": {"a": ["}"]}, "id": number} for number in range(5, 10)]
    stream = between.join([stray, *(json.dumps(reply).encode() for reply in replies)])
    scanner = ReplyScanner()
    got = [value for at in range(0, len(stream), size) for value in scanner.feed(stream[at : at + size])]

    assert [value for value in got if isinstance(value, dict) and "id" in value] == replies


@pytest.mark.parametrize(
    "hostile",
    [
        b"[" * (1 << 18),
        b"[" * 60 + b"1," * 2000 + b"x",
        b'{"a":' * (1 << 15),
        b'["[1,",' * (1 << 15),
        (b"[" * 3 + b"1," * 2000 + b"x") * 60,
        b'{"' * (1 << 17),
        b'{"a":x}' * (1 << 15),
    ],
)
def test_what_is_no_value_is_read_a_few_times_at_most(hostile, monkeypatch):
    """Bytes that begin like values without end are read a bounded number of times."""
    steps = 0
    take = PartialValue._take

    def counted(self, mark):
        nonlocal steps
        steps += 1
        return take(self, mark)

    monkeypatch.setattr(PartialValue, "_take", counted)
    scanner = ReplyScanner()
    for at in range(0, len(hostile), 1 << 16):
        list(scanner.feed(hostile[at : at + (1 << 16)]))

    assert steps <= 5 * len(hostile)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(), JSON) | st.lists(JSON))
def test_each_value_is_partial_until_its_end(value):
    """What begins a value is never taken for something that cannot become one."""
    text = json.dumps(value)
    partial = PartialValue()
    for end in range(1, len(text)):
        assert partial.read(text[:end], 0) is None
    assert partial.read(text, 0) is True
