"""What an instance sends, counted and raised."""

import json
import logging
import sys

import pluggy
import pytest
from evframe_opensips.intake import MAX_HOPS, InstanceIntake
from hypothesis import given
from hypothesis import strategies as st

import evframe
from evframe.testing import FakeClock, MemoryTransport, Recorder


class Raised(list):
    """The context of a plugin, as far as small messages need it."""

    plugins = pluggy.PluginManager("test")
    tracing = None

    @property
    def raising(self):
        return self

    def raise_event_and_tell(self, name, params, done, *, until):
        assert until == "kept"
        self.raise_event(name, params)
        done([])

    def raise_event(self, name, params):
        if params in ({"bad": 1}, {"bad": 1, "instance_name": "one"}):
            raise evframe.ParameterError(name, "bad", "expected nothing")
        self.append((name, params))


def intake(param="instance_name", expected=("E_X",)):
    raised = Raised()
    made = InstanceIntake(raised, "one", param, FakeClock())
    made.expected = set(expected)
    return made, raised


def taken(one, data):
    """Return the replies to *data*."""
    replies = []
    one.take(data, replies.append)
    return b"".join(replies)


async def taken_large(one, data):
    replies = []
    await one.take_large(data, replies.append)
    return b"".join(replies)


def message(params=None, name="E_X", **more):
    body = {"jsonrpc": "2.0", "method": name} | ({} if params is None else {"params": params}) | more
    return json.dumps(body, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"ip": "x", "n": 1}, [("ip", "x"), ("n", 1), ("instance_name", "one")]),
        (None, [("instance_name", "one")]),
        ({}, [("instance_name", "one")]),
        ({"instance_name": "two", "ip": "x"}, [("ip", "x"), ("instance_name", "one/two")]),
        ({"body": '{"a":1}'}, [("body", '{"a":1}'), ("instance_name", "one")]),
    ],
)
def test_instance_is_the_last_parameter(params, named):
    """The instance's name follows the named parameters; with that of another gateway it becomes a path."""
    one, raised = intake()
    taken(one, message(params))
    assert list(raised[0][1].items()) == named


def test_names_twice():
    """Parameters whose names occur twice keep their order, and the instance's name is the last."""
    one, raised = intake()
    taken(one, b'{"method":"E_X","params":{"k":1,"instance_name":"two","k":2}}')
    assert raised == [("E_X", evframe.Pairs([("k", 1), ("k", 2), ("instance_name", "one/two")]))]


@pytest.mark.parametrize("params", [["a", 1], [], {"ip": "x"}, None])
def test_nothing_is_added(params):
    """Positional parameters stay as they are; all do when no parameter is configured, or the event has no place for it."""
    for param, unchanged in (("", ()), ("instance_name", {"E_X"})):
        one, raised = intake(param)
        one.unchanged = unchanged
        taken(one, message(params))
        assert raised == [("E_X", params)]
    if type(params) is list:
        one, raised = intake()
        taken(one, message(params))
        assert raised == [("E_X", params)]


def cloud_event(params=None, name="E_X", **more):
    body = {"specversion": "1.0", "type": name, "source": "/a", "id": "1"} | more
    return json.dumps(body if params is None else body | {"data": params}, separators=(",", ":")).encode()


def test_cloud_events():
    """A CloudEvent is the event that its type is, also between notifications; what only says so counts as other JSON."""
    pieces = [
        cloud_event({"n": 1}),
        message({"n": 2}),
        cloud_event(["a"], "E_Y"),
        cloud_event(name="E_Z"),
        cloud_event({"n": 3}, "E_OTHER"),
        cloud_event("text"),
        cloud_event({"n": 4}, specversion="0.3"),
        b'{"specversion":"1.0"}',
    ]
    for data in ([b"".join(pieces)], pieces):
        one, raised = intake("instance_name", expected=("E_X", "E_Y", "E_Z"))
        for piece in data:
            assert taken(one, piece) == b""
        assert raised == [
            ("E_X", {"n": 1, "instance_name": "one"}),
            ("E_X", {"n": 2, "instance_name": "one"}),
            ("E_Y", ["a"]),
            ("E_Z", {"instance_name": "one"}),
        ]
        assert (one.raised, one.refused) == (4, {"unexpected": 1, "no_event": 3})
        assert (one.received, one.unparsed) == (8, 0)


def test_extensions_with_the_names_of_json_rpc():
    """A CloudEvent is one whatever its extensions are called, and its id is never that of a request."""
    clash = {"method": "E_Y"}
    for data in (cloud_event({"n": 1}, **clash), cloud_event({"n": 1}, **clash) + b"\n"):
        one, raised = intake("", expected=("E_X", "E_Y"))
        assert taken(one, data) == b""
        assert raised == [("E_X", {"n": 1})]
    one, raised = intake("")
    assert taken(one, message({"n": 1}, specversion="1.0", id=3)) == b'{"jsonrpc":"2.0","result":"OK","id":3}'
    assert raised == [("E_X", {"n": 1})]


def test_hops():
    """An event that came by way of too many gateways ends."""
    one, raised = intake()
    taken(one, message({"instance_name": "/".join(["x"] * (MAX_HOPS - 1))}))
    assert len(raised) == 1
    taken(one, message({"instance_name": raised[0][1]["instance_name"]}))
    assert (one.raised, one.refused) == (1, {"hops": 1})


def test_everything_is_counted():
    """Every piece is raised, refused with a reason, or no JSON."""
    one, raised = intake()
    taken(one, message({"a": 1}) + message({"b": "x:y"}) + b"\n" + message())
    taken(one, message(name="E_OTHER"))
    taken(one, b"[1]")
    taken(one, message({"bad": 1}))
    taken(one, b"{nothing}" + message())
    assert [len(raised), one.raised] == [4, 4]
    assert one.refused == {"unexpected": 1, "no_event": 1, "parameters": 1}
    assert (one.received, one.unparsed) == (7, 1)


@given(
    st.lists(
        st.sampled_from([message({"a": 1}), message(name="E_OTHER"), b"[]", b"{x}", message(["a"]), b'{"a":"\xff"}'])
    )
)
def test_counters_add_up(pieces):
    """What was received is what was raised and what was refused, however it is put together."""
    one, raised = intake()
    taken(one, b"".join(pieces))
    assert one.received == one.raised + one.refused.total()
    assert one.raised == len(raised)
    assert one.unparsed <= len(pieces)


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (message({"a": 1}), b""),
        (message({"a": 1}, id=5), b'{"jsonrpc":"2.0","result":"OK","id":5}'),
        (
            message(id="x") + message(id=6),
            b'{"jsonrpc":"2.0","result":"OK","id":"x"}{"jsonrpc":"2.0","result":"OK","id":6}',
        ),
        (
            message(name="E_OTHER", id=7),
            b'{"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found"},"id":7}',
        ),
        (message(name="E_OTHER"), b""),
        (message({"bad": 1}, id=8), b'{"jsonrpc":"2.0","error":{"code":-32602,"message":"Invalid params"},"id":8}'),
    ],
)
def test_replies(data, reply):
    """A request is answered with its outcome, a notification is not."""
    assert taken(intake()[0], data) == reply


def test_log(caplog):
    """What could not be raised is logged, at most every ten seconds, and without what it holds."""
    clock = FakeClock()
    one = InstanceIntake(Raised(), "one", "", clock)
    with caplog.at_level(logging.WARNING, "evframe.opensips"):
        for _ in range(3):
            taken(one, b'{"url":"mysql://root:secret@db"')
        clock.advance(9.9)
        taken(one, message(name="E_OTHER"))
        clock.advance(0.2)
        taken(one, message(name="E_OTHER"))
    assert [record.message for record in caplog.records] == [
        "what an instance sent could not be read",
        "an event of an instance was not raised",
    ]
    assert "secret" not in str([vars(record) for record in caplog.records])


class Source:
    """A plugin with the intake of an instance."""

    def __init__(self):
        self.clock = FakeClock()

    @evframe.hookimpl
    def loaded(self, context):
        self.intake = InstanceIntake(context, "one", "instance_name", self.clock)
        self.intake.expected = {"E_X", "E_STRICT"}


@pytest.mark.parametrize("depth", [200, 400, 1000, 2000, 50_000])
@pytest.mark.parametrize("inner", [b"1", b'"a\\":b"', b'"\xff"'])
def test_nesting(depth, inner):
    """However deep the values are nested, an event is raised or refused, and those after it are raised."""
    source = Source()
    events = evframe.EventInterface(plugins={"memory": MemoryTransport(), "source": source})
    events.register_event("E_X")
    events.subscribe_event("E_X", "memory:a")
    one = source.intake
    taken(one, b'{"method":"E_X","params":{"n":' + b"[" * depth + inner + b"]" * depth + b"}}" + message({"a": 1}))
    assert one.raised + one.refused["parameters"] + one.unparsed == 2
    assert one.raised >= 1


LARGE = {
    "event": message({"text": "x" * 20_000, "n": [[{"k": number, "k2": "v"}] for number in range(500)]}, id=1),
    "several": b"".join(message({"n": number}, id=number) for number in range(300)),
    "garbage between": message({"n": 1}, id=1) + b"{x" + b"y" * 9000 + b"}" + message({"n": 2}),
    "unexpected": message({"text": "x" * 20_000}, name="E_OTHER", id=1),
    "parameters": message({"n": "x" * 20_000}, name="E_STRICT", id=1),
    "hops": message({"text": "x" * 20_000, "instance_name": "/".join("x" * MAX_HOPS)}, id=1),
    "no event": json.dumps(["x" * 20_000]).encode(),
    "no JSON": b"{" * 20_000,
    "CloudEvent": cloud_event({"text": "x" * 20_000}),
    "CloudEvents": b"".join(cloud_event({"n": number}) + message({"n": number}) for number in range(200)),
    "no CloudEvent": cloud_event("x" * 20_000),
    "names twice": b'{"method":"E_X","params":{"k":1,"k":"%b"}}' % (b"x" * 20_000),
}


async def outcome(data, is_large):
    """Return the reply, the payloads of the events and the counters of *data*, and what ran on the loop."""
    on_the_loop = set()
    async with Recorder({"source": Source()}) as recorder:
        recorder.register_event("E_X")
        recorder.interface.register_event("E_STRICT", {"n": int, "instance_name": str})
        intake = recorder.plugin("source").intake
        sys.setprofile(lambda frame, *_: on_the_loop.add((frame.f_globals.get("__name__"), frame.f_code.co_name)))
        try:
            reply = await taken_large(intake, data) if is_large else taken(intake, data)
        finally:
            sys.setprofile(None)
        payloads = []
        while len(payloads) < intake.raised:
            payloads += [event.payload for event in await recorder.raised()]
    return (reply, payloads, intake.received, intake.raised, dict(intake.refused), intake.unparsed), on_the_loop


@pytest.mark.parametrize("data", LARGE.values(), ids=LARGE)
async def test_a_large_message_is_read_beside_the_loop(data):
    """Its events, its replies and the counters are those of a small message; the loop reads and encodes nothing."""
    small, on_the_loop = await outcome(data, is_large=False)
    assert ("evframe_wire.reading", "read") in on_the_loop
    large, on_the_loop = await outcome(data, is_large=True)
    assert large == small
    readers = {each for each in on_the_loop if each[0] in {"evframe_wire.reading", "evframe_wire.messages"}}
    assert readers <= {("evframe_wire.messages", "reply")}
    assert ("evframe.events.event", "snapshot") not in on_the_loop


async def test_whatever_goes_wrong_is_counted():
    """An error of one message ends nothing: it is counted, a request is answered with it, and the next one is taken."""
    one, raised = intake()
    raised.raise_event = lambda name, params: int("one")
    assert taken(one, message(id=1)) == (b'{"jsonrpc":"2.0","error":{"code":-32603,"message":"Internal error"},"id":1}')
    del raised.raise_event
    assert taken(one, message(id=2)) == b'{"jsonrpc":"2.0","result":"OK","id":2}'
    assert (one.received, one.raised, one.refused) == (2, 1, {"error": 1})
