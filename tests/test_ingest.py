"""Messages that become events."""

import logging

import pytest

import evframe
from evframe import hookimpl
from evframe.encoding import encode_params
from evframe.ingest import Availability, Intake, Rules, fate_of
from evframe.status import StatusRegistry
from evframe.testing import FakeClock, Recorder

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
        self.intake = Intake(context, "test", self.rules, self.clock)


def recorder(**options):
    return Recorder({"source": Source(**options)})


async def test_named_events():
    """A notification raises the event that it names, which is registered when nobody has."""
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
    """As in the original, where a notification is nothing of its own."""
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
    """A message that cannot become an event is counted, and told of in the log, but not each time."""
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


async def test_new_names_are_bounded():
    """Nobody outside can have names registered without end."""
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
