"""Texts with parameters of the event."""

import pytest
from evframe_wire.payload import ExactNumber

from evframe import Pairs
from evframe.events.event import EventRegistry
from evframe.plugin import Template, UnfitError, template_of


class Shown(int):
    """A number with a text of its own."""

    def __repr__(self):
        return "../x"


def event(params):
    return EventRegistry().register("E").snapshot(params, 0.0)


@pytest.mark.parametrize(
    ("text", "params", "made"),
    [
        ("calls.{caller}", {"caller": "a"}, "calls.a"),
        ("{a}{b}{a}", {"a": 1, "b": True}, "1true1"),
        ("{1}-{2}", ["x", 1.5], "x-1.5"),
        ("{1}", {"1": "named", "b": 2}, "named"),
        ("{2}", {"a": 1, "b": 2}, "2"),
        ("{a b.c}", {"a b.c": "x"}, "x"),
        ("{a}", Pairs([("a", "first"), ("a", "second")]), "first"),
        ("{{{a}}}", {"a": "x"}, "{x}}"),
        ("{{a}", {"a": "x"}, "{a}"),
        ("{a}", {"a": "{b}", "b": "x"}, "{b}"),
        ("{a}", {"a": b"\xff"}, "\udcff"),
        ("{a}", {"a": 2**70}, "1180591620717411303424"),
        ("{a}", {"a": 10**5000}, f"1{'0' * 5000}"),
        ("{a}", {"a": ExactNumber("1.50")}, "1.50"),
        ("{a}", {"a": Shown(3)}, "3"),
    ],
)
def test_texts(text, params, made):
    """Each parameter stands where its name does; two opening braces are one."""
    assert Template(text).text_of(event(params)) == made


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (None, "missing_parameter"),
        ({"b": 1}, "missing_parameter"),
        ({"a": None}, "missing_parameter"),
        ({"a": []}, "unfit_parameter"),
        ({"a": {}}, "unfit_parameter"),
    ],
)
def test_events_without_a_text(params, reason):
    """An event that lacks a parameter, or has it as a list or a table, has no text, and the reason says which."""
    with pytest.raises(UnfitError) as caught:
        Template("{a}").text_of(event(params))
    assert caught.value.reason == reason


@pytest.mark.parametrize("text", ["{", "a{b", "{}", "{{{", "{a{b}"])
def test_open_braces(text):
    """A brace that opens no parameter is an error that shows the text."""
    with pytest.raises(ValueError, match="expected a parameter in braces, or {{ for a brace, got"):
        template_of(text)


def test_texts_without_braces_are_none():
    """A text without a parameter needs no template, and keeps a closing brace."""
    assert template_of("a}b}}") is None
    assert Template("a{{b}").before == "a{b}"
    assert Template("a{x}b{y}").parameters == ("x", "y")
