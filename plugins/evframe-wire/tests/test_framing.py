"""JSON values on a connection without framing."""

import json
import re
from itertools import pairwise

import pytest
from call_counts import count_calls
from evframe_wire import framing, scanning
from evframe_wire.framing import Splitter
from evframe_wire.reading import MAX_TEXT_DEPTH
from evframe_wire.scanning import ValueScanner
from hypothesis import example, given, settings
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
@example(b'"\\{"{', 1)
def test_the_windows_of_the_patterns_do_not_matter(rest, most):
    """What a pattern passes at once is what the scanner passes piece by piece, with the same errors."""

    def outcome():
        data = bytearray(b'[{"k":' + rest)
        scanner = ValueScanner(0)
        try:
            return scanner.end(data)
        except ValueError:
            return scanner.following(data)

    expected = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "WINDOW", most)
        patch.setattr(scanning, "_SKIP_WINDOWS", (most, most))
        assert outcome() == expected


@settings(max_examples=300, deadline=None)
@given(marks, cut_points)
def test_the_quick_ways_find_what_the_scanner_finds(data, cuts):
    """The pieces are those that the scanner finds at each opening, without the decoder and without patterns before."""
    pieces = pieces_of(data, cuts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(framing, "_JUNK", re.compile(rb"[^{\[]*"))
        patch.setattr(framing, "_WHOLE", re.compile(rb"(?!)"))
        patch.setattr(framing, "_PLAIN_START", re.compile(r"(?!)"))
        assert pieces_of(data, cuts) == pieces


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


EVENT = b'{"jsonrpc":"2.0","method":"E","params":{}}'
OTHER = b'{"jsonrpc":"2.0","method":"F","params":{}}'


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (b'{"a":[', b"]}"),
        (b"[" + b'"}{",' * 20, b"]"),
        (b'{"t":"%b","a":[' % (b'\\"}' * 30), b'],"b":"\\\\"}'),
    ],
)
def test_nothing_within_a_value_that_is_too_long_is_taken(begin, end, size):
    """Of a value that is too long the first bytes are a piece, the rest is dropped, and the next value is found."""
    longest = 100
    data = begin + b",".join([EVENT] * 50) + end + OTHER
    splitter = Splitter(longest)
    pieces = []
    for at in range(0, len(data), size):
        pieces += splitter.feed(data[at : at + size])
        assert len(splitter._data) <= longest + size

    assert pieces == [data[:longest], OTHER]
    assert [piece for at in range(0, len(data), size) for piece in splitter.read(data[at : at + size])] == [
        json.loads(OTHER)
    ]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_half_a_value_that_is_too_long(size):
    """A value that is too long and was cut off ends where a message follows another one."""
    for begin in (b'{"a":[', b'{"a":"'):
        data = begin + b"x" * 200 + EVENT + OTHER + OTHER
        splitter = Splitter(100)
        pieces = [piece for at in range(0, len(data), size) for piece in splitter.feed(data[at : at + size])]
        assert pieces[-1] == OTHER


def test_garbage_is_not_kept():
    """Bytes in which no value begins, and the rest of a value without an end, are not kept beyond the limit."""
    for begin, more in [(b"", b"x"), (b"[", b"["), (b'["', b"x"), (b'["', b"\\"), (b"[", b" "), (b'["x', b" {")]:
        splitter = Splitter(1000)
        splitter.feed(begin)
        for _ in range(100):
            splitter.feed(more * 100)
            assert len(splitter._data) <= 1000 + 100 * len(more)
        splitter.end()
        assert splitter.feed(EVENT) == [EVENT]


def test_nesting_is_bounded():
    """A value that is nested deeper than the reader reads is one piece, whatever is in it; what follows it is found."""
    deepest = b"[" * MAX_TEXT_DEPTH + b"]" * MAX_TEXT_DEPTH
    assert pieces_of(deepest + EVENT) == [deepest, EVENT]
    for more in (1, 2, 5000):
        depth = MAX_TEXT_DEPTH + more
        for text in (b"", b'"]}"', b'"\\"}{\\"",'):
            deeper = b'{"a":' * depth + b"[" + text + EVENT + b"]" + b"}" * depth
            assert pieces_of(deeper + EVENT, range(0, len(deeper), 1000)) == [deeper, EVENT]
            *read, last = Splitter().read(deeper + EVENT)  # later versions of Python read deeper values
            assert last == json.loads(EVENT)
            assert len(read) <= 1
            half = b"[" * depth + EVENT
            assert pieces_of(half) == [half]
            assert pieces_of(half + OTHER + OTHER) == [half, OTHER, OTHER]


@pytest.mark.parametrize(
    "broken", [b'{"a":1 2,"b":[%b]}', b'[1}{"",%b]]', b'{"a":{"x":1 "y":%b}}', b'{x:{"c":%b}}', b'{"a":"x" : [%b]}']
)
def test_nothing_within_a_broken_value_is_taken(broken):
    """A value that is no JSON is passed over with what is nested in it."""
    data = broken % OTHER
    assert pieces_of(data + b"\n" + EVENT) == [data, EVENT]


class Counted:
    """A pattern that counts the bytes that it looks at, but for those of what does not fit."""

    def __init__(self, pattern, steps):
        self.pattern, self.steps = pattern, steps

    def __getattr__(self, name):
        function = getattr(self.pattern, name)

        def counted(data, start, *end):
            found = function(data, start, *end)
            until = found.end() if found else start if name == "match" else min([len(data), *end])
            self.steps.append(until - start + 1)
            return found

        return counted


@pytest.fixture
def steps(monkeypatch):
    """Return the number of bytes that were looked at, call by call."""
    counts = []
    for module in (framing, scanning):
        for name, value in list(vars(module).items()):
            if isinstance(value, re.Pattern):
                monkeypatch.setattr(module, name, Counted(value, counts))
    for key, (pattern, actions) in scanning._STEPS.items():
        monkeypatch.setitem(scanning._STEPS, key, (Counted(pattern, counts), actions))
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


SHAPES = [
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
    b"{" * (1 << 16),
    b"{x" * (1 << 15),
    b"[x" * (1 << 15),
    b"[}" * (1 << 15),
    b"[[]" * (1 << 14),
    b"[[[]]," * (1 << 13),
    b"[{}{" * (1 << 14),
    b'{"\\' * (1 << 14),
    b"x{}" * (1 << 14),
    b'[" 1' * (1 << 14),
    b"[1 2]" * (1 << 13),
    b'}{"a" ' * (1 << 13),
    b"[" * 2000 + b'"a",{}' * (1 << 13),
    b"[1 " + b"[]" * (1 << 15),
    b'["' + b"\\" * (1 << 16),
    b'["a"' + b" " * (1 << 16),
    b"}" + b" " * (1 << 16),
]


@pytest.mark.parametrize("data", SHAPES)
@pytest.mark.parametrize("size", [1, 100, 1 << 16])
def test_bytes_are_looked_at_a_few_times_at_most(data, size, steps):
    """Every byte is looked at a bounded number of times, however small the pieces are and whatever is in them."""
    data = data[: size << 14]
    splitter = Splitter()
    for at in range(0, len(data), size):
        splitter.feed(data[at : at + size])
    splitter.end()

    assert len(data) // 2 < sum(steps) < (8 if size > 1 else 32) * len(data)


@pytest.mark.parametrize("data", SHAPES)
@pytest.mark.parametrize("longest", [1000, 1 << 20])
def test_broken_bytes_cost_few_calls(data, longest):
    """A flood of bytes that are no JSON, or hardly any, takes few calls, of Python's and of C's, for each byte."""
    data = data[: 1 << 13]
    splitter = Splitter(longest)
    calls, _ = count_calls(splitter.feed, data)
    splitter.end()

    assert calls < 11 * len(data)
