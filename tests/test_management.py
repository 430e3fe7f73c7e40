"""Requests of the management interface and the exact bytes of their answers."""

import json

import pytest


@pytest.fixture
def management(events):
    return events.management


def ask(management, method, params=None):
    request = {"jsonrpc": "2.0", "id": "1", "method": method}
    if params is not None:
        request["params"] = params
    return json.loads(management.handle(json.dumps(request).encode()))


@pytest.mark.parametrize("method", ["event_subscribe", "evi:subscribe", "subscribe"])
def test_subscribe_names(management, method):
    """The 3.x and the 4.x names reach the same command, byte for byte."""
    request = b'{"jsonrpc":"2.0","id":"1","method":"%b","params":["E_B","memory:a",120]}' % method.encode()

    assert management.handle(request) == b'{"jsonrpc":"2.0","result":"OK","id":"1"}'
    assert ask(management, "subscribers_list", ["E_B", "memory:a"])["result"] == {
        "Event": {"name": "E_B", "id": 1, "Subscriber": {"socket": "memory:a", "expire": 120, "ttl": 120}}
    }


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (["E_X", "memory:b"], (400, "Bad parameter value", None)),
        (["E_A", "nope:b"], (400, "Bad parameter value", None)),
        (["E_A", "memory:"], (400, "Bad parameter value", None)),
        (["E_A", "memory:b", -1], (-32602, "Invalid params", "Negative expire value")),
        (["E_A", "memory:b", "abc"], (-32602, "Invalid params", "Bad type for parameter 'expire'")),
        (["E_A", "memory:b", ""], (-32602, "Invalid params", "Bad type for parameter 'expire'")),
        (["E_A", "memory:b", None], (-32602, "Invalid params", "Bad type for parameter 'expire'")),
        ([True, "memory:b"], (-32602, "Invalid params", "Bad type for parameter 'event'")),
        (["", "memory:b"], (-32602, "Invalid params", "Bad type for parameter 'event'")),
        (["E_A", ""], (-32602, "Invalid params", "Bad type for parameter 'socket'")),
        (["E_A"], (-32602, "Invalid params", "Too few or too many parameters")),
        (["E_A", "b", 1, 2], (-32602, "Invalid params", "Too few or too many parameters")),
        ({"event": "E_A", "sock": "x"}, (-32602, "Invalid params", "Named parameters do not match")),
    ],
)
def test_subscribe_errors_q7(management, params, error):
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
    ask(management, "event_subscribe", ["E_B", "memory:a"])

    assert ask(management, "raise_event", params)["error"]["code"] == code


@pytest.mark.parametrize(
    ("params", "raised"),
    [
        ([["x", 2, 3.7]], ["x", "2", "3"]),
        (['{"s":"v","i":5}'], [("s", "v"), ("i", 5)]),
        (['{"a":1.9,"b":99999999999}tail'], [("a", 1), ("b", 2147483647)]),
        (
            ['{"t":true,"n":null,"l":[1,"a"],"o":{"x":"y"}}'],
            [("t", "true"), ("n", "null"), ("l", '[1,"a"]'), ("o", '{"x":"y"}')],
        ),
        (['{"k":"1","k":"2"}'], [("k", "1"), ("k", "2")]),
        (["{}"], []),
        ([{"i": 5, "f": 1.5}], [("i", 5), ("f", 1.5)]),
        ([[str(n) for n in range(9)]], [str(n) for n in range(9)]),
        ([], []),
    ],
)
async def test_raise_q5_q6_q8(events, memory, params, raised):
    """Q-5, Q-6, Q-8: every form of parameters arrives as it was meant."""
    events.subscribe_event("E_A", "memory:a")
    async with events:
        assert ask(events.management, "raise_event", ["E_A", *params])["result"] == "OK"
        await events.raise_event_and_wait("E_A")

    pairs = memory.delivered["a"][0].pairs
    assert [pair if pair[0] is not None else pair[1] for pair in pairs] == raised


def test_raise_reaches_declared_types(events, memory):
    """Text stands for a number where the event declares one; what does not fit is named."""
    events.register_event("E_TYPED", {"ip": str, "hits": int})
    events.subscribe_event("E_TYPED", "memory:a")

    assert ask(events.management, "raise_event", ["E_TYPED", ["1.2.3.4", "7"]])["result"] == "OK"
    error = ask(events.management, "raise_event", ["E_TYPED", {"ip": "1.2.3.4", "hits": "many"}])["error"]
    assert (error["code"], error["message"]) == (400, "Bad Params")
    assert "'hits'" in error["data"]


def test_subscribers(events):
    """The three forms of the list, newest first, and what they say when there is nothing."""
    management = events.management
    assert ask(management, "subscribers_list")["result"] == {"Events": []}
    assert ask(management, "subscribers_list", ["E_A"])["result"] == {"Event": {}}
    events.subscribe_event("E_A", "memory:a")
    events.subscribe_event("E_A", "memory:b", 30)
    expected = {
        "name": "E_A",
        "id": 0,
        "Subscribers": [
            {"socket": "memory:b", "expire": 30, "ttl": 30},
            {"socket": "memory:a", "expire": "never"},
        ],
    }

    assert ask(management, "subscribers_list")["result"] == {"Events": [expected]}
    assert ask(management, "evi:subscribers", ["E_A"])["result"] == {"Event": expected}
    assert ask(management, "subscribers", {"event": "E_A", "socket": "memory:a"})["result"] == {
        "Event": {"name": "E_A", "id": 0, "Subscriber": {"socket": "memory:a", "expire": "never"}}
    }
    for params, text in [
        (["E_X"], "Event not published"),
        (["E_A", "memory:c"], "Subscriber does not exist"),
        (["E_A", "nope:c"], "Subscriber does not exist"),
        (["E_B", "memory:a"], "Subscriber does not exist"),
    ]:
        assert ask(management, "subscribers_list", params)["error"] == {"code": 404, "message": text}


def test_unsubscribe_q26(events):
    """Q-26: expire 0 ends a subscription at once, and is OK when there was none."""
    events.subscribe_event("E_A", "memory:a")
    for _ in range(2):
        assert ask(events.management, "event_subscribe", ["E_A", "memory:a", 0])["result"] == "OK"
        assert events.subscriptions == []


@pytest.mark.parametrize(
    ("expire", "seconds"),
    [(120, 120), (1.9, 1), ("60", 60), ("+60", 60), ("5000000000", 2147483647), (1e12, 2147483647)],
)
def test_expire_q13(events, expire, seconds):
    """Q-13: every form of a number of seconds; too many are held within 32 bits."""
    assert ask(events.management, "event_subscribe", ["E_A", "memory:a", expire])["result"] == "OK"
    assert events.subscriptions[0].expire_s == seconds


def test_default_expire(events):
    """A subscription without a time has the default lease."""
    ask(events.management, "event_subscribe", ["E_A", "memory:a"])
    assert events.subscriptions[0].expire_s == 3600


def test_which_and_help(events):
    """`which` and `help` tell about the commands under every name."""
    management = events.management
    names = ask(management, "which")["result"]
    assert {"core:which", "evi:subscribe", "evi:list", "evi:subscribers", "evi:raise"} <= set(names)
    assert ask(management, "which", ["evi:"])["result"][:4] == [
        "evi:subscribe",
        "evi:list",
        "evi:subscribers",
        "evi:raise",
    ]
    assert ask(management, "which", ["event_subscribe"])["result"] == [
        ["event", "socket"],
        ["event", "socket", "expire"],
    ]
    assert ask(management, "which", ["nosuch"])["error"] == {"code": 404, "message": "unknown MI command"}
    assert ask(management, "help")["result"] == "Usage: help mi_cmd - returns information about 'mi_cmd'"
    assert ask(management, "help", ["event_subscribe"])["result"] == {
        "Help": "subscribes an event to the Event Interface",
        "Exported by": "evi",
    }
    assert ask(management, "core:version")["result"]["Server"].startswith("OpenSIPS (4.")
    assert set(ask(management, "uptime")["result"]) == {"Now", "Up since", "Up time"}
    assert ask(management, "events_list")["result"] == {"Events": [{"name": "E_A", "id": 0}, {"name": "E_B", "id": 1}]}


@pytest.mark.parametrize(
    ("request_text", "answer"),
    [
        (b' \n{"jsonrpc":"2.0","METHOD":"pwd","Id":7.9,"x":1} trailing', 7),
        (b'{"jsonrpc":"2.0","method":"pwd","id":99999999999,"params":{}}', 2147483647),
        (b'{"jsonrpc":"2.0","method":"pwd","id":null}', None),
        (b'{"jsonrpc":"2.0","method":"pwd","id":"tab\there"}', "tab\there"),
        (b'{"jsonrpc":"2.0","method":"pwd","id":"\xff"}', "\udcff"),
    ],
)
def test_lenient_requests(management, request_text, answer):
    """Member names in any case, text after the request, control characters and any bytes in strings."""
    response = json.loads(management.handle(request_text))
    assert "result" in response
    assert response["id"] == answer


@pytest.mark.parametrize(
    "message",
    [
        b'{"jsonrpc":"2.0","method":"pwd","id":[1]}',
        b'{"jsonrpc":"2.0","method":"pwd","id":true}',
        b'{"jsonrpc":"1.0","method":"pwd","id":1}',
        b'{"jsonrpc":"2.0","method":7,"id":1}',
        b'{"jsonrpc":"2.0","method":"pwd","params":null}',
        b'{"jsonrpc":"2.0","method":"pwd","params":"x"}',
        b"null",
        b'"text"',
        b"[" * 100_000,
    ],
)
def test_bad_requests(management, message):
    """A request that breaks a rule is answered with its error, a notification too."""
    response = json.loads(management.handle(message))
    assert response["error"]["code"] in {-32600, -32700}


def test_batch(management):
    """Each request of a batch has its answer; notifications have none."""
    batch = [
        {"jsonrpc": "2.0", "method": "pwd", "id": 1},
        {"jsonrpc": "2.0", "method": "pwd"},
        5,
        {"jsonrpc": "2.0", "method": "x", "id": 2},
    ]
    answers = json.loads(management.handle(json.dumps(batch).encode()))

    assert [(answer["id"], answer.get("error", {}).get("code")) for answer in answers] == [
        (1, None),
        (None, -32600),
        (2, -32601),
    ]
    assert management.handle(b'[{"jsonrpc":"2.0","method":"pwd"}]') is None


async def test_statistics(events, memory):
    """The counters of every subscriber add up."""
    events.subscribe_event("E_A", "memory:a")
    async with events:
        await events.raise_event_and_wait("E_A")
    statistics = ask(events.management, "evi:statistics")["result"]

    assert statistics["Events"][0] == {"name": "E_A", "id": 0, "raised": 1}
    assert statistics["Subscribers"] == [
        {"socket": "memory:a", "raised": 1, "delivered": 1, "failed": 0, "reasons": {}, "depth": 0}
    ]
