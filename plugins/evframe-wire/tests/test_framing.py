"""JSON values on a connection without framing."""

import json
from itertools import pairwise

import pytest
from evframe_wire import framing
from evframe_wire.framing import Splitter, ValueScanner
from evframe_wire.reading import MAX_TEXT_DEPTH
from hypothesis import given, settings
from hypothesis import strategies as st

texts = st.text(alphabet='{}[]:,"\\a1\n\u00e9\U0001f4de', max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
values = st.dictionaries(texts, json_values, max_size=3) | st.lists(json_values, max_size=3)
marks = st.lists(
    st.sampled_from(
        [b"{", b"}", b"[", b"]", b'"', b"\\", b":", b",", b"x", b"1", b" ", b"\xc3", b'{"a":1}', b'[[],"x"]']
    )
).map(b"".join)
cut_points = st.lists(st.integers(0, 300), max_size=8)


def chunks(data, cuts):
    """Return *data* in pieces that end at *cuts*."""
    ends = [cut for cut in sorted({0, len(data), *cuts}) if cut <= len(data)]
    return [data[start:end] for start, end in pairwise(ends)]


def pieces_of(data, cuts=()):
    splitter = Splitter()
    return [piece for chunk in chunks(data, cuts) for piece in splitter.feed(chunk)] + splitter.end()


def end_of(text):
    """Return where the value that *text* begins with ends, None when it has no end: the reference."""
    for end in range(1, len(text) + 1):
        try:
            json.loads(text[:end])
        except ValueError:
            continue
        return end
    return None


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(values, st.sampled_from(["", " ", "\n", "\r\n", "x"]), st.booleans())), cut_points)
def test_values_are_found(written, cuts):
    """Values are found however they are cut on the way, whatever is in their text and between them."""
    data = "".join(json.dumps(value, ensure_ascii=plain) + between for value, between, plain in written).encode()
    expected = [value for value, _, _ in written]

    assert [json.loads(piece) for piece in pieces_of(data, cuts) if piece != b"x"] == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(values, st.sampled_from(["", " ", "\n", "x", ":", "}"]))), cut_points)
def test_values_are_read(written, cuts):
    """The values are read with their pieces."""
    data = "".join(json.dumps(value) + between for value, between in written).encode()
    splitter = Splitter()

    assert [value for chunk in chunks(data, cuts) for value in splitter.read(chunk)] == [value for value, _ in written]


@settings(max_examples=300, deadline=None)
@given(marks, cut_points)
def test_pieces_do_not_depend_on_the_cuts(data, cuts):
    """Bytes that are no JSON come out in the same pieces however they arrive, and none is lost."""
    pieces = pieces_of(data, cuts)

    assert pieces == pieces_of(data)
    assert b"".join(pieces).replace(b" ", b"") == data.replace(b" ", b"")


@settings(max_examples=300, deadline=None)
@given(marks)
def test_the_end_is_that_of_the_json_reader(rest):
    """The end of a value is where the reader of JSON, asked for each length in turn, finds it."""
    data = b'{"k":' + rest
    expected = end_of(data.decode("latin-1"))
    try:
        end = ValueScanner(0).end(bytearray(data))
    except ValueError:
        assert expected is None
    else:
        assert expected is None or end == expected


@settings(max_examples=300, deadline=None)
@given(marks, st.integers(1, 30))
def test_the_patterns_find_what_the_scanner_finds(rest, most):
    """Members that are passed by a pattern are those that the scanner passes one by one, with the same errors."""

    def outcome():
        scanner = ValueScanner(0)
        try:
            return scanner.end(bytearray(b'[{"k":' + rest)), scanner.resume
        except ValueError as error:
            return str(error), scanner.resume

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_RUN_BYTES", most)
        found = outcome()
        patch.setattr(framing, "_RUNS", {})
        assert found == outcome()


@settings(max_examples=30, deadline=None)
@given(values)
def test_each_value_is_waited_for(value):
    """What begins a value is never taken for bytes that cannot become one."""
    data = json.dumps(value).encode()
    scanner = ValueScanner(0)
    buffer = bytearray()
    for byte in data[:-1]:
        buffer.append(byte)
        assert scanner.end(buffer) is None
    buffer += data[-1:]
    assert scanner.end(buffer) == len(data)


def test_garbage_does_not_hide_what_follows():
    """What is between values is another piece."""
    assert pieces_of(b'oops"{"a":1}\n} {"b":2}tail') == [b'oops"', b'{"a":1}', b"}", b'{"b":2}', b"tail"]


STRAY = [
    b'{"',
    b"[",
    b"{",
    b'["',
    b'{"a":',
    b'{"a":[',
    b'{"jsonrpc": "2.0", "resu',
    b'{"jsonrpc": "2.0", "result": 1, "id": 4',
    b'{"a":"\\',
    b'{"a":"\\u00',
    b"[[[[[[[[",
    b'{"bad": tru} [1,}',
]


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize("between", [b"", b"\n"])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_stray_bytes_cost_no_message_after_them(stray, between, size):
    """Half a message, wherever it was cut, costs itself alone, however the bytes are split."""
    messages = [{"jsonrpc": "2.0", "result": {"a": ["}"]}, "id": number} for number in range(5, 10)]
    stream = between.join([stray, *(json.dumps(message).encode() for message in messages)])
    splitter = Splitter()
    got = [value for at in range(0, len(stream), size) for value in splitter.read(stream[at : at + size])]

    assert [value for value in got if isinstance(value, dict) and "id" in value] == messages


@settings(max_examples=200, deadline=None)
@given(values.filter(bool), st.data())
def test_half_a_value_costs_no_message_after_it(value, data):
    """Whatever value was cut off, the messages after it are found."""
    half = json.dumps(value).encode()
    half = half[: data.draw(st.integers(0, len(half) - 1))]
    messages = [b'{"jsonrpc":"2.0","method":"E","params":{"a":[%d]}}' % number for number in range(3)]

    assert pieces_of(half + b"".join(messages))[-3:] == messages


@given(st.binary())
def test_any_bytes(data):
    """No bytes raise, and a value after a bad one that is closed is found."""
    Splitter().read(data)

    assert Splitter().read(b'{"bad": tru} [1,} {"id": 1}') == [{"id": 1}]


def test_too_long():
    """A value that never ends is noticed, and given up; the next one is found."""
    splitter = Splitter(10)
    splitter.feed(b'{"a":1}' * 5)
    assert not splitter.is_too_long
    assert splitter.feed(b'{"a":"aaaaaaaa') == []
    assert splitter.is_too_long
    assert splitter.end() == [b'{"a":"aaaaaaaa']
    assert not splitter.is_too_long
    assert splitter.feed(b'a"}[1]') == [b'a"}', b"[1]"]


def test_nesting_is_bounded():
    """A value nested deeper than the reader reads is no value; what follows it is found."""
    deepest = b"[" * MAX_TEXT_DEPTH + b"]" * MAX_TEXT_DEPTH
    assert pieces_of(deepest + b'{"a":1}') == [deepest, b'{"a":1}']
    assert pieces_of(b"[" * (MAX_TEXT_DEPTH + 1) + b'{"a":1}x')[-2:] == [b'{"a":1}', b"x"]


class Counted:
    """A pattern that counts the bytes that it looks at, but for those of a last member that does not fit."""

    def __init__(self, pattern, steps):
        self.pattern, self.steps = pattern, steps

    def __getattr__(self, name):
        function = getattr(self.pattern, name)

        def counted(data, start, *end):
            found = function(data, start, *end)
            until = found.end() if found else start if end else len(data)
            self.steps.append(until - start + 1)
            return found

        return counted


@pytest.fixture
def steps(monkeypatch):
    """Return the number of bytes that were looked at, call by call."""
    counts = []
    for name in ("_BLANK", "_START", "_END_OF_TEXT", "_END_OF_WORD"):
        monkeypatch.setattr(framing, name, Counted(getattr(framing, name), counts))
    for key, (pattern, after) in framing._RUNS.items():
        monkeypatch.setitem(framing._RUNS, key, (Counted(pattern, counts), after))
    decode = framing._decode

    def counted(text, start):
        try:
            value, end = decode(text, start)
        except json.JSONDecodeError as error:
            counts.append(error.pos - start)
            raise
        counts.append(end - start)
        return value, end

    monkeypatch.setattr(framing, "_decode", counted)
    return counts


@pytest.mark.parametrize(
    "data",
    [
        b"[" * (1 << 16),
        b"[" * 60 + b"1," * 2000 + b"x",
        b'{"a":' * (1 << 13),
        b'["[1,",' * (1 << 13),
        (b"[" * 3 + b"1," * 2000 + b"x") * 30,
        b'{"' * (1 << 15),
        b'{"a":x}' * (1 << 13),
        b'{}{"x' * (1 << 13),
        b'{"a":"%b","b":[%b]}' % (b'\\"' * (1 << 14), b"1," * (1 << 14) + b"1"),
        b'["%b",%b]' % (b"x" * (1 << 16), b"1" * (1 << 16)),
        b'["[[[[" "" " [[[ "' * (1 << 11),
        b"oops" * (1 << 14),
        b" " * (1 << 16),
    ],
)
@pytest.mark.parametrize("size", [1, 100, 1 << 16])
def test_bytes_are_looked_at_a_few_times_at_most(data, size, steps):
    """Every byte is looked at a bounded number of times, however small the pieces are and whatever is in them."""
    data = data[: size << 14]
    splitter = Splitter()
    for at in range(0, len(data), size):
        splitter.feed(data[at : at + size])
    splitter.end()

    assert len(data) // 2 < sum(steps) < 8 * len(data)
