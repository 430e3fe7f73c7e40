"""Answers for people, in the width of a terminal."""

import json

import pytest
from evframe_client.commands.layout import lay_out
from hypothesis import given
from hypothesis import strategies as st

STATUS = {
    "Members": [{"name": "one", "partitions": list(range(64))}],
    "Partitions": [{"partition": number, "owner": "one", "lag_frames": 0} for number in range(64)],
    "Lost": {},
}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.integers(1, 200))
def test_it_is_the_same_value(value, width):
    """Line breaks are between values alone."""
    assert json.loads(lay_out(value, width)) == value


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_status_with_many_partitions_is_short(width):
    """Each row of a table has a line, and numbers fill theirs."""
    lines = lay_out(STATUS, width).splitlines()
    assert max(map(len, lines)) <= width
    assert '        {"partition": 7, "owner": "one", "lag_frames": 0},' in lines
    assert len(lines) < 64 + 20
