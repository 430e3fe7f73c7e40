"""The bytes on the wire, row by row (`reference/transports.md` §14.4)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evframe
from evframe.events import EventDefinition

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


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.booleans(), st.none())))
def test_any_parameters_come_back(params):
    """What a JSON parser reads from a payload is what was raised, beyond 64 bits too."""
    assert json.loads(payload(params)).get("params", {}) == params


@pytest.mark.parametrize("value", [object(), {1}, 1j])
def test_value_without_json_form(value):
    """A value that cannot be sent is an error that names its parameter."""
    with pytest.raises(evframe.ParameterError, match="'bad'"):
        payload({"good": 1, "bad": value})
