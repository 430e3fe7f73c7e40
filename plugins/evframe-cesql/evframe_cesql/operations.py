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


def parameter_name(node: Node) -> str | None:
    """Return the name of the parameter that a node is, None if it is none."""
    return node.name if isinstance(node, Name) and node.name != EVENT else None


# The three comparisons that most filters consist of look the parameter up themselves, which is quicker than a closure
# for it and another one for its cast; an error that is raised near the top is quicker, too.


def same_text(name: str, text: str, other: Run) -> Run:
    """Return `name = 'text'`, quick when the parameter is a string; *other* returns what is not as one."""

    def run(params: Mapping[str, Any], event: str) -> bool:
        value = params.get(name)
        if value is None:
            raise EvaluationError("missingAttribute", name)
        return (value if value.__class__ is str else other(params, event)) == text

    return run


def ordered(name: str, compare: Callable[[int, int], bool], bound: int, other: Run) -> Run:
    """Return a comparison of a parameter with an integer, quick when it is one."""

    def run(params: Mapping[str, Any], event: str) -> bool:
        value = params.get(name)
        if value is None:
            raise EvaluationError("missingAttribute", name)
        return compare(value if value.__class__ is int and LOWEST <= value <= HIGHEST else other(params, event), bound)

    return run


def matching(name: str, matches: Callable[[str], bool], other: Run) -> Run:
    """Return LIKE of a parameter, quick when it is a string."""

    def run(params: Mapping[str, Any], event: str) -> bool:
        value = params.get(name)
        if value is None:
            raise EvaluationError("missingAttribute", name)
        return matches(value if value.__class__ is str else other(params, event))

    return run


def literals(elements: tuple[Node, ...]) -> Callable[[Value], bool] | None:
    """Return whether a value is among literals, with one look-up; None if not all of them are literals.

    It raises as a comparison with one after the other does: where a cast fails before one is equal.
    """
    values = [each.value for each in elements if isinstance(each, Literal)]
    if len(values) != len(elements):
        return None
    sets = {kind: _cast_until_error(cast, values) for kind, cast in CASTS.items()}

    def contains(value: Value) -> bool:
        found, wrong = sets[value.__class__]
        if value in found:
            return True
        if wrong is not None:
            raise EvaluationError("cast", wrong)
        return False

    return contains


def _cast_until_error(cast: Callable[[Value], Value], values: list[Value]) -> tuple[set[Value], Value | None]:
    """Return the values as those of another type, until the first one that is none, which is returned, too."""
    found: set[Value] = set()
    for value in values:
        try:
            found.add(cast(value))
        except EvaluationError:
            return found, value
    return found, None


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
