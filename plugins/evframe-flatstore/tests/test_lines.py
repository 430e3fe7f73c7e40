"""Lines: the quick way and the careful one agree."""

import pytest
from evframe_flatstore.lines import LineFormat
from hypothesis import given
from hypothesis import strategies as st

import evframe
from evframe.events.event import EventDefinition

VALUE = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.text(), max_size=2)
)
PARAMS = st.lists(VALUE, max_size=4) | st.dictionaries(st.text(), VALUE, max_size=4)


@given(st.lists(PARAMS, min_size=1, max_size=5), st.sampled_from([",", "::", "\t", "x", ""]), st.booleans())
def test_quick_is_careful(rows, delimiter, suppress):
    """A batch is what its lines are one by one, and has one line for each event."""
    definition = EventDefinition(0, "E_TEST")
    events = []
    for params in rows:
        try:
            events.append(definition.snapshot(params, 0.0))
        except evframe.ParameterError:
            continue  # a lone surrogate has no JSON form and is never raised
    lines = LineFormat(delimiter, suppress_name=suppress)
    text = lines.batch(events) if events else b""

    assert text == b"".join(map(lines.line, events))
    assert text.count(b"\n") == len(events)


EXACT = [
    (evframe.ExactNumber("1.50"), b"1.50"),
    (evframe.ExactNumber("1e400"), b"1e400"),
    ([evframe.ExactNumber("1.50"), {"n": evframe.ExactNumber("-1E400")}], b'[1.50;{"n":-1E400}]'),
    (10**5000, b"1" + b"0" * 5000),
    ([10**5000, -(2**70)], b"[1" + b"0" * 5000 + b";-1180591620717411303424]"),
    (evframe.Pairs([("a", 1), ("a", evframe.ExactNumber("2.50"))]), b'{"a":1;"a":2.50}'),
    ([evframe.Pairs([(None, 1), (None, b"\xff")])], b'[[1;"\xff"]]'),
    ([float("inf"), 1.5], b"[null;1.5]"),
    (float("nan"), b""),
]


@pytest.mark.parametrize(("value", "column"), EXACT, ids=range(len(EXACT)))
def test_numbers_are_written_as_they_were_sent(value, column):
    """A number has its digits, alone and within other values, and `Pairs` are objects."""
    event = EventDefinition(0, "E_TEST").snapshot([value], 0.0)
    assert LineFormat(",", ";").batch([event]) == b"E_TEST," + column + b"\n"
