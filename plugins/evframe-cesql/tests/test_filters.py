"""Filters: parameters of every type, errors with positions, equalities, and texts that are built to be slow."""

import inspect
import sys
from collections import OrderedDict
from enum import IntEnum, StrEnum

import pytest
from evframe_cesql import Filter, FilterError, compile_expression, compile_filter, positional
from evframe_cesql.compiler import MAX_STEPS, WIDTH
from evframe_wire.payload import UNSET, ExactNumber, Pairs

HIGHEST = 2**63 - 1


class Method(StrEnum):
    INVITE = "INVITE"


class Code(IntEnum):
    BUSY = 486


class Broken(dict):
    def items(self):
        raise KeyError


class Loud(str):
    __slots__ = ()

    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        ("text", "text"),
        (b"bytes", "bytes"),
        (bytearray(b"\xff"), "\udcff"),
        (7, 7),
        (True, True),
        (1.5, "1.5"),
        (ExactNumber("1.50"), "1.50"),
        ([1, "a", None], '[1,"a",null]'),
        ({"a": {"b": 1}}, '{"a":{"b":1}}'),
        ([2**64, ExactNumber("1.50"), b"a", UNSET], '[18446744073709551616,1.50,"a"]'),
        (("a", ("b",)), '["a",["b"]]'),
        (Pairs([("a", 1), ("a", 2)]), '{"a":1,"a":2}'),
        (Method.INVITE, "INVITE"),
        (Code.BUSY, 486),
        (Loud("quiet"), "quiet"),
        (HIGHEST, HIGHEST),
    ],
)
def test_a_parameter_is_a_string_an_integer_or_a_boolean(value, seen):
    """What has another type is its JSON text, as it is sent."""
    got = compile_expression("value").evaluate({"value": value}, "E_TEST")

    assert (got.value, type(got.value), got.error) == (seen, type(seen), None)


@pytest.mark.parametrize("params", [{}, {"value": None}, {"value": UNSET}])
def test_a_parameter_without_a_value_is_missing(params):
    """A missing parameter, None and an unset one are the error `missingAttribute` with the name, and do not exist."""
    error = compile_expression("value").evaluate(params, "E_TEST").error

    assert (error.kind, error.subject) == ("missingAttribute", "value")
    assert compile_filter("NOT EXISTS value").matches(params, "E_TEST")
    for text in ("value = ''", "value != ''", "NOT (value = '')", "value > 0", "value LIKE '%'", "TRUE AND value = ''"):
        assert not compile_filter(text).matches(params, "E_TEST")


@pytest.mark.parametrize(
    "value",
    [HIGHEST + 1, -HIGHEST - 2, pytest.param(10**50_000, id="long"), object(), [object()], Broken(a=1), ["\ud800"]],
    ids=lambda value: type(value).__name__,
)
def test_a_parameter_that_has_no_value_of_a_type_is_an_error(value):
    """An integer of more than 64 bits, or what cannot be sent, is a `cast` error, and exists."""
    for text in ("value", "value > 0", "value = 'a'", "value LIKE '%'", "value IN (1)"):
        assert compile_expression(text).evaluate({"value": value}, "E_TEST").error.kind == "cast"
    assert compile_filter("EXISTS value").matches({"value": value}, "E_TEST")


def test_the_name_of_the_event_is_no_parameter():
    """`event` is the name of the event, whatever parameters it has."""
    params = {"event": "a parameter"}

    for text in ("event = 'E_TEST'", "event LIKE 'E%'", "event IN ('E_TEST')", "EXISTS event", "LENGTH(event) = 6"):
        assert compile_filter(text).matches(params, "E_TEST"), text
    assert not compile_filter("event = 'a parameter'").matches(params, "E_TEST")
    assert compile_expression("event > 5").evaluate(params, "7").value is True


def test_parameters_without_names_are_numbered():
    """The parameters of an event without names are `p1`, `p2` and so on."""
    params = positional(["10.0.0.1", 5])

    assert params == {"p1": "10.0.0.1", "p2": 5}
    assert compile_filter("p1 LIKE '10.%' AND p2 = 5").matches(params, "E_TEST")


def test_names_have_letters_of_both_kinds_digits_and_underscores():
    """A name is compared with its capitals; words of the language and functions are not."""
    assert compile_filter("From_Tag2 = 'a' and Length(From_Tag2) = 1").matches({"From_Tag2": "a"}, "E_TEST")
    assert not compile_filter("from_tag2 = 'a'").matches({"From_Tag2": "a"}, "E_TEST")
    assert compile_filter("2nd = 'a'").matches({"2nd": "a"}, "E_TEST")


def test_a_filter_reads_any_mapping():
    """Parameters can be in any mapping."""
    assert compile_filter("a = 'b' AND c > 1").matches(OrderedDict(a="b", c=2), "E_TEST")


def test_integers_have_64_bits():
    """A calculation beyond 64 bits is a `math` error, and the lowest integer has no absolute value."""
    assert compile_expression(f"{HIGHEST}").evaluate({}, "E_TEST").value == HIGHEST
    assert compile_expression(f"-{HIGHEST + 1}").evaluate({}, "E_TEST").value == -HIGHEST - 1
    for text in (f"{HIGHEST} + 1", "n - 1", "n * 2", "-n", "ABS(n)", "n / -1"):
        got = compile_expression(text).evaluate({"n": -HIGHEST - 1}, "E_TEST")
        assert (got.value, got.error.kind) == (0, "math"), text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("-7 / 2", -3),
        ("7 / -2", -3),
        ("-7 / -2", 3),
        ("-7 % 2", -1),
        ("7 % -2", 1),
        ("-7 % -2", -1),
        ("3-1", 2),
        ("3 -1", 2),
    ],
)
def test_a_quotient_is_cut_off_towards_zero(text, value):
    """A remainder has the sign of the dividend; a sign after an operand is an operator."""
    assert compile_expression(text).evaluate({}, "E_TEST") == (value, None)


@pytest.mark.parametrize("value", ["", "+", "1_000", " 1", "1.0", "٣", "²", "0x1", "9" * 19, "0" * 64, "--1"])
def test_a_string_that_is_no_integer_is_a_cast_error(value):
    """Only the digits 0 to 9 and a sign are an integer, and no more than 64 bits of it."""
    assert compile_expression("INT(a)").evaluate({"a": value}, "E_TEST").error.kind == "cast"
    assert compile_filter("a > 5").evaluate({"a": value}, "E_TEST").error.kind == "cast"


def test_white_space_is_what_unicode_says():
    """TRIM takes the characters of the property White_Space, and no control characters."""
    white = "\t\n\v\f\r \x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000"

    assert compile_expression("TRIM(a)").evaluate({"a": f"{white}\x1c b\x1f{white}"}, "E_TEST").value == "\x1c b\x1f"


@pytest.mark.parametrize(
    ("text", "position", "problem"),
    [
        ("", 0, "got the end of the text"),
        ("a = ", 4, "expected a name, a literal, NOT, EXISTS, a function or a parenthesis, got the end of the text"),
        ("a = 'b", 4, "expected a closing quote"),
        ("a & b", 2, "expected a name, a literal or an operator"),
        ("a = 1)", 5, "expected an operator or the end of the text, got ')'"),
        ("a LIKE b", 7, "expected the pattern of LIKE as a string in quotes, got 'b'"),
        ("a NOT 5", 6, "expected LIKE or IN after NOT, got '5'"),
        ("a IN ()", 6, "expected a name"),
        ("a IN 5", 5, "expected a parenthesis with the elements of IN, got '5'"),
        ("EXISTS 5", 7, "expected a name after EXISTS, got '5'"),
        ("+a", 0, "expected a name"),
        ("a BETWEEN 1 AND 2", 2, "expected an operator or the end of the text, got 'BETWEEN'"),
        ("a '" + "b" * 4000 + "'", 2, "..."),
        ("TRUE AND FOO(1)", 9, "expected a function of CESQL 1.0, got 'FOO' with 1 arguments"),
        ("a = 9223372036854775808", 4, "expected an integer from -9223372036854775808 to 9223372036854775807"),
        ("a > 1" + "0" * 4000, 4, "expected an integer"),
        ("a + 1", 0, "expected an expression that is true or false, got an integer"),
        ("'true'", 0, "expected an expression that is true or false, got a string"),
        ("a = 'ä\x00' \x00", 9, "expected a name, a literal or an operator"),
    ],
)
def test_a_text_that_is_wrong_is_refused_with_its_place(text, position, problem):
    """The error has the position, and what is accepted there."""
    with pytest.raises(FilterError) as caught:
        compile_filter(text)

    assert caught.value.position == position
    assert str(caught.value).startswith(f"at character {position + 1}: expected ")
    assert problem in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("text", "equality", "whole"),
    [
        ("callid = 'a1'", ("callid", "a1"), True),
        ("(callid = 5)", ("callid", 5), True),
        ("callid = TRUE", ("callid", True), True),
        ("event = 'E_TEST'", ("event", "E_TEST"), True),
        ("callid = 'a1' AND code > 5 AND x = 'y'", ("callid", "a1"), False),
        ("(callid = 'a1' AND code > 5) AND x = 'y'", ("callid", "a1"), False),
        ("callid = 'a1' AND code > 5 OR x = 'y'", None, False),
        ("callid = 'a1' OR x = 'y'", None, False),
        ("callid = 'a1' XOR x = 'y'", None, False),
        ("code > 5 AND callid = 'a1'", None, False),
        ("'a1' = callid", None, False),
        ("callid != 'a1'", None, False),
        ("NOT (callid = 'a1')", None, False),
        ("callid = other", None, False),
    ],
)
def test_an_equality_is_what_has_to_be_true_first(text, equality, whole):
    """The equality of a filter is the comparison with a literal without which the whole is false."""
    compiled = compile_filter(text)

    assert (compiled.equality, compiled.is_equality) == (equality, whole)
    assert compiled.text == text
    assert repr(compiled) == f"compile_filter({text!r})"


@pytest.mark.parametrize(
    "text", ["NOT " * 32 + "a", "(" * 32 + "a" + ")" * 32, "BOOL(" * 32 + "a" + ")" * 32, "- " * 31 + "-1 = 1"]
)
def test_32_levels_are_accepted(text):
    """Signs, parentheses and functions are nested up to 32 levels."""
    assert isinstance(compile_filter(text), Filter)


@pytest.mark.parametrize(
    "text",
    [
        "NOT " * 33 + "a",
        "(" * 33 + "a" + ")" * 33,
        "BOOL(" * 33 + "a" + ")" * 33,
        "a IN (" * 33 + "a" + ")" * 33,
        "-" * 200 + "1",
        "(" * 256,
    ],
)
def test_more_levels_are_refused(text):
    """What is nested deeper is refused, before it can use up the stack."""
    with pytest.raises(FilterError, match="expected at most 32 levels"):
        compile_filter(text)


@pytest.mark.parametrize(
    "text",
    [
        "TRUE" + " AND TRUE" * 127,
        "a" + " LIKE '%'" * 100,
        "a" + " NOT IN ('b')" * 36,
        "(" * 30 + "a" + " LIKE '%' IN (TRUE))" * 30,
        "a OR a = a + a * (" * 25 + "a" + ")" * 25,
        "NOT " * 32 + "a",
    ],
)
def test_a_long_expression_needs_little_of_the_stack(text):
    """A text with as many operators as it can have is compiled and evaluated where 450 more calls fit in."""
    depth = len(inspect.stack(0))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 450)
    try:
        outcome = compile_expression(text).evaluate({"a": "1"}, "E_TEST")
    except FilterError as error:
        assert "steps" in str(error)
    else:
        assert isinstance(outcome.value, bool)
    finally:
        sys.setrecursionlimit(limit)


def test_filters_of_one_text_are_equal():
    """A filter is equal to another one of the same text, so that a changed configuration shows."""
    first, same, other = map(compile_filter, ("a = 1", "a = 1", "a = 2"))

    assert first == same
    assert hash(first) == hash(same)
    assert first != other
    assert first != "a = 1"


def test_long_texts_are_refused():
    """A text has at most 4,096 bytes and 256 tokens."""
    assert compile_filter("a = '" + "x" * 4090 + "'")
    for text in ("a = '" + "x" * 4091 + "'", "a = '" + "ä" * 2046 + "'", "\ud800" * 2000, " " * 10**6):
        with pytest.raises(FilterError, match="expected a text of at most 4096 bytes"):
            compile_filter(text)
    assert compile_expression("a" + " XOR a" * 50)
    with pytest.raises(FilterError, match="expected at most 256 names, literals and signs") as caught:
        compile_filter("a" + " = a" * 128)
    assert caught.value.position == 2 * 256


# Texts that are built to be slow, each with a number that makes it longer.
SLOW = {
    "comparisons": lambda n: " AND ".join(["s != 1"] * n),
    "calculations": lambda n: "s" + "+s" * n + " > 1",
    "booleans": lambda n: " XOR ".join(["b"] * n),
    "equal names": lambda n: " AND ".join(["x = x"] * n),
    "elements": lambda n: "n IN (" + ",".join(["s"] * n) + ")",
    "literals": lambda n: "x IN (" + ",".join(f"'{'a' * 9}{i}'" for i in range(n)) + ")",
    "longer and longer": lambda n: "CONCAT(" * min(n, 31) + "x" + ",x,x)" * min(n, 31) + " = x",
    "joined": lambda n: "CONCAT_WS(" + ",".join(["x"] * n) + ") LIKE '%aab%'",
    "capitals": lambda n: "UPPER(" * min(n, 31) + "u" + ")" * min(n, 31) + " = x",
    "more capitals": lambda n: " AND ".join(["LOWER(u) != 'a'"] * n),
    "searches": lambda n: " OR ".join(["x LIKE '%aaaaaaaaaaaaaaab%'"] * n),
    "long searches": lambda n: " OR ".join(["x LIKE '%b" + "a" * 59 + "%'"] * n),
    "searches with any character": lambda n: " OR ".join(["x LIKE '%a_b%'"] * n),
    "long searches with any character": lambda n: " OR ".join(["x LIKE '%" + "a_" * 25 + "b%'"] * n),
    "one search": lambda n: "x LIKE '" + "%a" * n * 8 + "%b'",
    "one pattern of any character": lambda n: "x LIKE '" + "a_" * n * 8 + "b%'",
    "any characters": lambda n: "x LIKE '" + "%_" * n * 8 + "b'",
}
WORST = {"x": "a" * WIDTH, "u": "\u0390" * WIDTH, "s": "9" * 18, "n": 5, "b": "true"}


@pytest.mark.parametrize("make", SLOW.values(), ids=SLOW)
def test_a_slow_text_is_within_the_bounds_or_refused(calls, make):
    """No text takes more steps than are accepted, calls more functions than it has steps, or is compiled without end."""
    accepted = 0
    for size in (*range(1, 32, 6), *range(32, 256, 24)):
        try:
            compiling, compiled = calls(compile_filter, make(size))
        except FilterError:
            continue
        accepted += 1
        running, _ = calls(compiled.matches, WORST, "E_TEST")
        assert compiled.steps <= MAX_STEPS
        assert running <= compiled.steps // 10 + 10
        assert compiling <= 20_000
    assert accepted


def test_a_pattern_is_never_taken_back(calls):
    """A value that almost matches takes the same few searches, however long it is, with many `%` and with many `_`."""
    for pattern in ("%a" * 20 + "%b", "%a_" * 10 + "%b", "%" * 500 + "b", "_%" * 15 + "b"):
        compiled = compile_filter(f"x LIKE '{pattern}'")
        few, many = (calls(compiled.matches, {"x": "a" * size}, "E_TEST")[0] for size in (1_000, 100_000))
        assert many == few <= 100
