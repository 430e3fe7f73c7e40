"""Trees as closures: each takes the parameters and the event, and returns a value or raises an `EvaluationError`.

The type of most parts is known before an event comes, so that casts which are not needed are left out.
So is the most that a part can take, for parameters of `WIDTH` characters: it is counted in steps, of which each takes
some nanoseconds, and a text that could take too many is refused.
"""

from collections.abc import Mapping
from functools import singledispatchmethod
from typing import Any, Final, NamedTuple

from evframe_wire.visible import brief

from evframe_cesql.casting import CASTS, exists, parameter, within
from evframe_cesql.errors import FilterError
from evframe_cesql.functions import find
from evframe_cesql.operations import (
    ARITHMETIC,
    EVENT,
    ORDERS,
    Run,
    literals,
    matching,
    ordered,
    parameter_name,
    same_text,
)
from evframe_cesql.patterns import Pattern
from evframe_cesql.tree import Binary, Call, Exists, In, Like, Literal, Name, Node, Operation, Unary

MAX_STEPS: Final = 10_000
WIDTH: Final = 128

# What an operation takes, in steps of five nanoseconds, measured where a call of a closure takes fifty.
_OPERATION: Final = 25
_LITERAL: Final = 10
_NAME: Final = 40
_CALCULATION: Final = 65
_CASTS: Final = {int: 100, bool: 50, str: 25}
_CAST: Final = max(_CASTS.values())


class Part(NamedTuple):
    """A compiled part: its closure, its type, None when only an event shows it, and its greatest length as a string."""

    run: Run
    type: type | None
    width: int


class Compiler:
    """Compiles one tree, and counts the steps of it."""

    def __init__(self) -> None:
        self.steps = 0

    def compile(self, node: Node) -> Part:
        """Return a node as a closure.

        Raises:
            FilterError: if it calls a function that does not exist, or could take more than `MAX_STEPS`.
        """
        operations = []  # whose first operands are nested as deep as a text has operators, and not compiled so
        while isinstance(node, Operation):
            operations.append(node)
            node = node.operand
        self._count(node, _LITERAL if isinstance(node, Literal) else _NAME if isinstance(node, Name) else _OPERATION)
        part = self._build(node)
        for operation in reversed(operations):
            self._count(operation, _OPERATION)
            part = self._apply(operation, part)
        return part

    @singledispatchmethod
    def _build(self, node: Node) -> Part:
        raise NotImplementedError(type(node))

    @singledispatchmethod
    def _apply(self, node: Operation, operand: Part) -> Part:
        """Return an operation on its first operand, which is compiled."""
        raise NotImplementedError(type(node))

    def _count(self, node: Node, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise FilterError(
                node.position,
                f"expected a text that takes at most {MAX_STEPS} steps for parameters of {WIDTH} characters, got more",
            )

    def _as(self, kind: type, node: Node) -> Part:
        return self._cast(kind, node, self.compile(node))

    def _cast(self, kind: type, node: Node, part: Part) -> Part:
        """Return a compiled node as a closure of a type, with a cast where it is not known to have it."""
        if part.type is kind:
            return part
        self._count(node, _CASTS[kind])
        run, cast = part.run, CASTS[kind]
        return Part(lambda params, event: cast(run(params, event)), kind, part.width)

    @_build.register
    def _(self, node: Literal) -> Part:
        value = node.value
        return Part(lambda _params, _event: value, type(value), len(str(value)))

    @_build.register
    def _(self, node: Name) -> Part:
        name = node.name
        if name == EVENT:
            return Part(lambda _params, event: event, str, WIDTH)
        return Part(lambda params, _event: parameter(params, name), None, WIDTH)

    @_build.register
    def _(self, node: Exists) -> Part:
        name = node.name
        if name == EVENT:
            return Part(lambda _params, _event: True, bool, 5)
        return Part(lambda params, _event: exists(params, name), bool, 5)

    @_apply.register
    def _(self, node: Unary, operand: Part) -> Part:
        if node.operator == "NOT":
            run = self._cast(bool, node.operand, operand).run
            return Part(lambda params, event: not run(params, event), bool, 5)
        run = self._cast(int, node.operand, operand).run
        return Part(lambda params, event: within(-run(params, event)), int, 20)

    @_apply.register
    def _(self, node: Binary, operand: Part) -> Part:
        if node.operator in {"=", "!=", "<>"}:
            return self._equal(node, operand)
        kind = bool if node.operator in {"AND", "OR", "XOR"} else int
        left, right = self._cast(kind, node.operand, operand).run, self._as(kind, node.right).run
        if kind is bool:
            return _logic(node, left, right)
        if node.operator in ORDERS:
            return _order(node, left, right)
        self._count(node, _CALCULATION - _OPERATION)
        call = ARITHMETIC[node.operator]
        return Part(lambda params, event: call(left(params, event), right(params, event)), int, 20)

    def _equal(self, node: Binary, left: Part) -> Part:
        """Compile = and !=: the left operand is cast to the type of the right one."""
        right = self.compile(node.right)
        negated = node.operator != "="
        if right.type is None:
            run, other = left.run, right.run

            def equal(params: Mapping[str, Any], event: str) -> bool:
                value, wanted = run(params, event), other(params, event)
                return (CASTS[wanted.__class__](value) == wanted) is not negated

            self._count(node, _CAST + min(left.width, right.width) // 16)
            return Part(equal, bool, 5)
        left = self._cast(right.type, node.operand, left)
        self._count(node, min(left.width, right.width) // 16)
        run, other = left.run, right.run
        if negated:
            return Part(lambda params, event: run(params, event) != other(params, event), bool, 5)
        name, literal = parameter_name(node.operand), node.right
        if name is not None and isinstance(literal, Literal) and isinstance(literal.value, str):
            return Part(same_text(name, literal.value, run), bool, 5)
        return Part(lambda params, event: run(params, event) == other(params, event), bool, 5)

    @_apply.register
    def _(self, node: Like, operand: Part) -> Part:
        operand = self._cast(str, node.operand, operand)
        pattern = Pattern(node.pattern)
        self._count(node, pattern.steps(operand.width))
        matches, run = pattern.matcher(), operand.run
        name = parameter_name(node.operand)
        if name is not None:
            return Part(matching(name, matches, run), bool, 5)
        return Part(lambda params, event: matches(run(params, event)), bool, 5)

    @_apply.register
    def _(self, node: In, operand: Part) -> Part:
        """Compile IN: elements are cast to the type of the left operand, one after the other until one is equal."""
        elements = [self.compile(element) for element in node.elements]
        run, others = operand.run, [part.run for part in elements]
        among = literals(node.elements)
        if among is not None:
            return Part(lambda params, event: among(run(params, event)), bool, 5)

        self._count(node, sum(_CAST + min(operand.width, part.width) // 16 for part in elements))

        def contains(params: Mapping[str, Any], event: str) -> bool:
            value = run(params, event)
            cast = CASTS[value.__class__]
            return any(cast(other(params, event)) == value for other in others)

        return Part(contains, bool, 5)

    @_build.register
    def _(self, node: Call) -> Part:
        found = find(node.function, len(node.arguments))
        if found is None:
            raise FilterError(
                node.position,
                f"expected a function of CESQL 1.0, got {brief(node.function)} with {len(node.arguments)} arguments",
                "missingFunction",
            )
        function, types = found
        arguments = [self._as(kind, each) for kind, each in zip(types, node.arguments, strict=True)]
        width = function.width([part.width for part in arguments]) if arguments else 0
        self._count(node, 2 * width)
        runs, call = [part.run for part in arguments], function.call
        if len(runs) == 1:
            (single,) = runs
            return Part(lambda params, event: call(single(params, event)), function.result, width)
        return Part(lambda params, event: call(*[run(params, event) for run in runs]), function.result, width)


def _logic(node: Binary, left: Run, right: Run) -> Part:
    run: Run
    if node.operator == "AND":
        run = lambda params, event: left(params, event) and right(params, event)  # noqa: E731
    elif node.operator == "OR":
        run = lambda params, event: left(params, event) or right(params, event)  # noqa: E731
    else:
        run = lambda params, event: left(params, event) is not right(params, event)  # noqa: E731
    return Part(run, bool, 5)


def _order(node: Binary, left: Run, right: Run) -> Part:
    compare = ORDERS[node.operator]
    name, literal = parameter_name(node.operand), node.right
    if name is not None and isinstance(literal, Literal) and isinstance(literal.value, int):
        return Part(ordered(name, compare, int(literal.value), left), bool, 5)
    return Part(lambda params, event: compare(left(params, event), right(params, event)), bool, 5)
