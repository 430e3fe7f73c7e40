"""JSON values on a connection without framing."""

import json

from evframe_wire import framing
from evframe_wire.framing import Splitter
from hypothesis import given, settings
from hypothesis import strategies as st

texts = st.text(alphabet='{}[]"\\a\u00e9', max_size=6)
values = st.dictionaries(texts, texts | st.integers() | st.lists(texts, max_size=2), max_size=3) | st.lists(texts)


def pieces_of(data, cuts):
    splitter = Splitter()
    pieces = []
    at = 0
    for cut in [*sorted(cuts), len(data)]:
        pieces += splitter.feed(data[at:cut])
        at = max(at, cut)
    return pieces + splitter.end()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(values, st.sampled_from(["", " ", "\n", "\r\n"]))), st.lists(st.integers(0, 300)))
def test_values_are_found(written, cuts):
    """Values are found however they are cut on the way, whatever is in their text and between them."""
    data = "".join(json.dumps(value) + space for value, space in written).encode()

    assert [json.loads(piece) for piece in pieces_of(data, cuts)] == [value for value, _ in written]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([b"{", b"}", b"[", b"]", b'"', b"\\", b"x", b" ", b'{"a":1}'])),
    st.lists(st.integers(0, 60)),
)
def test_pieces_do_not_depend_on_the_cuts(written, cuts):
    """Bytes that are no JSON come out in the same pieces however they arrive, and none is lost."""
    data = b"".join(written)
    pieces = pieces_of(data, cuts)

    assert pieces == pieces_of(data, [])
    assert b"".join(pieces).replace(b" ", b"") == data.replace(b" ", b"")


def test_garbage_does_not_hide_what_follows():
    """What is between values is another piece."""
    assert pieces_of(b'oops"{"a":1}\n} {"b":2}tail', []) == [b'oops"', b'{"a":1}', b"}", b'{"b":2}', b"tail"]


def test_too_long(monkeypatch):
    """A value that never ends is noticed."""
    monkeypatch.setattr(framing, "MAX_VALUE_BYTES", 10)
    splitter = Splitter()
    splitter.feed(b'{"a":1}' * 5)
    assert not splitter.is_too_long
    splitter.feed(b'{"a":"aaaaaaaa')
    assert splitter.is_too_long
