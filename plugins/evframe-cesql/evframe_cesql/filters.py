"""Filters: texts that are compiled once and evaluated for each event."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from evframe_cesql.casting import ZERO, Value
from evframe_cesql.compiler import Compiler
from evframe_cesql.errors import EvaluationError, FilterError
from evframe_cesql.operations import Run
from evframe_cesql.parser import parse
from evframe_cesql.tree import Binary, Literal, Name, Node


class Outcome(NamedTuple):
    """What an evaluation yields: a value, and the error that ended it, None without one.

    With an error, the value is the zero value of the type of the expression: an empty string, 0 or False.
    """

    value: Value
    error: EvaluationError | None


class Filter:
    """A compiled text; `compile_filter` makes one. Two of one text are equal; threads may share one.

    Attributes:
        text: the text.
        equality: the name and the literal of a comparison `name = literal` that has to be true for the filter to match,
            None when the text does not begin with one.
        is_equality: whether that comparison is the whole filter.
        steps: the most steps of an evaluation for parameters of 128 characters, at most 10,000.
    """

    __slots__ = ("_run", "_zero", "equality", "is_equality", "steps", "text")

    def __init__(self, text: str, run: Run, zero: Value, steps: int, root: Node) -> None:
        self.text = text
        self.steps = steps
        self.equality = _leading_equality(root)
        self.is_equality = self.equality is not None and isinstance(root, Binary) and root.operator == "="
        self._run = run
        self._zero = zero

    def __eq__(self, other: object) -> bool:
        return self.text == other.text if isinstance(other, Filter) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"compile_filter({self.text!r})"

    def matches(self, params: Mapping[str, Any], event: str) -> bool:
        """Return whether an event passes: the value is true, and no error has occurred.

        Args:
            params: the parameters by name; those without names are `p1`, `p2` and so on, see `positional`.
            event: the name of the event.
        """
        try:
            return self._run(params, event) is True
        except EvaluationError:
            return False

    def evaluate(self, params: Mapping[str, Any], event: str) -> Outcome:
        """Return the value and the error, as `matches` has them: to show why an event does not pass."""
        try:
            return Outcome(self._run(params, event), None)
        except EvaluationError as error:
            return Outcome(self._zero, error)


def compile_filter(text: str) -> Filter:
    """Return a filter from a CESQL 1.0 expression.

    Raises:
        FilterError: if the text is no expression, calls a function that does not exist, can only be a string or an
            integer, or is beyond a limit: 4,096 bytes, 256 names, literals and signs, 32 levels, 10,000 steps.
    """
    compiled, kind = _compile(text)
    if kind not in {bool, None}:
        raise FilterError(0, f"expected an expression that is true or false, got {_TYPES[kind]}")
    return compiled


def compile_expression(text: str) -> Filter:
    """Return any expression, as `compile_filter` does; what is neither true nor false matches no event."""
    return _compile(text)[0]


def positional(values: Iterable[Any]) -> dict[str, Any]:
    """Return parameters without names as a filter sees them: `p1`, `p2` and so on."""
    return {f"p{number}": value for number, value in enumerate(values, 1)}


_TYPES = {int: "an integer", str: "a string"}


def _compile(text: str) -> tuple[Filter, Any]:
    root = parse(text)
    compiler = Compiler()
    part = compiler.compile(root)
    return Filter(text, part.run, ZERO[part.type], compiler.steps, root), part.type


def _leading_equality(node: Node) -> tuple[str, Value] | None:
    """Return the comparison that is evaluated first, and without which the whole is false."""
    while isinstance(node, Binary) and node.operator == "AND":
        node = node.operand
    if (
        isinstance(node, Binary)
        and node.operator == "="
        and isinstance(node.operand, Name)
        and isinstance(node.right, Literal)
    ):
        return node.operand.name, node.right.value
    return None
