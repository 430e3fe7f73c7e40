"""Random expressions against an evaluator that shares nothing with the compiler: it walks, and collects all errors."""

from fractions import Fraction

from evframe_cesql import FilterError, compile_expression, compile_filter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

TOP, BOTTOM = 2**63 - 1, -(2**63)
NAMES = ["a", "b", "c", "code", "none", "event", "p1"]
ZERO = {"str": "", "int": 0, "bool": False}
RANK = {"AND": 1, "OR": 1, "XOR": 1, "+": 3, "-": 3, "*": 4, "/": 4, "%": 4}
RANK |= dict.fromkeys(["=", "!=", "<>", "<", "<=", ">", ">="], 2)
UNARY, POSTFIX, ATOM = 6, 5, 7
PARAMETERS = {
    "LENGTH": ("str",),
    "UPPER": ("str",),
    "LOWER": ("str",),
    "TRIM": ("str",),
    "LEFT": ("str", "int"),
    "RIGHT": ("str", "int"),
    "SUBSTRING": ("str", "int", "int"),
    "ABS": ("int",),
    "INT": ("int",),
    "BOOL": ("bool",),
    "STRING": ("str",),
}


class Naive:
    """Evaluates a tree of tuples in the mode that continues after an error."""

    def __init__(self, params, event):
        self.params = params
        self.event = event
        self.errors = []

    def fail(self, kind, value):
        self.errors.append(kind)
        return value

    def cast(self, value, kind):
        if type(value).__name__ == kind:
            return value
        if kind == "str":
            return {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value:d}"
        if not isinstance(value, str):
            return value != 0 if kind == "bool" else 1 if value else 0
        if kind == "bool":
            return value.lower() == "true" if value.lower() in ("true", "false") else self.fail("cast", False)
        digits = value[1:] if value.startswith(("+", "-")) else value
        if not digits or set(digits) - set("0123456789") or len(digits) > 63:
            return self.fail("cast", 0)
        return int(value) if BOTTOM <= int(value) <= TOP else self.fail("cast", 0)

    def sized(self, value):
        return value if BOTTOM <= value <= TOP else self.fail("math", 0)

    def run(self, tree):
        before = len(self.errors)
        value = getattr(self, tree[0])(*tree[1:])
        return self.none() if value is None and len(self.errors) > before else value

    def none(self):
        return False

    def literal(self, value):
        return value

    def name(self, name):
        if name == "event":
            return self.event
        if self.params.get(name) is None:
            return self.fail("missingAttribute", None)
        value = self.params[name]
        if isinstance(value, int) and not BOTTOM <= value <= TOP:
            return self.fail("cast", None)
        return value

    def exists(self, name):
        return name == "event" or self.params.get(name) is not None

    def unary(self, operator, tree):
        value = self.run(tree)
        return not self.cast(value, "bool") if operator == "NOT" else self.sized(-self.cast(value, "int"))

    def binary(self, operator, left, right):
        x = self.run(left)
        if operator in ("AND", "OR"):
            x = self.cast(x, "bool")
            return x if x is (operator == "OR") else self.cast(self.run(right), "bool")
        if operator == "XOR":
            return self.cast(x, "bool") != self.cast(self.run(right), "bool")
        if operator in ("=", "!=", "<>"):
            y = self.run(right)
            return (self.cast(x, type(y).__name__) == y) == (operator == "=")
        return self.calculated(operator, self.cast(x, "int"), self.cast(self.run(right), "int"))

    def calculated(self, operator, x, y):
        if operator in ("<", "<=", ">", ">="):
            return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[operator]
        if operator in ("/", "%"):
            if y == 0:
                return self.fail("math", 0)
            quotient = int(Fraction(x, y))
            return self.sized(quotient if operator == "/" else x - y * quotient)
        return self.sized({"+": x + y, "-": x - y, "*": x * y}[operator])

    def like(self, tree, pattern):
        return like(self.cast(self.run(tree), "str"), pattern)

    def among(self, tree, elements):
        x = self.run(tree)
        return any(self.cast(self.run(element), type(x).__name__) == x for element in elements)

    def call(self, name, arguments):
        x, *rest = [self.cast(self.run(tree), kind) for tree, kind in zip(arguments, PARAMETERS[name], strict=False)]
        if name in ("INT", "BOOL", "STRING"):
            return x
        if name == "ABS":
            return self.sized(-x if x < 0 else x)
        if name in ("LEFT", "RIGHT"):
            count = min(rest[0], len(x))
            return (
                self.fail("functionEvaluation", x)
                if count < 0
                else x[:count]
                if name == "LEFT"
                else x[len(x) - count :]
            )
        if name == "SUBSTRING":
            position, *length = rest
            if position > len(x) or position < -len(x) or (length and length[0] < 0):
                return self.fail("functionEvaluation", "")
            start = (position or len(x) + 1) - 1 if position >= 0 else len(x) + position
            return "".join(x[index] for index in range(start, min(len(x), start + (length or [len(x)])[0])))
        return {"LENGTH": len(x), "UPPER": x.upper(), "LOWER": x.lower(), "TRIM": x.strip(" \t\n\r\v\f\x85\xa0")}[name]


def like(value, pattern):
    """Match by a table of all beginnings: slow, and evidently right."""
    items, index = [], 0
    while index < len(pattern):
        escaped = pattern[index] == "\\" and pattern[index + 1 : index + 2] in ("%", "_")
        index += escaped
        items.append((pattern[index], escaped))
        index += 1
    reached = {0}
    for character, escaped in items:
        if character == "%" and not escaped:
            reached = set(range(min(reached, default=len(value) + 1), len(value) + 1))
        else:
            single = character == "_" and not escaped
            reached = {at + 1 for at in reached if at < len(value) and (single or value[at] == character)}
    return len(value) in reached


def text(tree, least=0):
    """Write a tree with only those parentheses that the precedence of CESQL needs."""
    kind, *rest = tree
    match kind:
        case "literal":
            rank, written = ATOM, quoted(rest[0])
        case "name":
            rank, written = ATOM, rest[0]
        case "exists":
            rank, written = ATOM, f"exists {rest[0]}"
        case "unary":
            rank, written = UNARY, f"{rest[0]} {text(rest[1], UNARY)}"
        case "binary":
            rank = RANK[rest[0]]
            written = f"{text(rest[1], rank)} {rest[0].lower()} {text(rest[2], rank + 1)}"
        case "like":
            rank, written = POSTFIX, f"{text(rest[0], POSTFIX)} LIKE {quoted(rest[1])}"
        case "among":
            rank, written = POSTFIX, f"{text(rest[0], POSTFIX)} IN ({', '.join(map(text, rest[1]))})"
        case "call":
            rank, written = ATOM, f"{rest[0]}({','.join(map(text, rest[1]))})"
    return written if rank >= least else f"({written})"


def quoted(value):
    return "'" + value.replace("'", "\\'") + "'" if isinstance(value, str) else str(value)


WORDS = st.text("ab%_'Ä1-+ ", max_size=6) | st.sampled_from(
    ["true", "FALSE", "12", "-7", "+3", "9" * 19, "ß", " x\xa0"]
)
INTEGERS = st.integers(-20, 20) | st.sampled_from([TOP, BOTTOM])
LITERALS = st.tuples(st.just("literal"), WORDS | INTEGERS | st.booleans())
NAMED = st.tuples(st.just("name"), st.sampled_from(NAMES))


def larger(inner):
    return st.one_of(
        st.tuples(st.just("unary"), st.sampled_from(["NOT", "-"]), inner),
        st.tuples(st.just("binary"), st.sampled_from(sorted(RANK)), inner, inner),
        st.tuples(st.just("like"), inner, st.text("ab%_\\Ä1", max_size=6).filter(lambda each: not each.endswith("\\"))),
        st.tuples(st.just("among"), inner, st.lists(inner, min_size=1, max_size=3)),
        st.sampled_from(sorted(PARAMETERS)).flatmap(
            lambda name: st.tuples(st.just("call"), st.just(name), st.tuples(*[inner] * len(PARAMETERS[name])))
        ),
    )


TREES = st.recursive(LITERALS | NAMED | st.tuples(st.just("exists"), st.sampled_from(NAMES)), larger, max_leaves=12)
VALUES = WORDS | INTEGERS | st.booleans() | st.none() | st.just(2**64)
PARAMS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES))


@settings(max_examples=400, deadline=None)
@given(TREES, PARAMS)
def test_an_expression_is_what_a_walk_over_it_yields(tree, params):
    """The value without an error is that of the naive evaluator; with one, the error is one of its, and nothing passes."""
    naive = Naive(params, "E_TEST")
    expected = naive.run(tree)
    try:
        compiled = compile_expression(text(tree))
    except FilterError as error:
        assert "steps" in str(error), text(tree)
        assume(False)

    got = compiled.evaluate(params, "E_TEST")

    if naive.errors:
        assert got.error.kind in naive.errors, text(tree)
        assert got.value in ("", 0, False)
    else:
        assert (got.value, type(got.value), got.error) == (expected, type(expected), None), text(tree)
    assert compiled.matches(params, "E_TEST") is (not naive.errors and expected is True)


@settings(max_examples=300, deadline=None)
@given(st.text("ab\\%_", max_size=12), st.text("ab\\%_", max_size=12))
def test_like_is_what_a_table_of_all_beginnings_yields(pattern, value):
    """A pattern matches what it matches in every way of dividing the value."""
    assume(not pattern.endswith("\\"))

    assert compile_filter(f"a LIKE '{pattern}'").matches({"a": value}, "E_TEST") is like(value, pattern)
