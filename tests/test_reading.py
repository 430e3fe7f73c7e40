"""JSON that arrives: read with every name and number as it was sent."""

import json
import tracemalloc

import pytest
from evframe_wire.messages import read_notification
from evframe_wire.reading import MAX_TEXT_DEPTH, read, read_each, read_first
from hypothesis import example, given, settings
from hypothesis import strategies as st

import evframe
from evframe.events.event import EventDefinition

HEAD = b'{"jsonrpc":"2.0","method":"E_TEST"'


def payload(params):
    return EventDefinition(0, "E_TEST").snapshot(params, 0.0).payload


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES
    | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
PARAMS = (
    st.none()
    | st.dictionaries(NAMES, VALUES, min_size=1, max_size=4)
    | st.lists(VALUES, min_size=1, max_size=4)
    | st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=4).map(evframe.Pairs)
)


@given(PARAMS)
def test_what_is_read_gives_the_same_bytes(params):
    """Whatever is raised, the payload that arrives is raised again as the same bytes."""
    data = payload(params)
    name, read = read_notification(data)

    assert name == "E_TEST"
    assert payload(read) == data


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (HEAD + b"}", None),
        (HEAD + b',"params":null}', None),
        (HEAD + b',"id":7,"params":["a"]}', ["a"]),
        (b' { "jsonrpc" : "2.0",\n"params" : { "a" : 1 }, "method" : "E_TEST" }\n', {"a": 1}),
        (HEAD + b',"params":{"a":1,"a" :2}}', evframe.Pairs([("a", 1), ("a", 2)])),
        (HEAD + b',"params":{"b":[{"a":1}],"t":"\xff\x01"}}', {"b": [{"a": 1}], "t": "\udcff\x01"}),
    ],
)
def test_notification(data, expected):
    """A notification is read with its parameters, however it is written."""
    assert read_notification(data) == ("E_TEST", expected)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"[1]",
        b"7",
        b"{",
        b'{"jsonrpc":"2.0"}',
        b'{"jsonrpc":"2.0","method":7}',
        b'{"method":"E_TEST"}',
        b'{"jsonrpc":"2.0","id":1,"result":"OK"}',
        HEAD + b',"params":"a"}',
        HEAD + b',"params":[NaN]}',
        HEAD + b"}{}",
        HEAD + b',"params":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"{" + b"\xff" * 50,
    ],
)
def test_no_notification(data):
    """Whatever else arrives is told apart, and raises nothing."""
    assert read_notification(data) is None


@given(st.binary())
def test_any_bytes_may_arrive(data):
    """No bytes make the reader raise."""
    read_notification(data)
    read_notification(HEAD + b',"params":' + data + b"}")


def test_values_that_follow_each_other():
    """They come one by one, up to what is no JSON."""
    found = read_each(' {"a":1,"a":{"b":[]}}\n[1] 7"x"\t{"c"')

    assert [next(found) for _ in range(4)] == [evframe.Pairs([("a", 1), ("a", {"b": []})]), [1], 7, "x"]
    with pytest.raises(ValueError, match="expected a name in quotation marks, and ':' at character 32"):
        next(found)
    assert list(read_each(" \n")) == []


SPACE = st.text(" \t\r\n", max_size=2)
DIGITS = st.text("0123456789", min_size=1, max_size=25)
NUMBERS = st.builds(
    lambda sign, whole, fraction, exponent: sign + (whole.lstrip("0") or "0") + fraction + exponent,
    st.sampled_from(["", "-"]),
    DIGITS,
    st.just("") | DIGITS.map(".{}".format),
    st.just("") | st.builds("{}{}{}".format, st.sampled_from(["e", "E", "e+", "E-"]), st.just(""), st.integers(0, 400)),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def written(text, escaped):
    return json.dumps(text, ensure_ascii=escaped)


def array(items, space):
    return f"[{space}{f'{space},'.join(items)}{space}]"


def members(pairs, space):
    return f"{{{space}{','.join(f'{space}{name}{space}:{item}{space}' for name, item in pairs)}}}"


STRINGS = st.builds(written, TEXTS, st.booleans())
JSON_TEXTS = st.recursive(
    NUMBERS | STRINGS | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.builds(array, st.lists(inner, max_size=4), SPACE)
        | st.builds(
            members, st.lists(st.tuples(st.sampled_from(['"a"', '"b"', '""']) | STRINGS, inner), max_size=4), SPACE
        )
    ),
    max_leaves=12,
)


def exact(text):
    """Return what the library makes of *text*: objects as lists of pairs, numbers as their texts."""
    return json.loads(text, object_pairs_hook=tuple, parse_float=str, parse_int=str)


@settings(max_examples=300, deadline=None)
@given(JSON_TEXTS)
def test_any_json_text_is_sent_as_it_was_read(text):
    """What is read and raised is the same value, with names that are there twice and the texts of numbers."""
    value = read(text.encode())
    sent = payload({"v": value})

    assert exact(sent.decode())[-1] == ("params", (("v", exact(text)),))
    assert read_first(text.encode() + b" and more") == value
    assert list(read_each(f"{text} {text}")) == [value, value]


PIECES = ("", ",", ":", "[", "]", "{", "}", '"', "\\", "0", "-", ".", "e", "N", "NaN", "\x01")


@settings(max_examples=300, deadline=None)
@given(JSON_TEXTS, st.integers(0, 2_000), st.sampled_from(PIECES))
@example(r'"0\ud8c8\udc80"', 2, "")  # what is left of the pair stands for a byte that is no UTF-8
def test_what_is_no_json_is_refused(text, at, piece):
    """A text with a character too many, or one too few, is read as the library reads it."""
    at %= len(text) + 1
    mangled = text[:at] + piece + text[at + (not piece) :]
    try:
        expected = exact(mangled) if "NaN" not in mangled and "Infinity" not in mangled else None
    except ValueError:
        expected = None
    try:
        sent = payload({"v": read(mangled.encode())})
    except ValueError:
        assert expected is None or '"' in mangled
    else:
        read_back = exact(sent.decode("utf-8", "surrogateescape"))
        assert read_back[-1] == ("params", (("v", exact_with_controls(mangled)),))


def exact_with_controls(text):
    return json.loads(text, object_pairs_hook=tuple, parse_float=str, parse_int=str, strict=False)


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b'{"a":-Infinity}', b"[1e400, NaN]"])
def test_what_is_no_number(text):
    """NaN and Infinity are no JSON."""
    with pytest.raises(ValueError, match="expected JSON"):
        read(text)


@pytest.mark.parametrize("start", [b"[", b'{"a":', b'[{"a":1,"a":'])
def test_depth_of_a_text(start):
    """A text may be nested up to a limit of its own, and what is deeper costs nothing."""
    closing = {b"[": b"]", b'{"a":': b"}", b'[{"a":1,"a":': b"}]"}[start]
    levels = MAX_TEXT_DEPTH // len(closing)
    assert read(start * levels + b"1.50" + closing * levels) is not None
    for data in (start * (levels + 1) + b"1" + closing * (levels + 1), start * 200_000):
        with pytest.raises(ValueError, match="levels of nesting"):
            read(data)


def test_long_integers():
    """Integers of any length keep their digits, whatever limit Python has on their text."""
    for digits in (20, 600, 601, 4300, 4301, 100_000):
        data = b'{"a":%b}' % (b"7" * digits)
        assert payload(read(data)) == HEAD + b',"params":%b}' % data


@pytest.mark.parametrize("text", ['{"a":1,"a":2}', "1.50", "-0", "18446744073709551616", '{"b":true,"c":"x"}', "1.5"])
def test_deep_text_keeps_everything(text):
    """What orjson reads but cannot write keeps its names and numbers, too."""
    data = f"[{'[' * 300}{text}{']' * 300}]".encode()
    value = read(data)
    for _ in range(301):
        (value,) = value
    assert payload([value]) == HEAD + b',"params":[%b]}' % text.encode()


@pytest.mark.parametrize("piece", ["\\n", '\\"', "\\\\", "a\\u0041", "aaaaaaaaaaaaaaa\\t"])
def test_long_texts_take_memory_in_proportion(piece):
    """A text of ten megabytes, full of escapes, is read in memory of about its own size, as a value and as a name."""
    text = f'"{piece * (10_000_000 // len(piece))}"'
    value = json.loads(text)
    request = f"[{text}, {{{text} : 1.50}}]".encode()
    tracemalloc.start()
    try:
        whole, named = read(request)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert whole == value
    assert list(named) == [value]
    assert peak < 16 * len(request)  # a pattern that remembers each step takes 50 times as much


@pytest.mark.parametrize(
    "text", ['"\\"', '"\\\\\\"', '{"\\": 1}', '{"a\\n" 1}', '{"a\\n"}', '{"\\x": 1}', '"\\x"', '"\\u12"', '{"a" "b":1}']
)
def test_texts_without_an_end_or_with_other_escapes(text):
    """They are no JSON, as a value and as a name, and the error says where."""
    with pytest.raises(ValueError, match="^expected .* at character [0-9]+, got "):
        read(text.encode())
