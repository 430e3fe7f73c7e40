"""What closures do for an event: the operations of CESQL 1.0, and the quick forms of the most common ones."""

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from evframe_cesql.casting import CASTS, HIGHEST, LOWEST, Value, within
from evframe_cesql.errors import EvaluationError
from evframe_cesql.tree import Literal, Name, Node

Run = Callable[[Mapping[str, Any], str], Any]

EVENT: Final = "event"
"""What the name of the event is called; a parameter of that name is behind it."""
ORDERS: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _lookup(node: Name) -> Any:
    """Return the key of a parameter, None for the name of the event, which is no parameter: no event has that key."""
    return None if node.name == EVENT else node.name


def same_text(left: Name, right: Literal, other: Run) -> Run:
    """Return `name = 'text'`, quick when the parameter is a string; *other* returns what is not as one."""
    name, text = _lookup(left), right.value

    def run(params: Mapping[str, Any], event: str) -> bool:
        value = params.get(name)
        return (value if value.__class__ is str else other(params, event)) == text

    return run


def ordered(left: Name, right: Literal, compare: Callable[[int, int], bool], other: Run) -> Run:
    """Return a comparison of a parameter with an integer, quick when it is one."""
    name, bound = _lookup(left), int(right.value)

    def run(params: Mapping[str, Any], event: str) -> bool:
        value = params.get(name)
        return compare(
            value if value.__class__ is int and LOWEST <= value <= HIGHEST else other(params, event),
            bound,
        )

    return run


def matching(operand: Name, matches: Callable[[str], bool], other: Run) -> Run:
    """Return LIKE of a parameter, quick when it is a string."""
    name = _lookup(operand)

    def run(params: Mapping[str, Any], event: str) -> bool:
        value = params.get(name)
        return matches(value if value.__class__ is str else other(params, event))

    return run


def literals(elements: tuple[Node, ...]) -> Callable[[Value], bool] | None:
    """Return whether a value is among literals, with one look-up; None if not all of them are literals.

    It raises as a comparison with one after the other does: where a cast fails before one is equal.
    """
    values = [each.value for each in elements if isinstance(each, Literal)]
    if len(values) != len(elements):
        return None
    sets: dict[type, tuple[set[Value], EvaluationError | None]] = {kind: (set(), None) for kind in CASTS}
    for kind, cast in CASTS.items():
        found = sets[kind][0]
        try:
            found.update(map(cast, values))
        except EvaluationError as error:
            sets[kind] = found, error

    def contains(value: Value) -> bool:
        found, error = sets[value.__class__]
        if value in found:
            return True
        if error is not None:
            raise EvaluationError(error.kind, error.subject)
        return False

    return contains


def _divide(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("math", "/")
    quotient = abs(left) // abs(right)
    return within(quotient if (left < 0) is (right < 0) else -quotient)


def _remainder(left: int, right: int) -> int:
    if right == 0:
        raise EvaluationError("math", "%")
    rest = abs(left) % abs(right)
    return -rest if left < 0 else rest


ARITHMETIC: Final[dict[str, Callable[[int, int], int]]] = {
    "+": lambda left, right: within(left + right),
    "-": lambda left, right: within(left - right),
    "*": lambda left, right: within(left * right),
    "/": _divide,
    "%": _remainder,
}
