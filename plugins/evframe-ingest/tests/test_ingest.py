"""Messages that become events."""

import asyncio
import json
import logging
import sys

import pytest
from evframe_ingest import Availability, QueueIntake, Rules, fate_of
from evframe_wire.encoding import encode_params
from hypothesis import given, settings
from hypothesis import strategies as st

import evframe
from evframe import hookimpl
from evframe.plugins.status import StatusRegistry
from evframe.testing import FakeClock, Recorder, until

NOTIFICATION = b'{"jsonrpc":"2.0","method":"%b","params":{"n":1}}'


class Source:
    """A plugin with an intake."""

    def __init__(self, clock=None, **rules):
        self.rules = Rules(**{"event": "E_BODY", "patterns": ["*"], "max_events": 10, **rules})
        self.clock = clock or FakeClock()

    @hookimpl
    def register_events(self, collector):
        collector.add("E_BODY", {"body": str, "key": evframe.Parameter(str, optional=True)})

    @hookimpl
    def loaded(self, context):
        self.intake = QueueIntake(context, "test", self.rules, self.clock)


def recorder(**options):
    return Recorder({"source": Source(**options)})


async def test_named_events():
    """A notification raises the event that it names, and registers the event if it is not registered."""
    async with recorder() as recording:
        recording.register_event("E_KNOWN")
        intake = recording.plugin("source").intake
        assert intake.take(NOTIFICATION % b"E_KNOWN")
        assert intake.take(NOTIFICATION % b"E_NEW")
        assert await recording.events() == [("E_KNOWN", {"n": 1})]
        assert recording.interface.event("E_NEW").raised == 1


@pytest.mark.parametrize("body", [b"", b"plain", b"\xff\x00 bytes", b'{"id":1,"result":"OK"}', "é".encode()])
async def test_other_messages(body):
    """Any other message is the parameter of one event, byte by byte."""
    async with recorder() as recording:
        recording.plugin("source").intake.take(body, None, {"key": "k"})
        (event,) = await recording.raised()
        text = body.decode("utf-8", "surrogateescape")
        assert event.params == {"body": text, "key": "k"}
        assert event.payload == b'{"jsonrpc":"2.0","method":"E_BODY","params":%b}' % encode_params(
            "E_BODY", {"body": body, "key": "k"}
        )


async def test_without_patterns_every_message_is_a_body():
    """Without patterns, a notification is a body like any other message, as in the original."""
    async with recorder(patterns=[]) as recording:
        body = NOTIFICATION % b"E_BODY"
        recording.plugin("source").intake.take(body)
        assert await recording.events() == [("E_BODY", {"body": body.decode()})]


@pytest.mark.parametrize(
    ("options", "body", "reason"),
    [
        ({"event": None}, b"plain", "no_event"),
        ({"patterns": ["E_CALL_*"]}, NOTIFICATION % b"E_OTHER", "not_allowed"),
        ({"max_events": 0}, NOTIFICATION % b"E_NEW", "too_many_events"),
        ({}, NOTIFICATION % (b"E" * 65), "name"),
        ({}, NOTIFICATION % b"", "name"),
        ({}, NOTIFICATION % b"E_BODY", "parameters"),
        ({}, b'{"jsonrpc":"2.0","method":"E_SURROGATE","params":["\\ud800"]}', "parameters"),
    ],
)
async def test_refused(options, body, reason, caplog):
    """A message that cannot become an event is counted, and logged at a limited rate."""
    async with recorder(**options, clock=(clock := FakeClock())) as recording:
        recording.register_event("E_SURROGATE")
        intake = recording.plugin("source").intake
        with caplog.at_level(logging.WARNING, "evframe.ingest"):
            assert not intake.take(body)
            assert not intake.take(body)
            assert len(caplog.records) == 1
            clock.advance(10)
            assert not intake.take(body)
            assert len(caplog.records) == 2
        assert intake.refused == {reason: 3}
        assert intake.raised == 0
        assert await recording.events() == []


async def test_whatever_goes_wrong_is_counted(monkeypatch, caplog):
    """A message whose handling raises any error is refused, and the next one is taken."""
    async with recorder() as recording:
        intake = recording.plugin("source").intake
        with monkeypatch.context() as patch:
            patch.setattr(recording.interface, "raise_event", lambda *_: int("one"))
            assert not intake.take(NOTIFICATION % b"E_NEW")
        assert intake.take(NOTIFICATION % b"E_NEW")
        assert (intake.refused, intake.raised) == ({"error": 1}, 1)
    assert "ValueError" in caplog.records[0].problem


async def test_new_names_are_bounded():
    """A sender outside cannot have names registered without limit."""
    async with recorder(max_events=3) as recording:
        intake = recording.plugin("source").intake
        for number in range(10):
            intake.take(NOTIFICATION % b"E_%d" % number)
            intake.take(NOTIFICATION % b"E_0")
        assert intake.raised == 3 + 10
        assert intake.refused == {"too_many_events": 7}
        assert len(list(recording.interface.events)) == 1 + 3


async def test_fate():
    """Only what was delivered everywhere counts as delivered, and what has no end as open."""
    assert fate_of(()) == "nobody"
    assert fate_of([None, None]) == "delivered"
    assert fate_of([None, "refused"]) == "failed"
    assert fate_of(["refused", "shutdown"]) == "open"


async def test_availability(caplog):
    """A change is in the status and its reports; the log has a new reason at once, and an old one every ten seconds."""
    clock, changes = FakeClock(), []
    statuses = StatusRegistry(changes.append).group("plugin")
    availability = Availability(statuses, "q", "amqp://broker/", clock)
    assert (availability.details, availability.consumed) == ("connecting", False)
    with caplog.at_level(logging.INFO, "evframe.ingest"):
        for reason in ("refused", "refused", "closed"):
            availability.ends(reason)
        clock.advance(10)
        availability.ends("closed")
        availability.begins()
        availability.ends("closed")

    assert [getattr(record, "reason", "") for record in caplog.records] == ["refused", "closed", "closed", "", "closed"]
    assert [report.text for report in statuses.find("q").reports] == ["refused", "closed", "consuming", "closed"]
    assert [change.status for change in changes] == [1, -1]


TEXTS = st.text(st.characters()) | st.sampled_from(["\ud83d", "E_KNOWN", "E_BODY", "\0", "E" * 70, "2.0"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
NOTIFICATIONS = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": TEXTS | st.sampled_from(["E_KNOWN", "E_BODY", "E_TYPED"])},
    optional={"params": VALUES | st.dictionaries(TEXTS, VALUES) | st.lists(VALUES), "id": VALUES},
)
DEEP = st.builds(
    lambda start, levels: NOTIFICATION.replace(b'{"n":1}', start * levels) % b"E_KNOWN",
    st.sampled_from([b"[", b'{"a":', b'{"a":1,"a":']),
    st.sampled_from([1, 200, 300, 999, 5000]),
)
MESSAGES = (
    st.binary()
    | NOTIFICATIONS.map(lambda message: json.dumps(message).encode())
    | NOTIFICATIONS.map(lambda message: json.dumps(message, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    | DEEP
    | st.integers(1, 60_000).map(lambda digits: NOTIFICATION.replace(b"1}", b"9" * digits + b"}") % b"E_KNOWN")
    | st.integers(1, 300).map(
        lambda levels: NOTIFICATION.replace(b'{"n":1}', b"[" * levels + b"]" * levels) % b"E_KNOWN"
    )
)


@pytest.mark.parametrize("with_outcome", [False, True])
async def test_no_message_stops_a_source(with_outcome):
    """Whatever a message holds, it is raised or refused, and the next one is raised."""
    async with recorder(max_events=5) as recording:
        interface = recording.interface
        interface.register_event("E_KNOWN")
        interface.register_event("E_TYPED", {"a": int})
        interface.subscribe_event("E_KNOWN", "memory:x")
        intake = recording.plugin("source").intake
        taken_ones = []

        @settings(max_examples=200, deadline=None)
        @given(MESSAGES)
        def take(body):
            outcomes = []
            before = intake.raised + intake.refused.total()
            taken = intake.take(body, outcomes.append if with_outcome else None)
            assert intake.raised + intake.refused.total() == before + 1
            taken_ones.append(taken)
            assert taken or not outcomes

        take()
        assert intake.take(NOTIFICATION % b"E_KNOWN")
        assert interface.event("E_KNOWN").raised


async def test_lone_surrogate_in_the_name_of_a_parameter():
    """Such a message is refused for its parameters, at the top and further in."""
    async with recorder() as recording:
        recording.interface.register_event("E_GOLD")
        recording.interface.subscribe_event("E_GOLD", "memory:x")
        intake = recording.plugin("source").intake
        for params in (b'{"\\ud83d":1}', b'{"a":{"\\ud83d":1}}', b'[{"\\ud83d":1}]'):
            assert not intake.take(b'{"jsonrpc":"2.0","method":"E_GOLD","params":%b}' % params)
        assert intake.refused == {"parameters": 3}


HOSTILE = {
    "deep": b"[" * 100 + b"]" * 100,
    "many names": b"{%b}" % b",".join(b'"n%d":{"a":1,"a":2}' % number for number in range(3000)),
    "long numbers": b"[%b]" % b",".join(b"1" * 400 for _ in range(100)),
}


async def taken(body, is_prepared):
    """Return the payloads of the events of a message, their outcomes and the counters, and what ran on the loop."""
    outcomes, on_the_loop = [], set()
    async with recorder(event=None, patterns=["E_*", "x*"]) as recording:
        recording.register_event("E_KNOWN")
        recording.interface.register_event("E_STRICT", {"n": int})
        intake = recording.plugin("source").intake
        sys.setprofile(lambda frame, *_: on_the_loop.add(frame.f_code.co_name))
        try:
            prepared = await intake.prepare(body) if is_prepared else None
            is_taken = intake.take(body, outcomes.append, prepared=prepared)
        finally:
            sys.setprofile(None)
        await until(lambda: len(outcomes) == is_taken)
        payloads = [event.payload for event in await recording.raised()] if is_taken else []
        return (payloads, outcomes, intake.raised, dict(intake.refused)), on_the_loop


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("E_KNOWN", {}),
        ("E_NEW", {}),
        ("E_STRICT", {"parameters": 1}),
        ("x" * 70, {"name": 1}),
        ("OTHER", {"not_allowed": 1}),
        (None, {"no_event": 1}),
    ],
)
@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
async def test_a_large_message_is_prepared_beside_the_loop(name, refused, value):
    """Its event, its outcome and the counters are those of a small message; the loop reads and encodes nothing."""
    text = b'{"jsonrpc":"2.0","method":"%b","params":{"v":%b}}' % ((name or "").encode(), value)
    body = text if name else b'{"x":%b}' % value
    small, on_the_loop = await taken(body, is_prepared=False)
    assert "_read" in on_the_loop
    large, on_the_loop = await taken(body, is_prepared=True)
    assert large == small
    assert large[3] == refused
    assert {"read_notification", "settle_params", "snapshot", "_read"}.isdisjoint(on_the_loop)


async def test_the_loop_turns_while_a_message_is_prepared():
    """The preparation of a large message takes many turns of the loop."""
    value = b"[%b]" % b",".join([HOSTILE["deep"]] * 1500)
    async with recorder() as recording:
        recording.register_event("E_DEEP")
        intake = recording.plugin("source").intake
        body = NOTIFICATION.replace(b"1}", value + b"}") % b"E_DEEP"
        preparing = asyncio.ensure_future(intake.prepare(body))
        turns = 0
        while not preparing.done():
            await asyncio.sleep(0)
            turns += 1
        assert intake.take(body, prepared=preparing.result())
        assert len(await recording.wait_for(1)) == 1
    assert turns > 5
