"""Random and mutated texts: each is refused with its place, or is a filter within the bounds.

EVFRAME_FUZZ_REQUESTS is the number of texts of either kind, a few hundred by default.
"""

import os
import random

import pytest
from evframe_cesql import FilterError, compile_expression
from evframe_cesql.compiler import MAX_STEPS

COUNT = int(os.environ.get("EVFRAME_FUZZ_REQUESTS", "1000"))
MAX_CALLS = 50_000  # of a compilation: less than five milliseconds
SEED = int(os.environ.get("EVFRAME_FUZZ_SEED", "1"))

SIGNS = "+ - * / % = != <> < <= > >= ( ) , AND OR XOR NOT LIKE EXISTS IN TRUE FALSE and like in"
NAMES = "a b code event p1 missing INT BOOL STRING LENGTH CONCAT CONCAT_WS LOWER UPPER TRIM LEFT RIGHT SUBSTRING ABS"
LITERALS = r"""0 1 -1 9223372036854775807 'a' "b" '%' 'a%_b%' '\%\_\'' '' 'true' '12'"""
WORDS = [*SIGNS.split(), *NAMES.split(), *LITERALS.split()]
CHARACTERS = [*"'\"\\%_()=<>!+-*/, \t\nabINOT019", "ä", "\u0390", "\x00", "\ud800", "\U0001f600", "\u2028", "٣", "½"]
SEEDS = [
    "ip LIKE '192.168.%' AND cseq > 1000",
    "callid = 'a1' AND (code >= 400 OR NOT EXISTS reason) AND method IN ('INVITE', 'BYE')",
    "LENGTH(CONCAT_WS('-', a, b, UPPER(SUBSTRING(code, 1, 2)))) % 3 = 1",
    "-ABS(INT(code) * 2 - 5) / (b + 1) != 0 XOR a NOT LIKE '%a_b%\\%'",
    "NOT (a IN (b, 1, TRUE, 'x') OR LEFT(a, -1) = RIGHT(b, 2)) AND event <> \"E_TEST\"",
    "a LIKE '" + "%a_" * 20 + "'",
    "(" * 30 + "a" + ")" * 30,
    " AND ".join(["a != b"] * 40),
]
PARAMS = [
    {},
    {"a": "a" * 128, "b": "true", "code": "12", "p1": 5},
    {"a": 5, "b": False, "code": 2**63 - 1, "p1": ["x", 1.5], "ip": "192.168.0.1", "cseq": 2000},
    {"a": "", "b": b"\xff", "code": 10**30, "p1": None, "ip": "\ud800", "cseq": "x"},
]


def random_text(draw):
    """Return words, characters or both, of a length that is sometimes above the bound."""
    if draw.random() < 0.3:
        return "".join(draw.choices(CHARACTERS, k=draw.choice((5, 30, 300, 5000))))
    words = draw.choices(WORDS, k=draw.choice((3, 7, 15, 60, 300)))
    return draw.choice((" ", "", " ", "\n")).join(words)


def mutated_text(draw):
    """Return a text that is right but for some places."""
    text = draw.choice(SEEDS)
    for _ in range(draw.choice((1, 1, 2, 5))):
        start = draw.randrange(len(text) + 1)
        end = min(len(text), start + draw.choice((0, 0, 1, 1, 5)))
        source = draw.choice((CHARACTERS, WORDS, [text[start : start + 40] * 3, " " + draw.choice(SEEDS) + " "]))
        text = text[:start] + draw.choice(["", *source]) + text[end:]
    return text


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("make", [random_text, mutated_text])
def test_any_text_is_refused_or_is_within_the_bounds(calls, make):
    """No text raises anything but a `FilterError` with its place, and none calls more functions than it has steps."""
    draw = random.Random(SEED)
    accepted = 0

    def compiled_or_error(text):
        try:
            return compile_expression(text)
        except FilterError as error:
            return error

    for number in range(COUNT):
        text = make(draw)
        about = SEED, number, text
        count, got = calls(compiled_or_error, text)
        assert count <= MAX_CALLS, about
        if isinstance(got, FilterError):
            assert 0 <= got.position <= len(text), about
            assert str(got).startswith(f"at character {got.position + 1}: expected "), about
            continue
        accepted += 1
        assert got.steps <= MAX_STEPS, about
        for params in PARAMS:
            count, matched = calls(got.matches, params, "E_TEST")
            value, error = got.evaluate(params, "E_TEST")
            assert count <= got.steps // 5 + 10, about
            assert matched is (value is True and error is None), about
    assert accepted > COUNT // 200
