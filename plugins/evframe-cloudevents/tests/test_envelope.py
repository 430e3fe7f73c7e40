"""The envelope: every event is JSON that the SDK reads, whatever its name and its bytes are."""

import json
import math
import subprocess
import sys
import time

import pytest
from cloudevents.core.formats.json import JSONFormat
from evframe_cloudevents import Attributes, Envelope, in_batch
from evframe_cloudevents.moments import Moments
from evframe_wire.ids import id_of
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import bound

import evframe

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def event_of(params, name="E_TEST", at=None):
    return evframe.EventDefinition(0, name).snapshot(params, time.monotonic() if at is None else at)


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.text(max_size=9), VALUES, min_size=1, max_size=4) | st.none(),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=10),
    st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1),
)
def test_any_event_is_read_back(params, name, own_id):
    """Parameters, name and id are what the SDK reads; a control character, which no attribute has, is U+FFFD."""
    event = event_of(params, name)
    ids = None if own_id is None else [own_id]
    (text,) = Envelope("urn:a").structured([event], ids)
    found = JSONFormat().read(None, text)
    assert found.get_data() == params
    assert found.get_id() == (own_id or id_of(event))
    assert len(found.get_type()) == len(name)
    if name.isprintable():
        assert found.get_type() == name


def test_bytes_that_are_no_text():
    """Data have U+FFFD for bytes that are not UTF-8, and so has a name."""
    event = event_of({"a": b"\xff"}, b"E_\xfe".decode("utf-8", "surrogateescape"))
    found = json.loads(Envelope().structured([event])[0])
    assert (found["type"], found["data"]) == ("E_\ufffd", {"a": "\ufffd"})


def test_each_event_of_a_batch_has_its_own_attributes():
    """Events of several definitions, with and without parameters, keep their order in a batch."""
    first, second = evframe.EventDefinition(0, "E_A"), evframe.EventDefinition(1, "E_B")
    now = time.monotonic()
    raised = [
        definition.snapshot(params, now + number)
        for number, (definition, params) in enumerate([(first, [1]), (second, None), (first, None), (second, {"é": 2})])
    ]
    envelope = Envelope("urn:a", "x.")
    found = json.loads(in_batch(envelope.structured(raised)))
    assert [each["type"] for each in found] == ["x.E_A", "x.E_B", "x.E_A", "x.E_B"]
    assert [each.get("data") for each in found] == [[1], None, None, {"é": 2}]
    assert ["datacontenttype" in each for each in found] == [True, False, False, True]
    assert len({each["id"] for each in found}) == 4
    seconds = [each["time"][17:19] for each in found]
    assert len(set(seconds)) == 4


@pytest.mark.parametrize("params", [[1], None])
@pytest.mark.parametrize("mode", ["structured", "special", "binary"])
def test_events_of_the_same_time(mode, params):
    """On a machine with a coarse clock, no event passes for another attempt of the one before, which has its bytes."""
    envelope = Envelope()
    raised = [event_of(params, at=1.0) for _ in range(600)]
    if mode == "binary":
        ids = [headers["id"] for headers, _ in envelope.binary(Attributes("")).messages(raised)]
    else:
        carried = None if mode == "structured" else [{}] * 600
        ids = [json.loads(text)["id"] for text in envelope.structured(raised, carried=carried)]
    assert ids == [id_of(event) for event in raised]
    assert len(set(ids)) == 600


FORKING = """
import json, os, time
import evframe
from evframe_cloudevents import Attributes, Envelope

envelope, definition = Envelope(), evframe.EventDefinition(0, "E_TEST")
binary, now = envelope.binary(Attributes("")), time.monotonic()

def use():
    raised = [definition.snapshot([1], now) for _ in range(4)]
    ids = [json.loads(text)["id"] for text in envelope.structured(raised[:2])]
    ids += [headers["id"] for headers, _ in binary.messages(raised[2:])]
    os.write(1, (" ".join(ids) + " ").encode())

use()
pid = os.fork()
use()
if pid:
    os.waitpid(pid, 0)
os._exit(0)
"""


def test_what_is_made_once_does_not_outlive_a_fork():
    """An envelope that was used before a fork gives the events of both processes separate ids, in both modes."""
    done = subprocess.run(bound(sys.executable, "-c", FORKING), capture_output=True, text=True, timeout=30, check=True)
    ids = done.stdout.split()
    assert len(ids) == len(set(ids)) == 12


def test_an_attribute_has_no_noncharacters():
    """The specification forbids them as it does control characters, in each plane."""
    event = event_of([1], "E_\ufdd0\ufdef\ufffe\uffff\U0001fffe\U0010ffff\ufdcf\ufffd")
    found = json.loads(Envelope().structured([event])[0])
    assert found["type"] == "E_" + "\ufffd" * 6 + "\ufdcf\ufffd"


@pytest.mark.parametrize(
    ("host", "source"), [("a-1.example", "//a-1.example/evframe"), ("a b/%é\udcff", "//a%20b%2F%25%C3%A9%FF/evframe")]
)
def test_the_source_is_a_uri_reference(monkeypatch, host, source):
    """A machine may have a name that no URI has as it is."""
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert json.loads(Envelope().structured([event_of([1])])[0])["source"] == source


def test_the_time_is_that_of_the_raise():
    """The time is in UTC with milliseconds, and another attempt has the same one, and the same id."""
    envelope = Envelope()
    event = event_of([1], at=time.monotonic() - 3600)
    before = time.time() - 3600
    attempts = [JSONFormat().read(None, envelope.structured([event])[0]) for _ in range(3)]
    assert {(found.get_id(), found.get_time()) for found in attempts} == {
        (attempts[0].get_id(), attempts[0].get_time())
    }
    assert attempts[0].get_time().timestamp() == pytest.approx(before, abs=5)


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1e7))
def test_times_with_the_same_text(raised_at):
    """What is taken for the same millisecond has the text that it would have alone, whatever a float is rounded to."""
    moments = Moments()
    moments.of(2e7)  # the clocks are compared once
    since, until, text = moments.of(raised_at)
    assert {moments.of(at)[2] for at in (since, math.nextafter(until, 0))} == {text}
    assert until - since == pytest.approx(1e-3, abs=5e-6)


def test_events_of_several_names_and_times():
    """Whatever the order of names, times and attempts is, each event has its own attributes, in both modes."""
    envelope = Envelope("urn:a")
    definitions = [evframe.EventDefinition(number, f"E_{number}") for number in range(3)]
    now = time.monotonic()
    raised = [definitions[n % 3].snapshot([n], now - n * 7e-4 * (n % 5)) for n in range(600)]
    first = [json.loads(text) for text in envelope.structured(raised)]
    again = [json.loads(envelope.structured([event])[0]) for event in reversed(raised)]
    binary = envelope.binary(Attributes("")).messages(raised)
    assert again[::-1] == first
    assert [each["type"] for each in first] == [event.name for event in raised]
    assert [{**headers, "data": json.loads(data)} for headers, data in binary] == [
        {name: value for name, value in each.items() if name != "datacontenttype"} for each in first
    ]


def test_headers_have_the_names_of_the_protocol():
    """The binary mode has the attributes but the content type, each with the prefix, and encoded."""
    names = Attributes("ce_", str.upper)
    event = event_of([1])
    envelope = Envelope("urn:a", "x.")
    ((found, data),) = envelope.binary(names).messages([event], None, [{"traceparent": "p", "other": "o"}])
    assert data == b"[1]"
    assert found.pop("ce_time").endswith("Z")
    assert found == {
        "ce_specversion": "1.0",
        "ce_type": "X.E_TEST",
        "ce_source": "URN:A",
        "ce_id": id_of(event).upper(),
        "ce_traceparent": "P",
    }
    assert envelope.binary(Attributes("")).messages([event], ["7"])[0][0]["id"] == "7"
