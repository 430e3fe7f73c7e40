"""Messages in the bytes that arrive."""

import contextlib
import json

import pytest
from evframe_wire.encoding import encode_params
from evframe_wire.messages import Message, NotAnEvent, read_message, read_messages
from evframe_wire.payload import Pairs, envelope
from hypothesis import given
from hypothesis import strategies as st

VALUES = st.one_of(st.integers(-(2**31), 2**31 - 1), st.none(), st.text(st.characters(exclude_categories=["Cs"])))
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
PARAMS = st.one_of(st.none(), st.dictionaries(NAMES, VALUES, min_size=1), st.lists(VALUES, min_size=1))


def payload(params, name="E_X", **options):
    return envelope(
        name,
        None if params is None else encode_params(name, tuple(params) if type(params) is list else params),
        **options,
    )


def whole(data):
    """Return what `data` is, whichever way it has to be read."""
    try:
        return [read_message(data)]
    except NotAnEvent:
        raise
    except ValueError:
        return list(read_messages(data))


@given(PARAMS)
def test_both_ways_read_the_same(params):
    """What can be read quickly reads the same carefully, and is what was sent."""
    data = payload(params)
    assert list(read_messages(data)) == whole(data) == [Message("E_X", params)]


@given(st.lists(PARAMS, min_size=1, max_size=5), st.sampled_from([b"", b"\n", b" \r\n\t"]))
def test_several(every, between):
    """Messages without anything between them, or with white space, are each read."""
    joined = between.join(payload(params) for params in every)
    assert list(read_messages(joined)) == [Message("E_X", params) for params in every]


@given(st.lists(PARAMS, min_size=1, max_size=5), st.data())
def test_a_part_costs_one_message(every, data):
    """A message without its end is an error, and those before it are read."""
    texts = [payload(params) for params in every]
    cut = data.draw(st.integers(1, len(texts[-1]) - 1))
    *before, last = read_messages(b"".join(texts[:-1]) + texts[-1][:cut])
    assert before == [Message("E_X", params) for params in every[:-1]]
    assert type(last) is ValueError


@given(st.binary())
def test_any_bytes(data):
    """Whatever arrives is read or is an error that is expected."""
    assert all(isinstance(found, Message | ValueError) for found in read_messages(data))
    with contextlib.suppress(ValueError):
        read_message(data)


@pytest.mark.parametrize(
    ("data", "params"),
    [
        (b'{"k":"1","k":"2","":"3"}', Pairs([("k", "1"), ("k", "2"), ("", "3")])),
        (b'{"u":"\xff\xfe bad \xc3"}', {"u": "\udcff\udcfe bad \udcc3"}),
        (b'{"raw":"a\tb"}', {"raw": "a\tb"}),
        (b'{"body":"{\\"a\\":1}"}', {"body": '{"a":1}'}),
        (b'{"o":{"a":1,"b":[{"c":null}]}}', {"o": {"a": 1, "b": [{"c": None}]}}),
        (b'{"n":123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
        (b'{"o":{"a":1,"a":[2]}}', {"o": Pairs([("a", 1), ("a", [2])])}),
        (b"{}", {}),
        (b"[]", []),
        (b'["a",-7,null]', ["a", -7, None]),
        (b"null", None),
    ],
)
def test_what_is_kept(data, params):
    """Names that occur twice, bytes that are no UTF-8, and raw control characters are kept."""
    assert whole(b'{"jsonrpc":"2.0","method":"E_X","params":%b}' % data) == [Message("E_X", params)]


def test_bytes_go_out_as_they_came():
    """Bytes that are no UTF-8 are sent on unchanged."""
    data = b'{"jsonrpc":"2.0","method":"E_X","params":{"u":"\xff\xfe \xc3","k":1,"k":2}}'
    (message,) = whole(data)
    assert payload(message.params) == data


def test_requests_have_ids():
    """The id of a request is kept, wherever it stands."""
    assert read_message(payload({"a": 1}, request_id=7)) == Message("E_X", {"a": 1}, 7)
    assert read_message(b'{"method":"E_X","id":"a"}') == Message("E_X", None, "a")


@pytest.mark.parametrize(
    "value", [1, "x", [], None, {}, {"method": 1}, {"method": "E", "params": "x"}, {"id": 1, "result": "OK"}]
)
def test_no_event(value):
    """JSON that is no notification of an event is distinguished from what is no JSON."""
    data = json.dumps(value).encode()
    with pytest.raises(NotAnEvent):
        read_message(data)
    assert [type(found) for found in read_messages(data)] == [NotAnEvent]


@pytest.mark.parametrize("data", [b"{", b"x", b'{"a":NaN}', b'{"a":1} x', b"[" * 100_000, b"\xff", b'{"method":"E"'])
def test_no_json(data):
    """What is no JSON is an error, however deep it is nested."""
    with pytest.raises(ValueError):
        read_message(data)
    assert type(list(read_messages(data))[-1]) is ValueError


def test_messages_are_cut_where_another_begins():
    """What is no JSON ends where another message begins; nothing within a message is one, however deep it is nested."""
    event = b'{"method":"E","params":{"text":"}{\\"a\\":1}"}}'
    deep = b'{"n":' + b"[" * 2000 + event + b"]" * 2000 + b"}"
    for before in (b"{x}", b'{"a":[}', deep):
        for between in (b"", b" \n"):
            broken, message = read_messages(before + between + event)
            assert type(broken) is ValueError
            assert message == read_message(event)
