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
class Unary(Node):
    """NOT or a minus."""

    operator: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """Two operands and a sign, or AND, OR or XOR."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Like(Node):
    """LIKE with its pattern, whose escapes are still in it."""

    operand: Node
    pattern: str


@dataclass(frozen=True, slots=True)
class In(Node):
    """IN with the elements of its set."""

    operand: Node
    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function, by its name in capitals, and its arguments."""

    function: str
    arguments: tuple[Node, ...]
