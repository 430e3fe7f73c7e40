"""Trees as closures: each takes the parameters and the event, and returns a value or raises an `EvaluationError`.

The type of most parts is known before an event comes, so that casts which are not needed are left out.
So is the most that a part can take, for parameters of `WIDTH` characters: it is counted in steps, of which each takes
some nanoseconds, and a text that could take too many is refused.
"""

from collections.abc import Mapping
from functools import singledispatchmethod
from typing import Any, Final, NamedTuple

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
from evframe_cesql.tree import Binary, Call, Exists, In, Like, Literal, Name, Node, Unary

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
        self._count(node, _LITERAL if isinstance(node, Literal) else _NAME if isinstance(node, Name) else _OPERATION)
        return self._build(node)

    @singledispatchmethod
    def _build(self, node: Node) -> Part:
        raise NotImplementedError(type(node))

    def _count(self, node: Node, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_STEPS:
            raise FilterError(
                node.position,
                f"expected a text that takes at most {MAX_STEPS} steps for parameters of {WIDTH} characters, got more",
            )

    def _as(self, kind: type, node: Node) -> Part:
        """Return a node as a closure of a type, with a cast where it is not known to have it."""
        part = self.compile(node)
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

    @_build.register
    def _(self, node: Unary) -> Part:
        if node.operator == "NOT":
            run = self._as(bool, node.operand).run
            return Part(lambda params, event: not run(params, event), bool, 5)
        run = self._as(int, node.operand).run
        return Part(lambda params, event: within(-run(params, event)), int, 20)

    @_build.register
    def _(self, node: Binary) -> Part:
        if node.operator in {"AND", "OR", "XOR"}:
            return self._logic(node)
        if node.operator in {"=", "!=", "<>"}:
            return self._equal(node)
        if node.operator in ORDERS:
            return self._order(node)
        self._count(node, _CALCULATION - _OPERATION)
        left, right = self._as(int, node.left).run, self._as(int, node.right).run
        call = ARITHMETIC[node.operator]
        return Part(lambda params, event: call(left(params, event), right(params, event)), int, 20)

    def _logic(self, node: Binary) -> Part:
        left, right = self._as(bool, node.left).run, self._as(bool, node.right).run
        run: Run
        if node.operator == "AND":
            run = lambda params, event: left(params, event) and right(params, event)  # noqa: E731
        elif node.operator == "OR":
            run = lambda params, event: left(params, event) or right(params, event)  # noqa: E731
        else:
            run = lambda params, event: left(params, event) is not right(params, event)  # noqa: E731
        return Part(run, bool, 5)

    def _equal(self, node: Binary) -> Part:
        """Compile = and !=: the left operand is cast to the type of the right one."""
        right = self.compile(node.right)
        negated = node.operator != "="
        if right.type is None:
            left = self.compile(node.left)
            run, other = left.run, right.run

            def equal(params: Mapping[str, Any], event: str) -> bool:
                value, wanted = run(params, event), other(params, event)
                return (CASTS[wanted.__class__](value) == wanted) is not negated

            self._count(node, _CAST + min(left.width, right.width) // 16)
            return Part(equal, bool, 5)
        left = self._as(right.type, node.left)
        self._count(node, min(left.width, right.width) // 16)
        run, other = left.run, right.run
        if negated:
            return Part(lambda params, event: run(params, event) != other(params, event), bool, 5)
        name, literal = parameter_name(node.left), node.right
        if name is not None and isinstance(literal, Literal) and isinstance(literal.value, str):
            return Part(same_text(name, literal.value, run), bool, 5)
        return Part(lambda params, event: run(params, event) == other(params, event), bool, 5)

    def _order(self, node: Binary) -> Part:
        left, right = self._as(int, node.left).run, self._as(int, node.right).run
        compare = ORDERS[node.operator]
        name, literal = parameter_name(node.left), node.right
        if name is not None and isinstance(literal, Literal) and isinstance(literal.value, int):
            return Part(ordered(name, compare, int(literal.value), left), bool, 5)
        return Part(lambda params, event: compare(left(params, event), right(params, event)), bool, 5)

    @_build.register
    def _(self, node: Like) -> Part:
        operand = self._as(str, node.operand)
        pattern = Pattern(node.pattern)
        self._count(node, pattern.steps(operand.width))
        matches, run = pattern.matcher(), operand.run
        name = parameter_name(node.operand)
        if name is not None:
            return Part(matching(name, matches, run), bool, 5)
        return Part(lambda params, event: matches(run(params, event)), bool, 5)

    @_build.register
    def _(self, node: In) -> Part:
        """Compile IN: elements are cast to the type of the left operand, one after the other until one is equal."""
        operand = self.compile(node.operand)
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
                f"expected a function of CESQL 1.0, got {node.function} with {len(node.arguments)} arguments",
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
