"""The conformance tests of CESQL: expressions, events and expected values.

The facts are those of the TCK, folder `cesql/cesql_tck` of https://github.com/cloudevents/spec, and of its copy in
`sql/v2/test/tck` of https://github.com/cloudevents/sdk-go; those of the files exists_expression, in_expression,
case_sensitivity and parse_errors are those of the tests of the same names in `sql/src/test` of
https://github.com/cloudevents/sdk-java. All are under the Apache License 2.0, by the CloudEvents authors.
"""

import pytest
from evframe_cesql import FilterError, compile_expression, compile_filter

EVENT = {"specversion": "1.0", "id": "an id", "source": "https://localhost/source", "type": "a.type"}
MISSING = "missingAttribute"

# Expression and result; then, where there is one, the error, and the attributes of the event.
CASES = {
    "binary_comparison_operators": [
        ("TRUE = FALSE", False),
        ("FALSE = FALSE", True),
        ("1 = 2", False),
        ("2 = 2", True),
        ("'abc' = '123'", False),
        ("'abc' = 'abc'", True),
        ("missing = 2", False, MISSING),
        ("TRUE != FALSE", True),
        ("FALSE != FALSE", False),
        ("1 != 2", True),
        ("2 != 2", False),
        ("'abc' != '123'", True),
        ("'abc' != 'abc'", False),
        ("missing != 2", False, MISSING),
        ("TRUE <> FALSE", True),
        ("FALSE <> FALSE", False),
        ("1 <> 2", True),
        ("2 <> 2", False),
        ("'abc' <> '123'", True),
        ("'abc' <> 'abc'", False),
        ("missing <> 2", False, MISSING),
        ("2 <= 2", True),
        ("3 <= 2", False),
        ("1 < 2", True),
        ("2 < 2", False),
        ("2 >= 2", True),
        ("2 >= 3", False),
        ("2 > 1", True),
        ("2 > 2", False),
        ("missing <= 2", False, MISSING),
        ("true = 'TRUE'", False),
        ("'TRUE' = true", True),
    ],
    "binary_logical_operators": [
        ("FALSE AND FALSE", False),
        ("FALSE AND TRUE", False),
        ("TRUE AND FALSE", False),
        ("TRUE AND TRUE", True),
        ("false and (1 != 1 / 0)", False),
        ("true and (1 != 1 / 0)", False, "math"),
        ("FALSE OR FALSE", False),
        ("FALSE OR TRUE", True),
        ("TRUE OR FALSE", True),
        ("TRUE OR TRUE", True),
        ("true or (1 != 1 / 0)", True),
        ("false or (1 != 1 / 0)", False, "math"),
        ("FALSE XOR FALSE", False),
        ("FALSE XOR TRUE", True),
        ("TRUE XOR FALSE", True),
        ("TRUE XOR TRUE", False),
    ],
    "binary_math_operators": [
        ("4 * 2 + 4 / 2", 10),
        ("4 * (2 + 4) / 2", 12),
        ("5 / 3", 1),
        ("5 / 0", 0, "math"),
        ("5 % 2", 1),
        ("5 % 0", 0, "math"),
        ("missing / 0", 0, MISSING),
        ("missing % 0", 0, MISSING),
        ("4 + 1", 5),
        ("-4 + 1", -3),
        ("-4 + -1", -5),
        ("4 + -1", 3),
        ("4 - 1", 3),
        ("-4 - 1", -5),
        ("'5' + 3", 8),
        ("5 + '3'", 8),
        ("'5' + '3'", 8),
        ("5 + TRUE", 6),
    ],
    "case_sensitivity": [
        ("TRUE", True),
        ("true", True),
        ("tRuE", True),
        ("FALSE", False),
        ("false", False),
        ("FaLsE", False),
    ],
    "casting_functions": [
        ("INT('1')", 1),
        ("INT('-1')", -1),
        ("INT(1)", 1),
        ("INT(-1)", -1),
        ("INT(TRUE)", 1),
        ("INT(FALSE)", 0),
        ("INT('ABC')", 0, "cast"),
        ("BOOL('TRUE')", True),
        ('BOOL("false")', False),
        ("BOOL(TRUE)", True),
        ("BOOL(FALSE)", False),
        ("BOOL('ABC')", False, "cast"),
        ("BOOL(1)", True),
        ("BOOL(0)", False),
        ("BOOL(100)", True),
        ("BOOL(-50)", True),
        ("STRING(TRUE)", "true"),
        ("STRING(FALSE)", "false"),
        ("STRING(1)", "1"),
        ("STRING(-1)", "-1"),
        ('STRING("abc")', "abc"),
    ],
    "context_attributes_access": [
        ("id", "myId", None, {"id": "myId"}),
        ("subject", "mySubject", None, {"subject": "mySubject"}),
        ("subject", False, MISSING),
        ("mybool", True, None, {"mybool": True}),
        ("myint", 10, None, {"myint": 10}),
        ("myext", "my extension", None, {"myext": "my extension"}),
        ("source", "http://localhost/source", None, {"source": "http://localhost/source"}),
        ("time", "2018-04-26T14:48:09+02:00", None, {"time": "2018-04-26T14:48:09+02:00"}),
    ],
    "exists_expression": [
        ("EXISTS id", True),
        ("EXISTS time", True, None, {"time": "2018-04-26T14:48:09+02:00"}),
        ("EXISTS time", False),
        ("EXISTS myext", True, None, {"myext": 123}),
        ("EXISTS myext", False),
    ],
    "in_expression": [
        ("123 IN (1, 2, 3, 12, 13, 23, 123)", True),
        ("123 NOT IN (1, 2, 3, 12, 13, 23, 123)", False),
        ("'abc' IN ('abc', \"bcd\")", True),
        ("'aaa' IN ('abc', \"bcd\")", False),
        ("TRUE IN (TRUE, FALSE)", True),
        ("TRUE IN (FALSE)", False),
        ("source IN (myext, 'abc')", True, None, {"myext": EVENT["source"]}),
        ("source IN (id, 'https://localhost/source')", True),
        ("source IN (id, 'xyz')", False),
        ("'true' IN (TRUE, 'false')", True),
        ("'true' IN ('TRUE', 'false')", False),
        ("TRUE IN ('true', 'false')", True),
        ("'TRUE' IN (TRUE, 'false')", False),
        ("1 IN ('1', '2')", True),
        ("'1' IN (1, 2)", True),
    ],
    "integer_builtin_functions": [("ABS(10)", 10), ("ABS(-10)", 10), ("ABS(0)", 0)],
    "like_expression": [
        ("'abc' LIKE 'abc'", True),
        (r"'ab\c' LIKE 'ab\c'", True),
        ("'abc' NOT LIKE 'abc'", False),
        ("'abc' LIKE 'a%b%c'", True),
        ("'azbc' LIKE 'a%b%c'", True),
        ("'azzzbzzzc' LIKE 'a%b%c'", True),
        ("'a%b%c' LIKE 'a%b%c'", True),
        ("'ac' LIKE 'abc'", False),
        ("'' LIKE 'abc'", False),
        ("'.ab.cde.' LIKE '.%.%.'", True),
        ("'ab.cde' LIKE '.%.%.'", False),
        ("'abc' LIKE 'a_b_c'", False),
        ("'a_b_c' LIKE 'a_b_c'", True),
        ("'abzc' LIKE 'a_b_c'", False),
        ("'azbc' LIKE 'a_b_c'", False),
        ("'azbzc' LIKE 'a_b_c'", True),
        ("'.a.b.' LIKE '._._.'", True),
        ("'abcd.' LIKE '._._.'", False),
        (r"'a_b_c' LIKE 'a\_b\_c'", True),
        (r"'a_b_c' NOT LIKE 'a\_b\_c'", False),
        (r"'azbzc' LIKE 'a\_b\_c'", False),
        (r"'abc' LIKE 'a\_b\_c'", False),
        (r"'abc' LIKE 'a\%b\%c'", False),
        (r"'a%b%c' LIKE 'a\%b\%c'", True),
        (r"'azbzc' LIKE 'a\%b\%c'", False),
        (r"myext LIKE 'abc%123\%456\_d_f'", True, None, {"myext": "abc123123%456_dzf"}),
        (r"myext NOT LIKE 'abc%123\%456\_d_f'", False, None, {"myext": "abc123123%456_dzf"}),
        ("234 LIKE '23_'", True),
        ("2344 LIKE '23%'", True),
        ("2344 LIKE '23_'", False),
        ("TRUE LIKE 'tr%'", True),
        ("TRUE LIKE '%ue'", True),
        ("FALSE LIKE 'tr%'", False),
        ("FALSE LIKE 'fal%'", True),
    ],
    "literals": [
        ("TRUE", True),
        ("FALSE", False),
        ("0", 0),
        ("1", 1),
        ("'abc'", "abc"),
        ('"abc"', "abc"),
        ("'aBc'", "aBc"),
        ('"AbC"', "AbC"),
        ("'a\"b\\'c'", "a\"b'c"),
        ('"a\'b\\"c"', "a'b\"c"),
    ],
    "negate_operator": [
        ("-10", -10),
        ("--10", 10),
        ("-'10'", -10),
        ("--'10'", 10),
        ("-TRUE", -1),
        ("-missing", 0, MISSING),
    ],
    "not_operator": [
        ("NOT TRUE", False),
        ("NOT FALSE", True),
        ("NOT 'TRUE'", False),
        ("NOT 'FALSE'", True),
        ("NOT 10", False),
        ("NOT missing", False, MISSING),
    ],
    "spec_examples": [
        ("int(hop) < int(ttl) and int(hop) < 1000", True, None, {"hop": "5", "ttl": "10"}),
        ("INT(hop) < INT(ttl) AND INT(hop) < 1000", True, None, {"hop": "5", "ttl": "10"}),
        ("hop < ttl", True, None, {"hop": "5", "ttl": "10"}),
        ("sequence = 5", True, None, {"sequence": "5"}),
        ("sequence = 5", False, None, {"sequence": "6"}),
        ("firstname = 'Francesco' OR subject = 'Francesco'", True, None, {"subject": "Francesco", "firstname": "Doug"}),
        ("firstname = 'Francesco' OR subject = 'Francesco'", True, None, {"firstname": "Francesco", "subject": "Doug"}),
        (
            "(firstname = 'Francesco' AND lastname = 'Guardiani') OR subject = 'Francesco Guardiani'",
            True,
            None,
            {"subject": "Doug", "firstname": "Francesco", "lastname": "Guardiani"},
        ),
        (
            "(firstname = 'Francesco' AND lastname = 'Guardiani') OR subject = 'Francesco Guardiani'",
            True,
            None,
            {"subject": "Francesco Guardiani", "firstname": "Doug", "lastname": "Davis"},
        ),
        ("EXISTS subject", True, None, {"subject": "Francesco Guardiani"}),
        ("true AND (missingAttribute = '')", False, MISSING),
        ("missingattribute * 5", 0, MISSING),
        ("1 / missingAttribute", 0, MISSING),
        ('TRUE = "true" AND FALSE = "false"', True),
        ('TRUE = "TRUE" OR FALSE = "FALSE"', False),
    ],
    "string_builtin_functions": [
        ("LENGTH('abc')", 3),
        ("LENGTH('')", 0),
        ("LENGTH('2')", 1),
        ("LENGTH(TRUE)", 4),
        ("CONCAT('a', 'b', 'c')", "abc"),
        ("CONCAT()", ""),
        ("CONCAT('a')", "a"),
        ("CONCAT_WS(',', 'a', 'b', 'c')", "a,b,c"),
        ("CONCAT_WS(',')", ""),
        ("CONCAT_WS(',', 'a')", "a"),
        ("LOWER('ABC')", "abc"),
        ("LOWER('AbC')", "abc"),
        ("LOWER('abc')", "abc"),
        ("UPPER('ABC')", "ABC"),
        ("UPPER('AbC')", "ABC"),
        ("UPPER('abc')", "ABC"),
        ("TRIM('   a b c   ')", "a b c"),
        ("TRIM('   a b c')", "a b c"),
        ("TRIM('a b c   ')", "a b c"),
        ("TRIM('a b c')", "a b c"),
        ("LEFT('abc', 2)", "ab"),
        ("LEFT('abc', 10)", "abc"),
        ("LEFT('', 0)", ""),
        ("RIGHT('abc', 2)", "bc"),
        ("RIGHT('abc', 10)", "abc"),
        ("RIGHT('', 0)", ""),
        ("SUBSTRING('abcdef', 1)", "abcdef"),
        ("SUBSTRING('abcdef', 2)", "bcdef"),
        ("SUBSTRING('Quadratically', 5)", "ratically"),
        ("SUBSTRING('Sakila', -3)", "ila"),
        ("SUBSTRING('abcdef', 1, 6)", "abcdef"),
        ("SUBSTRING('abcdef', 2, 4)", "bcde"),
        ("SUBSTRING('Sakila', -5, 3)", "aki"),
        ("SUBSTRING('Quadratically', 0)", ""),
        ("SUBSTRING('Quadratically', 0, 1)", ""),
        ("SUBSTRING('abcdef', 10)", "", "functionEvaluation"),
        ("SUBSTRING('abcdef', -10)", "", "functionEvaluation"),
        ("SUBSTRING('abcdef', 10, 10)", "", "functionEvaluation"),
        ("SUBSTRING('abcdef', -10, 10)", "", "functionEvaluation"),
    ],
    "sub_expression": [("(TRUE)", True), ("4 * (2 + 3)", 20), ("(2 + 3) * 4", 20)],
    "subscriptions_api_recreations": [
        ("source LIKE 'https://%'", True, None, {"source": "https://example.com"}),
        ("source LIKE 'https://%'", False, None, {"source": "http://example.com"}),
        ("myext LIKE 'custom%'", True, None, {"myext": "customext"}),
        ("myext LIKE 'custom%'", False, MISSING),
        ("type like '%.error'", True, None, {"type": "com.github.error"}),
        ("type like '%.error'", False, None, {"type": "com.github.success"}),
        ("myext LIKE '%ext'", True, None, {"myext": "customext"}),
        ("myext LIKE '%ext'", False, MISSING),
        ("id = 'myId'", True, None, {"id": "myId"}),
        ("id = 'myId'", False, None, {"id": "notmyId"}),
        ("myext = 'customext'", True, None, {"myext": "customext"}),
        ("myext = 'customext'", False, MISSING),
        ("id LIKE 'my%' AND source LIKE '%.ca'", True, None, {"id": "myId", "source": "http://www.some-website.ca"}),
        ("id LIKE 'my%' AND source LIKE '%.ca'", False, None, {"id": "myId", "source": "http://www.some-website.com"}),
        (
            "myext LIKE 'custom%' AND type LIKE '%.error'",
            True,
            None,
            {"myext": "customext", "type": "com.github.error"},
        ),
        ("type LIKE 'example.%' AND myext LIKE 'custom%'", False, MISSING, {"type": "example.event.type"}),
        ("id LIKE 'my%' OR source LIKE '%.ca'", True, None, {"id": "myId", "source": "http://www.some-website.ca"}),
        ("id LIKE 'my%' OR source LIKE '%.ca'", True, None, {"id": "myId", "source": "http://www.some-website.com"}),
        ("id LIKE 'my%' OR source LIKE '%.ca'", True, None, {"id": "notmyId", "source": "http://www.some-website.ca"}),
        (
            "id LIKE 'my%' OR source LIKE '%.ca'",
            False,
            None,
            {"id": "notmyId", "source": "http://www.some-website.com"},
        ),
        ("id LIKE 'my%' OR myext LIKE '%ext'", False, MISSING, {"id": "notmyId"}),
    ],
}
NORMAL_FORMS = [
    (
        "(id = 'myId' AND type LIKE '%.success') OR (id = 'notmyId' AND source LIKE 'http://%' AND type LIKE '%.warning')",
        [
            ("myId", "example.event.success", "http://localhost.localdomain", True),
            ("notmyId", "example.event.warning", "http://localhost.localdomain", True),
            ("notmyId", "example.event.warning", "https://localhost.localdomain", False),
        ],
    ),
    (
        "(id = 'myId' OR type LIKE '%.success') AND (id = 'notmyId' OR source LIKE 'https://%' OR type LIKE '%.warning')",
        [
            ("myId", "example.event.warning", "http://localhost.localdomain", True),
            ("notmyId", "example.event.success", "http://localhost.localdomain", True),
            ("notmyId", "example.event.warning", "http://localhost.localdomain", False),
            ("myId", "example.event.success", "http://localhost.localdomain", False),
        ],
    ),
]
CASES["subscriptions_api_recreations"] += [
    (text, result, None, {"id": identity, "type": kind, "source": source})
    for text, events in NORMAL_FORMS
    for identity, kind, source, result in events
]
ROWS = [
    pytest.param(text, result, *(*rest, None, None)[:2], id=f"{file}-{text}")
    for file, rows in CASES.items()
    for text, result, *rest in rows
]


@pytest.mark.parametrize(("text", "result", "error", "overrides"), ROWS)
def test_conformance(text, result, error, overrides):
    """An expression of the conformance tests has the value and the error that they expect."""
    got = compile_expression(text).evaluate({**EVENT, **(overrides or {})}, "E_TEST")

    assert (got.value, type(got.value), got.error and got.error.kind) == (result, type(result), error)


@pytest.mark.parametrize(
    ("text", "kind", "position"),
    [
        ("ABC(", "parse", 4),
        ("x LIKE 123", "parse", 7),
        ("CONCAT_WS()", "missingFunction", 0),
        ("HASPREFIX('abcdef', 'ab')", "missingFunction", 0),
    ],
)
def test_an_error_that_a_text_always_has_is_reported_at_once(text, kind, position):
    """A text that cannot be parsed, or calls an unknown function, is refused with the position."""
    with pytest.raises(FilterError) as caught:
        compile_expression(text)

    assert (caught.value.kind, caught.value.position) == (kind, position)


@pytest.mark.parametrize("text", ["LEFT('abc', -2)", "RIGHT('abc', -2)"])
def test_an_evaluation_ends_at_its_first_error(text):
    """A function that errs yields the zero value: the mode that CESQL names fail fast, and recommends for filters."""
    value, error = compile_expression(text).evaluate({}, "E_TEST")

    assert (value, error.kind) == ("", "functionEvaluation")


@pytest.mark.parametrize(("text", "result", "error", "overrides"), ROWS)
def test_only_a_true_value_without_an_error_passes(text, result, error, overrides):
    """A filter matches if and only if its value is true and it has no error; a text of another type is refused."""
    params = {**EVENT, **(overrides or {})}
    kind = type(compile_expression(text).evaluate(params, "E_TEST").value)
    try:
        compiled = compile_filter(text)
    except FilterError:
        assert kind is not bool
    else:
        assert compiled.matches(params, "E_TEST") is (result is True and error is None)
