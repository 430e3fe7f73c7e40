"""Requests of the client, and what a reply says to them."""

import json
from contextlib import suppress

import pytest
from evframe_client.protocol import ManagementError, Request
from hypothesis import given, settings
from hypothesis import strategies as st


def test_bytes_of_a_request():
    """A request is one line of JSON-RPC 2.0, without `params` when there are none."""
    assert Request("pwd", id="1").data == b'{"jsonrpc":"2.0","id":"1","method":"pwd"}'
    assert Request("pwd", [], id="1").data == Request("pwd", {}, id="1").data == Request("pwd", id="1").data
    assert json.loads(Request("m", {"a": [1, None]}, id="1").data)["params"] == {"a": [1, None]}
    assert b"\n" not in Request("m", ["a\nb"]).data


def test_ids_differ():
    """Every request has another id that is text, because the original cuts numbers to 32 bits."""
    ids = {Request("pwd").id for _ in range(1000)}

    assert len(ids) == 1000
    assert all(isinstance(one, str) and len(one) == 16 for one in ids)


@pytest.mark.parametrize("params", [[float("nan")], {"a": float("inf")}, [object()], [b"x"]])
def test_parameters_without_a_json_form(params):
    """They are a mistake of the caller, not of the gateway."""
    with pytest.raises((TypeError, ValueError)):
        Request("m", params)


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (b'{"jsonrpc":"2.0","result":"OK","id":"7"}', "OK"),
        (b'{\n\t"jsonrpc":\t"2.0",\n\t"result":\t[1, 2],\n\t"id":\t"7"\n}\n', [1, 2]),
        (b'{"jsonrpc":"2.0","result":null,"id":"7"}', None),
        (b'{"jsonrpc":"2.0","result":"a\x01\xff","id":"7"}', "a\x01\udcff"),
    ],
)
def test_result(reply, result):
    """The result is returned; raw control characters and bytes that are not UTF-8 do not hide it."""
    assert Request("m", id="7").is_answered_by(reply)
    assert Request("m", id="7").result(reply) == result


@pytest.mark.parametrize(
    ("reply", "code", "message", "data", "text"),
    [
        (b'{"error":{"code":480,"message":"Gone"},"id":"7"}', 480, "Gone", None, "480: Gone"),
        (b'{"error":{"code":-32602,"message":"I","data":"D"},"id":"7"}', -32602, "I", "D", "-32602: I (D)"),
        (b'{"error":{"code":-32700,"message":"Parse error"},"id":null}', -32700, "Parse error", None, None),
        (b"400 Parse_error", 400, "Parse_error", None, "400: Parse_error"),
        (b"500 Internal error", 500, "Internal error", None, None),
    ],
)
def test_errors(reply, code, message, data, text):
    """An error is raised with its code, text and data, those too that are answered without an id."""
    with pytest.raises(ManagementError) as caught:
        Request("m", id="7").result(reply)

    assert (caught.value.code, caught.value.message, caught.value.data) == (code, message, data)
    assert text is None or str(caught.value) == text


@pytest.mark.parametrize(
    "reply",
    [
        b'{"jsonrpc":"2.0","result":"OK","id":"8"}',
        b'{"jsonrpc":"2.0","result":"OK","id":7}',
        b'{"jsonrpc":"2.0","result":"OK","id":null}',
        b'{"jsonrpc":"2.0","result":"OK"}',
        b'{"jsonrpc":"2.0","id":"7"}',
        b'{"result":1,"error":{"code":1,"message":"x"},"id":"7"}',
        b'{"error":{"code":1,"message":"x"},"id":"8"}',
        b'[{"result":1,"id":"7"}]',
        b"failed to print response",
        b"",
        b"[" * 100_000,
    ],
)
def test_no_answer_to_this_request(reply):
    """What is not an answer to this very request is not taken for one."""
    assert not Request("m", id="7").is_answered_by(reply)
    with pytest.raises(ValueError, match="expected a JSON-RPC answer"):
        Request("m", id="7").result(reply)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=60)
    | st.sampled_from(["error", "result"]).flatmap(
        lambda key: st.recursive(
            st.none() | st.integers() | st.text(max_size=4),
            lambda item: (
                st.lists(item, max_size=3) | st.dictionaries(st.sampled_from(["code", "message", "data"]), item)
            ),
        ).map(lambda value: json.dumps({key: value, "id": "7"}).encode())
    )
)
def test_nothing_else_is_raised(reply):
    """Whatever arrives, there is a result, an error of the gateway, or a ValueError."""
    with suppress(ManagementError, ValueError):
        Request("m", id="7").result(reply)
