"""Requests of the management interface and the exact bytes of their answers."""

import json

import evframe
import pytest
from evframe_datagram import DatagramTransport


@pytest.fixture
def management():
    events = evframe.EventInterface(plugins={"datagram": DatagramTransport()})
    events.register_event("E_A")
    events.register_event("E_B")
    return events.management


def ask(management, method, params=None):
    request = {"jsonrpc": "2.0", "id": "1", "method": method}
    if params is not None:
        request["params"] = params
    return json.loads(management.handle(json.dumps(request).encode()))


@pytest.mark.parametrize("method", ["event_subscribe", "evi:subscribe", "subscribe"])
def test_subscribe_names(management, method):
    """The 3.x and the 4.x names reach the same command, byte for byte."""
    request = b'{"jsonrpc":"2.0","id":"1","method":"%b","params":["E_B","udp:127.0.0.1:19777",120]}' % method.encode()

    assert management.handle(request) == b'{"jsonrpc":"2.0","result":"OK","id":"1"}'
    assert ask(management, "subscribers_list", ["E_B", "udp:127.0.0.1:19777"])["result"] == {
        "Event": {"name": "E_B", "id": 1, "Subscriber": {"socket": "udp:127.0.0.1:19777", "expire": 120, "ttl": 120}}
    }


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (["E_X", "udp:127.0.0.1:1"], (400, "Bad parameter value", None)),
        (["E_A", "nope:127.0.0.1:1"], (400, "Bad parameter value", None)),
        (["E_A", "udp:127.0.0.1"], (400, "Bad parameter value", None)),
        (["E_A", "udp:127.0.0.1:1", -1], (-32602, "Invalid params", "Negative expire value")),
        (["E_A", "udp:127.0.0.1:1", "abc"], (-32602, "Invalid params", "Bad type for parameter 'expire'")),
        (["E_A", "udp:127.0.0.1:1", ""], (-32602, "Invalid params", "Bad type for parameter 'expire'")),
        (["E_A", "udp:127.0.0.1:1", None], (-32602, "Invalid params", "Bad type for parameter 'expire'")),
        ([True, "udp:127.0.0.1:1"], (-32602, "Invalid params", "Bad type for parameter 'event'")),
        (["", "udp:127.0.0.1:1"], (-32602, "Invalid params", "Bad type for parameter 'event'")),
        (["E_A", ""], (-32602, "Invalid params", "Bad type for parameter 'socket'")),
        (["E_A"], (-32602, "Invalid params", "Too few or too many parameters")),
        (["E_A", "b", 1, 2], (-32602, "Invalid params", "Too few or too many parameters")),
        ({"event": "E_A", "sock": "x"}, (-32602, "Invalid params", "Named parameters do not match")),
    ],
)
def test_subscribe_errors(management, params, error):
    """Every invalid subscription gets the code and text of the original; Q-7 always the plain form."""
    got = ask(management, "event_subscribe", params)["error"]

    assert (got["code"], got["message"], got.get("data")) == error
    assert ask(management, "subscribers_list")["result"] == {"Events": []}


@pytest.mark.parametrize(
    ("request_text", "answer"),
    [
        (b"garbage", b'{"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error"},"id":null}'),
        (b"1", b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'),
        (b"[]", b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'),
        (
            b'{"jsonrpc":"2.0","id":1,"params":[]}',
            b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":1}',
        ),
        (
            b'{"jsonrpc":"2.0","id":1,"method":"nosuch"}',
            b'{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":1}',
        ),
        (b'{"jsonrpc":"2.0","method":"nosuch"}', None),
    ],
)
def test_invalid_requests_q1(management, request_text, answer):
    """Q-1: a request without a method, a scalar or an unknown method is answered by its error."""
    assert management.handle(request_text) == answer


@pytest.mark.parametrize(
    ("params", "code"),
    [(["E_X"], 404), (["E_A"], 480), (["E_B", None], 400), (["E_B", "{bad"], 400), (["E_B", [None]], 400)],
)
def test_raise_errors(management, params, code):
    """Every invalid raise has its code."""
    ask(management, "event_subscribe", ["E_B", "udp:127.0.0.1:19777"])

    assert ask(management, "raise_event", params)["error"]["code"] == code
