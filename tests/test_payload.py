"""The bytes on the wire, row by row."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evframe
from evframe.events.event import EventDefinition

HEAD = b'{"jsonrpc":"2.0","method":"E_TEST"'


def payload(params):
    return EventDefinition(0, "E_TEST").snapshot(params, 0.0).payload


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        (None, HEAD + b"}"),
        ({}, HEAD + b"}"),
        ({"s": "hello"}, HEAD + b',"params":{"s":"hello"}}'),
        ({"i": 42}, HEAD + b',"params":{"i":42}}'),
        ({"i": -7}, HEAD + b',"params":{"i":-7}}'),
        ({"e": ""}, HEAD + b',"params":{"e":""}}'),
        ({"n": None}, HEAD + b',"params":{"n":null}}'),
        ({"n": evframe.UNSET}, HEAD + b',"params":{}}'),
        ({"a": 1, "n": evframe.UNSET, "b": 2}, HEAD + b',"params":{"a":1,"b":2}}'),
        ({"u": "é€😀"}, HEAD + b',"params":{"u":"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"}}'),
        ({"v": 'q"uote b\\s sl/ash'}, HEAD + b',"params":{"v":"q\\"uote b\\\\s sl/ash"}}'),
        ({"v": "nl\nx\ry\tz\bq\fw"}, HEAD + b',"params":{"v":"nl\\nx\\ry\\tz\\bq\\fw"}}'),
        ({"v": "\x01\x1f\x7f"}, HEAD + b',"params":{"v":"\\u0001\\u001f\x7f"}}'),
        ({"v": b"\xff\xfe bad \xc3"}, HEAD + b',"params":{"v":"\xff\xfe bad \xc3"}}'),
        ({"v": "\udcff\udcfe bad \udcc3"}, HEAD + b',"params":{"v":"\xff\xfe bad \xc3"}}'),
        (["hello", 42, -7, ""], HEAD + b',"params":["hello",42,-7,""]}'),
        (["a", evframe.UNSET, "b"], HEAD + b',"params":["a","b"]}'),
        ([evframe.UNSET], HEAD + b',"params":[]}'),
        ([], HEAD + b"}"),
        (evframe.Pairs(), HEAD + b"}"),
        (evframe.Pairs([(None, "a"), ("dropped", 1)]), HEAD + b',"params":["a",1]}'),
        (evframe.Pairs([("a", 1), (None, 2)]), HEAD + b',"params":{"a":1,"":2}}'),
        (
            {"zero": 0, "max": 2147483647, "min": -2147483648},
            HEAD + b',"params":{"zero":0,"max":2147483647,"min":-2147483648}}',
        ),
        (
            evframe.Pairs([("", "4"), ('K"x', "3"), ("k", "2"), ("k", "1")]),
            HEAD + b',"params":{"":"4","K\\"x":"3","k":"2","k":"1"}}',
        ),
    ],
)
def test_payload(params, expected):
    """Each row of the table is byte-exact."""
    assert payload(params) == expected


SHORT = {0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0C: b"\\f", 0x0D: b"\\r", 0x22: b'\\"', 0x5C: b"\\\\"}


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_of_a_text(byte):
    """Each byte is written as `docs/reference/wire-format.md` has it: in values and names, in text and bytes, by every way of encoding."""
    raw = bytes([byte])
    text = raw.decode("utf-8", "surrogateescape")
    written = SHORT.get(byte, b"\\u%04x" % byte if byte < 0x20 else raw)

    assert payload({"v": text}) == payload({"v": raw}) == HEAD + b',"params":{"v":"%b"}}' % written
    assert payload({text: 1}) == payload(evframe.Pairs([(text, 1)])) == HEAD + b',"params":{"%b":1}}' % written
    assert payload([text]) == payload((raw,)) == HEAD + b',"params":["%b"]}' % written
    assert EventDefinition(0, "E" + text).bare == b'{"jsonrpc":"2.0","method":"E%b"}' % written


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\U0001f600", "é"])
def test_text_beyond_ascii_is_raw(text):
    """Every character beyond ASCII is its UTF-8, never an escape."""
    assert payload({"v": text}) == HEAD + b',"params":{"v":"%b"}}' % text.encode()


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_any_parameters_come_back(params):
    """What a JSON parser reads from a payload is what was raised, beyond 64 bits too."""
    assert json.loads(payload(params)).get("params", {}) == params


@pytest.mark.parametrize("value", [object(), {1}, 1j])
def test_value_without_json_form(value):
    """A value that cannot be sent is an error that names its parameter."""
    with pytest.raises(evframe.ParameterError, match="'bad'"):
        payload({"good": 1, "bad": value})
