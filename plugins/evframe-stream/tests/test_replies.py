"""JSON values on a stream."""

import json

from evframe_stream import ReplyScanner
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
