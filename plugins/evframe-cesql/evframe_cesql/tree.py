"""The nodes of a parsed expression: what stands where, before it is compiled."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression, with the index in the text of its first character, or of its operator."""

    position: int


@dataclass(frozen=True, slots=True)
class Literal(Node):
    """A string, an integer or a boolean."""

    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Name(Node):
    """The value of a parameter, or `event`."""

    name: str


@dataclass(frozen=True, slots=True)
class Exists(Node):
    """EXISTS of a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Operation(Node):
    """An operator and its first operand, which no parenthesis needs to be around, so that it can be nested deep."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Unary(Operation):
    """NOT or a minus."""

    operator: str


@dataclass(frozen=True, slots=True)
class Binary(Operation):
    """A sign, or AND, OR or XOR, and the right operand."""

    operator: str
    right: Node


@dataclass(frozen=True, slots=True)
class Like(Operation):
    """LIKE with its pattern, whose escapes are still in it."""

    pattern: str


@dataclass(frozen=True, slots=True)
class In(Operation):
    """IN with the elements of its set."""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function, by its name in capitals, and its arguments."""

    function: str
    arguments: tuple[Node, ...]
