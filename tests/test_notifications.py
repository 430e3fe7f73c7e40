"""What arrives as JSON, and is raised again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import evframe
from evframe.events.event import EventDefinition
from evframe.notifications import Object, decode_notification, params_of, values

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
    name, read = decode_notification(data)

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
    assert decode_notification(data) == ("E_TEST", expected)


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
    assert decode_notification(data) is None


@given(st.binary())
def test_any_bytes_may_arrive(data):
    """No bytes make the reader raise."""
    decode_notification(data)
    decode_notification(HEAD + b',"params":' + data + b"}")


def test_values():
    """Values that follow each other come one by one, up to what is no JSON."""
    read = values(' {"a":1,"a":{"b":[]}}\n[1] 7"x"\t{"c"')

    assert [next(read) for _ in range(4)] == [[("a", 1), ("a", [("b", [])])], [1], 7, "x"]
    with pytest.raises(ValueError, match="Expecting ':'"):
        next(read)
    assert list(values(" \n")) == []
    (value,) = values('{"a":{"a":1}}')
    assert type(value) is type(value[0][1]) is Object
    assert params_of(value) == {"a": {"a": 1}}
