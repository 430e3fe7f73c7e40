"""Many filters: what an index finds is what each filter says for itself, and what it costs."""

from collections import Counter

import pytest
from call_counts import count_calls
from evframe_cesql import Index, compile_filter
from hypothesis import given, settings
from hypothesis import strategies as st

TEXTS = [
    *(f"a = {literal}" for literal in ("'x'", "'1'", "'true'", "1", "0", "TRUE", "FALSE", "' 1'")),
    *(f"event = {literal}" for literal in ("'E_ONE'", "'E_TWO'", "1")),
    "a = 'x' AND b > 1",
    "a = 1 AND b > 1",
    "a = 'x' AND missing = 2",
    "b = 'x' AND a = 'x'",
    "a = 'x' OR b > 1",
    "a != 'x'",
    "b > 1",
    "EXISTS c",
    "TRUE",
]
VALUES = st.sampled_from(["x", "1", "true", "TRUE", "", 0, 1, 2, True, False, None, 1.0, b"x", 2**64, ["x"]])
PARAMS = st.fixed_dictionaries({}, optional={"a": VALUES, "b": VALUES, "c": VALUES, "event": VALUES})
CHANGES = st.lists(st.tuples(st.integers(0, 9), st.sampled_from([*TEXTS, None])), max_size=30)


@settings(max_examples=300, deadline=None)
@given(CHANGES, PARAMS, st.sampled_from(["E_ONE", "1"]))
def test_an_index_finds_what_each_filter_says(changes, params, event):
    """After any additions, replacements and removals, the keys found are those whose filters match one by one."""
    index, filters = Index(), {}
    for key, text in changes:
        if text is None:
            index.remove(key)
            filters.pop(key, None)
        else:
            filters[key] = compile_filter(text)
            index.add(key, filters[key])

    found = index.matching(params, event)

    assert Counter(found) == Counter(key for key, compiled in filters.items() if compiled.matches(params, event))
    assert len(index) == len(filters)
    assert all(key in index for key in filters)
    for key in filters:
        index.remove(key)
    assert (len(index), index.matching(params, event)) == (0, [])
    assert not index._tables
    assert not index._texts
    assert not index._others


@pytest.mark.parametrize("more", ["", " AND code > 5"])
def test_ten_thousand_equalities_are_one_look_up(calls, more):
    """Filters with another value of one parameter cost an event nothing, however many there are."""
    size = 10_000
    index = Index()
    costs = []
    for number in range(size):
        index.add(number, compile_filter(f"callid = 'call-{number}'{more}"))
        if number in {9, size - 1}:
            costs.append(calls(index.matching, {"callid": "call-5", "code": 6}, "E_TEST"))

    assert costs[0] == costs[1]
    assert costs[0][1] == [5]
    assert costs[0][0] <= 15


def test_equal_texts_are_evaluated_once(calls):
    """A thousand keys with one text cost one evaluation."""
    index = Index()
    for number in range(1_000):
        index.add(number, compile_filter("code > 5"))

    count, found = calls(index.matching, {"code": 6}, "E_TEST")

    assert sorted(found) == list(range(1_000))
    assert count <= 10


def test_an_equality_finds_what_the_cast_finds():
    """A literal of each type is looked up with the parameter as that type, as the comparison casts it."""
    index = Index()
    for literal in ("'5'", "5", "'true'", "TRUE"):
        index.add(literal, compile_filter(f"a = {literal}"))

    assert set(index.matching({"a": 5}, "E_TEST")) == {"'5'", "5", "TRUE"}
    assert set(index.matching({"a": "+5"}, "E_TEST")) == {"5"}
    assert set(index.matching({"a": True}, "E_TEST")) == {"'true'", "TRUE"}
    assert index.matching({"a": None}, "E_TEST") == []
    assert index.matching({}, "E_TEST") == []


def test_a_missing_parameter_costs_an_index_one_look_up():
    """Each name that only a filter has costs a look-up, and no error is made for it."""
    counts = []
    for names in (1, 101):
        index = Index()
        for number in range(names):
            index.add(number, compile_filter(f"b{number} = 'x'"))
        calls, found = count_calls(index.matching, {"a": 1}, "E_TEST")
        assert found == []
        counts.append(calls)
    assert counts[1] - counts[0] <= 100
