"""Text from outside, as it may stand on a terminal, in a log or in an error."""

import json

import pytest
from evframe_wire.visible import brief, visible, visible_json, visible_lines
from hypothesis import given
from hypothesis import strategies as st


class Broken:
    def __repr__(self):
        raise ValueError("broken")


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é😀 text", "plain é😀 text"),
        ("a\x1b[2J\r\nb\t\x7f\x85", r"a\x1b[2J\r\nb\t\x7f\x85"),
        ("\u202eevil\u2066\u200b", r"\u202eevil\u2066\u200b"),
        ("\udcff\ud800\U000e0001", r"\udcff\ud800\U000e0001"),
    ],
)
def test_escapes(text, shown):
    """What a terminal would obey or hide is escaped; what can be read stays."""
    assert visible(text) == shown


@given(st.text(st.characters()))
def test_any_text_is_one_line(text):
    """Whatever the text, it can be printed on one line."""
    assert visible(text).isprintable()


@given(st.lists(st.text(st.characters()) | st.dictionaries(st.text(st.characters()), st.text(st.characters()))))
def test_json_keeps_its_value(value):
    """JSON text is escaped as JSON, and has the same value."""
    shown = visible_json(json.dumps(value, ensure_ascii=False, indent=1))

    assert shown.replace("\n", "").isprintable()
    assert json.loads(shown) == value


def test_lines_from_outside_are_indented():
    """A line that a text brings along cannot pass for one of the program's."""
    assert visible_lines("one\n2026-01-01 INFO forged\x1b") == "one\n  2026-01-01 INFO forged\\x1b"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "'a'"),
        ({"a": [1, None]}, "{'a': [1, None]}"),
        (10**5000, "<int of 16610 bits>"),
        (Broken(), None),
        ([Broken()], None),
        ("\u202e" * 100_000, None),
        (b"\x1b" * 100_000, None),
        (list(range(100_000)), None),
        (dict.fromkeys(range(100_000)), None),
        ({"a" * 10_000: "b" * 10_000}, None),
        (type("Long", (), {"__repr__": lambda _: "x\n" * 100_000})(), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_brief(value, shown):
    """A value in an error is cut off, whatever it is, and never raises another error."""
    text = brief(value)

    assert shown in {None, text}
    assert len(text) <= 1000
    assert text.isprintable()


def test_brief_of_a_deep_value():
    """A value is cut off before its depth costs anything."""
    assert brief(deep(100_000)) == "[[[...]]]"
