"""The table of requests and replies that every management interface has to reproduce.

The requests were sent to a running OpenSIPS, and the replies are its replies, byte for byte. Where OpenSIPS crashed,
hung or answered garbage, the reply is the error of JSON-RPC (`docs/reference/management-protocol.md`).
Names such as Q-1 are those of `docs/explanation/differences.md`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

import attrs


@attrs.frozen
class Row:
    """A request, and its reply: the bytes, a pattern of them, or None for no reply."""

    request: bytes
    reply: bytes | re.Pattern[bytes] | None


def call(method: str, params: str | None = None, **reply: str | int) -> Row:
    """Return a row for a call: *params* is JSON, and the reply a `result` in JSON, or `code`, `message` and `data`."""
    given = "" if params is None else f',"params":{params}'
    request = f'{{"jsonrpc":"2.0","id":"1","method":"{method}"{given}}}'
    if "result" in reply:
        text = f'"result":{reply["result"]}'
    else:
        data = f',"data":"{reply["data"]}"' if "data" in reply else ""
        text = f'"error":{{"code":{reply["code"]},"message":"{reply["message"]}"{data}}}'
    return Row(request.encode(), f'{{"jsonrpc":"2.0",{text},"id":"1"}}'.encode())


def bad_params(method: str, params: str | None, data: str) -> Row:
    """Return a row for a call that is answered with -32602."""
    return call(method, params, code=-32602, message="Invalid params", data=data)


def like(method: str, params: str | None, pattern: str) -> Row:
    """Return a row for a call whose result fits *pattern*."""
    request = call(method, params, result="null").request
    return Row(request, re.compile(b'{"jsonrpc":"2.0","result":%b,"id":"1"}' % pattern.encode()))


def invalid(request: bytes, request_id: bytes = b"null") -> Row:
    """Return a row for a request that is answered with -32600."""
    return Row(request, b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":%b}' % request_id)


_COUNT: Final = "Too few or too many parameters"
_NAMES: Final = "Named parameters do not match"
PWD: Final = b'{"jsonrpc":"2.0","result":{"WD":"%b"},"id":' % os.fsencode(os.getcwd())

NOT_JSON: Final = (
    *(b"garbage", b"{bad", b'{"jsonrpc":"2.0"', b'"half a text', b"\xff\xfe", b":", b"}"),
    *(b"[" * 100_000, b'{"a":NaN}', b"[-Infinity]"),
)
"""Requests that are no JSON; the replies of the interfaces differ."""

INVALID: Final = (
    invalid(b'{"jsonrpc":"2.0","id":1,"params":[]}', b"1"),
    invalid(b"{}"),
    invalid(b"[]"),
    invalid(b"1"),
    invalid(b"null"),
    invalid(b"true"),
    invalid(b'"text"'),
    invalid(b'{"method":"pwd","id":"1"}', b'"1"'),
    invalid(b'{"jsonrpc":"1.0","method":"pwd","id":1}', b"1"),
    invalid(b'{"jsonrpc":2.0,"method":"pwd","id":1}', b"1"),
    invalid(b'{"jsonrpc":"2.0","method":7,"id":1}', b"1"),
    invalid(b'{"jsonrpc":"2.0","method":null}'),
    invalid(b'{"jsonrpc":"2.0","method":"pwd","params":null,"id":1}', b"1"),
    invalid(b'{"jsonrpc":"2.0","method":"pwd","params":"x","id":1}', b"1"),
    invalid(b'{"jsonrpc":"2.0","method":"pwd","params":5}'),
    invalid(b'{"jsonrpc":"2.0","method":"pwd","params":true}'),
    invalid(b'{"jsonrpc":"2.0","method":"pwd","id":[1]}'),
    invalid(b'{"jsonrpc":"2.0","method":"pwd","id":{"a":1}}'),
    invalid(b'{"jsonrpc":"2.0","method":"pwd","id":true}'),
)
"""Q-1: requests that break a rule, with which datagram and FIFO crashed or could not print the id."""

LENIENT: Final = (
    Row(b'{"jsonrpc": "2.0", "id": "77", "method": "pwd", "params": {}}', PWD + b'"77"}'),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":1,"params":[]}', PWD + b"1}"),
    Row(b'\r\n\t {"jsonrpc":"2.0","METHOD":"pwd","Id":7.9,"x":[1]}', PWD + b"7}"),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":1,"id":2,"method":"x"}', PWD + b"1}"),
    Row(b'{"jsonrpc":"2.0","METHOD":"pwd","ID":1,"id":2,"method":"x"}', PWD + b"1}"),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":99999999999}', PWD + b"2147483647}"),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":-99999999999}', PWD + b"-2147483648}"),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":null}', PWD + b"null}"),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":""}', PWD + b'""}'),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":"tab\there"}', PWD + b'"tab\\there"}'),
    Row('{"jsonrpc":"2.0","method":"pwd","id":"ü"}'.encode(), PWD + '"ü"}'.encode()),
    Row(b'{"jsonrpc":"2.0","method":"pwd","id":"\xff"}', PWD + b'"\\udcff"}'),
)
"""Member names in any case, any bytes in texts, and how ids come back."""

NOTIFICATIONS: Final = (
    Row(b'{"jsonrpc":"2.0","method":"pwd"}', None),
    Row(b'{"jsonrpc":"2.0","method":"nosuch"}', None),
    Row(b'{"jsonrpc":"2.0","method":"pwd","params":["x"]}', None),
    invalid(b'{"jsonrpc":"2.0"}'),
)
"""Notifications, which are answered only if they are no valid requests."""

BATCHES: Final = (
    Row(b'[{"jsonrpc":"2.0","method":"pwd"}]', None),
    Row(
        b'[{"jsonrpc":"2.0","method":"help","id":1},5,{"jsonrpc":"2.0","method":"pwd"},{"jsonrpc":"2.0","method":"x","id":2}]',
        b'[{"jsonrpc":"2.0","result":"Usage: help mi_cmd - returns information about \'mi_cmd\'","id":1},'
        b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null},'
        b'{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":2}]',
    ),
)
"""Q-1: batches as in JSON-RPC 2.0; the original has no batches."""

METHODS: Final = (
    call("nosuch", code=-32601, message="Method not found"),
    call("", code=-32601, message="Method not found"),
    call("evi:", code=-32601, message="Method not found"),
    call(":subscribe", code=-32601, message="Method not found"),
    call("EVI:LIST", code=-32601, message="Method not found"),
    call("core:events_list", code=-32601, message="Method not found"),
    call("twin", code=-32001, message="Method ambiguous", data="supported names: first:twin, second:twin"),
    call("first:twin", result='"first"'),
    call("second:twin", result='"second"'),
    call("twin_of_old", result='"second"'),
    bad_params("first:either", '["x"]', "Ambiguous call, use named parameters instead"),
    call("first:either", '{"b":1}', result='"b"'),
    bad_params("first:either", '{"B":1}', _NAMES),
    call("first:fails", code=-32000, message="Server error", data="Command handler returned null"),
)
"""The names by which a command is found."""

ABOUT: Final = (
    like("which", None, r'\["core:which","core:help".*"evi:subscribe","evi:list","evi:subscribers","evi:raise".*\]'),
    call("which", '["event_subscribe"]', result='[["event","socket"],["event","socket","expire"]]'),
    call("which", '{"command":"evi:raise"}', result='[["event"],["event","params"]]'),
    like("which", '["evi:"]', r'\["evi:subscribe","evi:list","evi:subscribers","evi:raise".*\]'),
    call("which", '["nosuch"]', code=404, message="unknown MI command"),
    call("help", result="\"Usage: help mi_cmd - returns information about 'mi_cmd'\""),
    call(
        "help",
        '["event_subscribe"]',
        result='{"Help":"subscribes an event to the Event Interface; parameters: event, socket; event, socket, expire;'
        ' by name also burst, dedup_s, max_age_s, only, rate, sample, where",'
        '"Exported by":"evi"}',
    ),
    call("help", '["first:twin"]', result='{"Help":"not available for this command","Exported by":"first"}'),
    call("help", '["nosuch"]', code=404, message="unknown MI command"),
    like("version", None, r'\{"Server":"OpenSIPS \(\d\.\d\.\d.*\)"\}'),
    like("uptime", None, r'\{"Now":"\w{3} \w{3} [ \d:]+","Up since":"\w{3} \w{3} [ \d:]+","Up time":"\d+ \[sec\]"\}'),
    like("ps", None, r'\{"Processes":\[\{"ID":0,"PID":\d+,"Type":".*"\}.*\]\}'),
    like("core:pwd", None, r'\{"WD":"/.*"\}'),
    bad_params("pwd", '["x"]', _COUNT),
)
"""The answers of the commands about the server and its commands."""

SUBSCRIBE: Final = (
    call("event_subscribe", '["E_B","memory:b",120]', result='"OK"'),
    call("evi:subscribe", '["E_B","memory:b"]', result='"OK"'),
    call("subscribe", '{"event":"E_B","socket":"memory:b","expire":"60"}', result='"OK"'),
    call("event_subscribe", '["E_X","memory:b"]', code=400, message="Bad parameter value"),
    call("event_subscribe", '["E_A","nope:b"]', code=400, message="Bad parameter value"),
    call("event_subscribe", '["E_A","nocolon"]', code=400, message="Bad parameter value"),
    call("event_subscribe", '["E_A","memory:"]', code=400, message="Bad parameter value"),
    bad_params("event_subscribe", '["E_A","memory:b",-1]', "Negative expire value"),
    bad_params("event_subscribe", '["E_A","memory:b","-1"]', "Negative expire value"),
    *(
        bad_params("event_subscribe", f'["E_A","memory:b",{expire}]', "Bad type for parameter 'expire'")
        for expire in ('"abc"', '""', '"+"', '"1.5"', '" 1"', "null", "true", "[]", "{}")
    ),
    *(
        bad_params("event_subscribe", f'[{event},"memory:b"]', "Bad type for parameter 'event'")
        for event in ("true", "null", "[]", '{"a":1}', '""')
    ),
    *(
        bad_params("event_subscribe", f'["E_A",{socket}]', "Bad type for parameter 'socket'")
        for socket in ("true", "null", "[]", '{"a":1}', '""')
    ),
    call("event_subscribe", '["E_A",5]', code=400, message="Bad parameter value"),
    bad_params("event_subscribe", '["","",null]', "Bad type for parameter 'expire'"),
    call("event_subscribe", '[5,"memory:b"]', code=400, message="Bad parameter value"),
    bad_params("event_subscribe", None, _COUNT),
    bad_params("event_subscribe", "{}", _COUNT),
    bad_params("event_subscribe", '["E_A"]', _COUNT),
    bad_params("event_subscribe", '["E_A","memory:b",1,2]', _COUNT),
    bad_params("event_subscribe", '{"event":"E_A"}', _COUNT),
    bad_params("event_subscribe", '{"event":"E_A","sock":"memory:b"}', _NAMES),
    bad_params("event_subscribe", '{"Event":"E_A","socket":"memory:b"}', _NAMES),
)
"""Q-7: every subscription that is refused, always with the plain text."""

EXPIRE: Final = (
    ("120", 120),
    ("1.9", 1),
    ('"60"', 60),
    ('"+60"', 60),
    ("99999999999", 2147483647),
    ("1e300", 2147483647),
    ('"5000000000"', 2147483647),
    (f'"{"9" * 5000}"', 2147483647),
)
"""Q-13: a number of seconds in the request, and the number that is used."""

LISTS: Final = (
    call("events_list", result='{"Events":[{"name":"E_A","id":0},{"name":"E_B","id":1}]}'),
    call("evi:list", result='{"Events":[{"name":"E_A","id":0},{"name":"E_B","id":1}]}'),
    bad_params("events_list", '["x"]', _COUNT),
    call("subscribers_list", result='{"Events":[]}'),
    call("evi:subscribers", '["E_A"]', result='{"Event":{}}'),
    call("subscribers", '{"event":"E_X"}', code=404, message="Event not published"),
    call("subscribers_list", '["E_X","memory:a"]', code=404, message="Event not published"),
    call("subscribers_list", '["E_A","memory:a"]', code=404, message="Subscriber does not exist"),
    call("subscribers_list", '["E_A","nope:a"]', code=404, message="Subscriber does not exist"),
    call("subscribers_list", '["E_A","memory:"]', code=404, message="Subscriber does not exist"),
    bad_params("subscribers_list", "[true]", "Bad type for parameter 'event'"),
    bad_params("subscribers_list", '["E_A","memory:a",1]', _COUNT),
    bad_params("subscribers_list", '{"socket":"memory:a"}', _NAMES),
)
"""The lists without a subscriber."""

_OF_A: Final = (
    '{"name":"E_A","id":0,"Subscribers":'
    '[{"socket":"memory:b","expire":30,"ttl":30,"state":"unknown"},{"socket":"memory:a","expire":"never","state":"unknown"}]}'
)
SUBSCRIBERS: Final = (
    call("subscribers_list", result=f'{{"Events":[{_OF_A}]}}'),
    call("subscribers_list", '["E_A"]', result=f'{{"Event":{_OF_A}}}'),
    call(
        "subscribers_list",
        '["E_A","memory:b"]',
        result='{"Event":{"name":"E_A","id":0,"Subscriber":{"socket":"memory:b","expire":30,"ttl":30,"state":"unknown"}}}',
    ),
    call(
        "subscribers_list",
        '{"event":"E_A","socket":"memory:a"}',
        result='{"Event":{"name":"E_A","id":0,"Subscriber":{"socket":"memory:a","expire":"never","state":"unknown"}}}',
    ),
    call("subscribers_list", '["E_B"]', result='{"Event":{}}'),
    call("subscribers_list", '["E_B","memory:a"]', code=404, message="Subscriber does not exist"),
)
"""The three forms, the newest subscriber first."""

_DEEP: Final = "[" * 900 + "]" * 900
RAISE_ERRORS: Final = (
    call("raise_event", '["E_X"]', code=404, message="Event not registered"),
    call("raise_event", '["E_B"]', code=480, message="Temporarily Unavailable"),
    call("raise_event", '["E_B",null]', code=480, message="Temporarily Unavailable"),
    *(call("raise_event", f'["E_A",{given}]', code=400, message="No Params") for given in ("null", "true")),
    *(
        call("raise_event", f'["E_A",{given}]', code=400, message="Bad Params")
        for given in (
            '"hello"',
            '"{bad"',
            r'"{\"a\":NaN}"',
            '"[1,2]"',
            '""',
            "5",
            "[null]",
            "[true]",
            "[[1]]",
            '[{"a":1}]',
            f'"{"[" * 2000}"',
            r'"{\"a\":' + _DEEP + '}"',
        )
    ),
    bad_params("raise_event", "[true]", "Bad type for parameter 'event'"),
    bad_params("raise_event", None, _COUNT),
    bad_params("raise_event", '["E_A",[],1]', _COUNT),
    bad_params("raise_event", '{"event":"E_A","parameters":[]}', _NAMES),
)
"""Every raise that is refused."""

RAISES: Final[Mapping[str, bytes]] = {
    '["E_A"]': b"",
    '["E_A",[]]': b"",
    '["E_A","{}"]': b"",
    '["E_A",["x",2,3.7]]': b'"params":["x","2","3"]',
    '["E_A",["0","1","2","3","4",5,6,7,8]]': b'"params":["0","1","2","3","4","5","6","7","8"]',
    '["E_A",[1,2,3,4,5,6,7,8,9]]': b'"params":["1","2","3","4","5","6","7","8","9"]',
    '{"event":"E_A","params":["x"]}': b'"params":["x"]',
    r'["E_A","{\"s\":\"v\",\"i\":5}"]': b'"params":{"s":"v","i":5}',
    r'["E_A"," {\"a\":1.9,\"b\":99999999999} tail"]': b'"params":{"a":1,"b":2147483647}',
    r'["E_A","{\"t\":true,\"n\":null,\"l\":[1, \"a\"],\"o\":{\"x\":\"y\"}}"]': (
        rb'"params":{"t":"true","n":"null","l":"[1,\"a\"]","o":"{\"x\":\"y\"}"}'
    ),
    '["E_A",{"i":5,"f":1.5,"l":[1]}]': b'"params":{"i":5,"f":1.5,"l":[1]}',
    '["E_A",{"a":1,"a":2}]': b'"params":{"a":1,"a":2}',
    '["E_A",{"a":18446744073709551616,"o":[100000000000000000001,{"b":1.50,"b":-0}]}]': (
        b'"params":{"a":18446744073709551616,"o":[100000000000000000001,{"b":1.50,"b":-0}]}'
    ),
    '{"event":"E_A","json":{"a":1,"a":{"b":1e400}}}': b'"params":{"a":1,"a":{"b":1e400}}',
    '{"event":"E_A","json":[1756900000000,1.5,null,[true]]}': b'"params":[1756900000000,1.5,null,[true]]',
    '{"event":"E_A","json":"x"}': b'"params":["x"]',
    '{"event":"E_A","json":{}}': b"",
    r'["E_A","{\"a\":1,\"a\":99999999999,\"b\":[1.0,18446744073709551616]}"]': (
        b'"params":{"a":1,"a":2147483647,"b":"[1.0,18446744073709551616]"}'
    ),
}
"""Q-5, Q-6 and Q-8: the parameters of a raise, and what arrives; an object is an extension."""
