"""The commands of the management interface, asked without any way between."""

import json
from contextlib import asynccontextmanager
from contextvars import ContextVar, copy_context
from importlib import metadata

import pytest
from evframe_mi.dispatcher import unsendable
from evframe_mi.printing import pretty
from evframe_mi.testing import ManagementContract, management
from evframe_mi.traffic import Traffic

from evframe import Parameter
from evframe.exceptions import Unavailable
from evframe.plugins.commands import Command
from evframe.testing import until


def ask(management, method, params=None):
    request = {"jsonrpc": "2.0", "id": "1", "method": method}
    if params is not None:
        request["params"] = params
    return json.loads(management.handle(json.dumps(request).encode()))


class TestDispatcher(ManagementContract):
    """The table, without a plugin."""

    def plugin(self):
        return object()

    @asynccontextmanager
    async def travel(self, events):
        async def ask(request):
            return management(events).handle(request)

        yield ask


def test_text_after_the_request(events):
    """What follows the first value is ignored."""
    answer = json.loads(management(events).handle(b'{"jsonrpc":"2.0","method":"pwd","id":1} trailing'))
    assert "result" in answer


def test_raise_reaches_declared_types(events):
    """Text stands for a number where the event declares one; what does not fit is named."""
    events.register_event("E_TYPED", {"ip": str, "hits": int})
    events.subscribe_event("E_TYPED", "memory:a")

    assert ask(management(events), "raise_event", ["E_TYPED", ["1.2.3.4", "7"]])["result"] == "OK"
    error = ask(management(events), "raise_event", ["E_TYPED", {"ip": "1.2.3.4", "hits": "many"}])["error"]
    assert (error["code"], error["message"]) == (400, "Bad Params")
    assert "'hits'" in error["data"]


def test_events_are_described(events):
    """Each event has its declaration, if it has one, and how often it was raised."""
    params = {"caller": str, "seconds": Parameter(int, optional=True, summary="Of the call.")}
    events.register_event("E_TYPED", params, summary="A call has ended.", enforced=False)
    described = ask(management(events), "evi:describe")["result"]["Events"]
    one = ask(management(events), "evi:describe", ["E_TYPED"])["result"]["Event"]

    assert described == [{"name": "E_A", "id": 0, "raised": 0}, {"name": "E_B", "id": 1, "raised": 0}, one]
    assert one == {
        "name": "E_TYPED",
        "id": 2,
        "raised": 0,
        "summary": "A call has ended.",
        "enforced": False,
        "params": [
            {"name": "caller", "type": "str", "optional": False, "summary": ""},
            {"name": "seconds", "type": "int", "optional": True, "summary": "Of the call."},
        ],
    }
    assert ask(management(events), "evi:describe", ["E_NONE"])["error"]["code"] == 404


async def test_statistics(events, memory):
    """The counters of every subscriber add up."""
    events.subscribe_event("E_A", "memory:a")
    async with events:
        await events.raise_event_and_wait("E_A")
    statistics = ask(management(events), "evi:statistics")["result"]

    assert statistics["Subscribers"][0].pop("since") >= 0
    assert statistics["Events"][0] == {"name": "E_A", "id": 0, "raised": 1}
    assert statistics["Subscribers"] == [
        {
            "socket": "memory:a",
            "raised": 1,
            "delivered": 1,
            "failed": 0,
            "reasons": {},
            "depth": 0,
            "state": "connected",
        }
    ]
    assert statistics["Ended"] == {"raised": 0, "delivered": 0, "failed": 0, "reasons": {}, "depth": 0}


async def test_age_of_what_waits(events, memory):
    """A listed subscriber has the age of the first event that waits for it, as long as one waits."""

    def listed():
        return ask(management(events), "subscribers_list", ["E_A", "memory:a"])["result"]["Event"]["Subscriber"]

    def refuse(_):
        raise Unavailable("refused")

    memory.when("a", refuse)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        assert "oldest" not in listed()
        events.raise_event("E_A")
        await until(lambda: listed().get("away") == "refused" and "oldest" in listed())
        first = listed()
        assert first["depth"] == 1
        await until(lambda: listed().get("oldest", 0) > first["oldest"] >= 0)


def test_pretty():
    """One member per line, a tab after the colon, items of arrays in one line."""
    assert pretty(b'{"jsonrpc":"2.0","result":[[1,"a"],2],"id":"1"}') == (
        b'{\n\t"jsonrpc":\t"2.0",\n\t"result":\t[[1, "a"], 2],\n\t"id":\t"1"\n}'
    )


def test_unsendable():
    """What cannot be carried becomes an error with the same id, unless that is what is too long."""
    error = b'{"jsonrpc":"2.0","error":{"code":-32000,"message":"Server error","data":"Reply of %d bytes, the most is 200"},"id":%b}'
    for request_id, kept in [(b"7", b"7"), (b'"a"', b'"a"'), (b'"%b"' % (b"x" * 300), b"null")]:
        reply = b'{"jsonrpc":"2.0","result":"%b","id":%b}' % (b"x" * 300, request_id)
        assert unsendable(reply, 200) == error % (len(reply), kept)
    assert json.loads(unsendable(b"[1]", 200))["id"] is None


def test_traffic(caplog):
    """Everything is counted, and what goes wrong is said once in a while."""
    traffic = Traffic("mi_test", "requests", "lost")
    for _ in range(3):
        traffic.count("lost")
        traffic.warn("a reply is lost", client="x")

    assert traffic.command.name == "mi_test:counters"
    assert traffic.command.run({}) == {"requests": 0, "lost": 3}
    assert [(record.name, record.message, record.client) for record in caplog.records] == [
        ("evframe.mi-test", "a reply is lost", "x")
    ]


async def test_a_listing_says_how_many_events_wait(events, memory):
    """The listing of a subscriber has the number of events that wait for it, and none while there are none."""

    def is_away(_):
        raise Unavailable("refused")

    def listed():
        return ask(management(events), "subscribers_list", ["E_A", "memory:a"])["result"]["Event"]["Subscriber"]

    memory.when("a", is_away)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        assert "depth" not in listed()
        events.raise_event("E_A")
        events.raise_event("E_A")
        assert listed()["depth"] == 2


async def test_a_subscriber_that_is_away_says_why(events, memory):
    """Listings and statistics have the reason why a subscriber cannot be reached, and nothing once it can."""

    def is_away(_):
        raise Unavailable("unresolved")

    def away():
        listed = ask(management(events), "subscribers_list", ["E_A", "memory:a"])["result"]["Event"]["Subscriber"]
        (counted,) = ask(management(events), "evi:statistics")["result"]["Subscribers"]
        return listed.get("away"), counted.get("away")

    memory.when("a", is_away)
    events.subscribe_event("E_A", "memory:a")
    async with events:
        assert away() == (None, None)
        events.raise_event("E_A")
        await until(lambda: events.statistics[0].away)
        assert away() == ("unresolved", "unresolved")
        memory.when("a", None)
        await until(lambda: not events.statistics[0].depth)
        assert away() == (None, None)


def test_raises_that_are_nested_too_deep(events, caplog):
    """Each of a batch has its error, or is passed over when it is a notification, and the log stays short."""
    events.subscribe_event("E_A", "memory:a")
    deep = "[" * 600 + "]" * 600
    for form in ('{"event":"E_A","params":{"v":%s}}', '{"event":"E_A","json":%s}', '["E_A",{"v":%s}]'):
        request = '{"jsonrpc":"2.0","method":"raise_event","params":%s%s}'
        notification, call = (request % (form % deep, more) for more in ("", ',"id":1'))
        assert management(events).handle(notification.encode()) is None
        batch = f"[{','.join([notification] * 5 + [call] * 3)}]"
        answers = json.loads(management(events).handle(batch.encode()))
        assert [answer["error"]["message"] for answer in answers] == ["Bad Params"] * 3
        assert all("expected at most 254 levels" in answer["error"]["data"] for answer in answers)
    assert not caplog.records
    assert events.statistics[0].raised == 0


def test_command_that_fails_is_logged_once_in_a_while(events, caplog):
    """A client cannot fill the log with a command that raises, however often it calls it."""
    events.commands.add(Command("test:broken", ((),), lambda _: 1 // 0))
    for _ in range(100):
        assert ask(management(events), "test:broken")["error"]["code"] == -32000
    assert [record.message for record in caplog.records] == ["a management command raised an error"]


def test_deep_requests_are_answered(events):
    """A request that is nested deeper than any limit is an error of the protocol, whichever part of it is."""
    for levels in (250, 900, 990):
        deep = "[" * levels + "]" * levels
        for request in (f'{{"jsonrpc":"2.0","id":{deep},"method":"pwd"}}', f'{{"x":{deep},"id":7}}', f"[{deep}]"):
            answer = json.loads(management(events).handle(request.encode()))
            assert (answer[0] if isinstance(answer, list) else answer)["error"]["code"] == -32600
    for levels in (1001, 100_000):
        deep = '{"a":' * levels + "1" + "}" * levels
        assert json.loads(management(events).handle(deep.encode()))["error"]["code"] == -32700


def test_bad_requests_are_one_line_of_the_log(events, caplog):
    """Hundreds of requests that are wrong in the same way write a line at most, whatever is wrong."""
    events.subscribe_event("E_A", "memory:a")
    deep = "[" * 600 + "]" * 600
    for method, params in [
        ("raise_event", f'{{"event":"E_A","params":{{"v":{deep}}}}}'),
        ("raise_event", f'{{"event":"E_A","json":{deep}}}'),
        ("raise_event", '["E_A",null]'),
        ("raise_event", '["E_NOPE"]'),
        ("event_subscribe", '["E_NOPE","memory:a"]'),
        ("event_subscribe", '["E_A","memory:"]'),
        ("event_subscribe", '["E_A","nosuch:a"]'),
        ("event_subscribe", '["E_A","udp"]'),
        ("nosuch", "[]"),
        ("pwd", "[1]"),
    ]:
        caplog.clear()
        request = f'{{"jsonrpc":"2.0","method":"{method}","params":{params}}}'
        assert management(events).handle(f"[{','.join([request] * 800)}]".encode()) is None
        assert len(caplog.records) <= 1, (method, params)
        assert not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-" + "9" * 4000, "1e400", "1" * 5000, "-0", "1.5e308"])
def test_any_number_may_stand_for_text(events, caplog, number):
    """A number of any size in the place of a text is text or an error of the protocol, never a traceback."""
    for command in [*events.commands]:
        for recipe in (*command.recipes, *command.named):
            members = ",".join(f'"{name}":{number}' for name in recipe)
            request = f'{{"jsonrpc":"2.0","id":1,"method":"{command.name}","params":{{{members}}}}}'
            answer = json.loads(management(events).handle(request.encode()))
            assert answer.get("error", {}).get("code") != -32000, (command.name, recipe)
    assert not any(record.exc_info for record in caplog.records)


def test_version_with_the_revision(events):
    """`version` takes `revision`, as in OpenSIPS 4.1, and names the version of evframe then."""
    plain = ask(management(events), "version")["result"]
    assert ask(management(events), "core:version", {"revision": "1"})["result"] == {
        **plain,
        "Revision": f"evframe {metadata.version('evframe')}",
    }


def test_help_names_the_parameters(events):
    """The text of `help` ends with the parameters of the command, also for commands of other plugins."""
    events.commands.add(Command("x:y", ((), ("a", "b")), lambda _: "OK", named=(("c",),)))
    assert ask(management(events), "help", ["x:y"])["result"]["Help"].endswith("; parameters: none; a, b; c")
    assert ask(management(events), "help", ["event_subscribe"])["result"] == {
        "Help": "subscribes an event to the Event Interface; parameters: event, socket; event, socket, expire; by name also burst, dedup_s, max_age_s, only, rate, sample, where",
        "Exported by": "evi",
    }


@pytest.mark.parametrize("given", ["hello", "{bad", 7, ["x", None], [["x"]]])
def test_bad_params_of_the_original_have_no_data(events, given):
    """What OpenSIPS refuses with `400 Bad Params` has no `data` here either, also for an event with a declaration."""
    events.register_event("E_TYPED", {"ip": str})
    events.subscribe_event("E_TYPED", "memory:a")
    error = ask(management(events), "raise_event", ["E_TYPED", given])["error"]
    assert error == {"code": 400, "message": "Bad Params"}


@pytest.mark.parametrize("size", [10, 10_000])
async def test_the_context_of_a_request(events, size):
    """A request is run in its context, however long it is, and whether it is read beside the loop."""
    sender = ContextVar("sender", default=None)
    events.composition.commands.add(Command("first:sender", (("text",),), lambda _: sender.get()))
    context = copy_context()
    context.run(sender.set, "here")
    request = {"jsonrpc": "2.0", "id": 1, "method": "first:sender", "params": ["x" * size]}
    async with events:
        answer = await management(events).answer(json.dumps(request).encode(), "client", context=context)
    assert json.loads(answer)["result"] == "here"
