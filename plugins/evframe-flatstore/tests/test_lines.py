"""Lines: the quick way and the careful one agree."""

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
