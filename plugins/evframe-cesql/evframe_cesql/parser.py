"""The grammar, by precedence climbing: sections 2 and 3.6 of CESQL 1.0.

NOT and the minus bind closest, then LIKE and IN, then the signs of arithmetic, the comparisons, and at last AND, OR
and XOR, which are equal and are taken from left to right.

It is written by hand because the parser that lark makes of a grammar takes ten times as long, for 256 tokens as long as
a whole compilation may take, and its errors name terminals where these name what is accepted.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from evframe_cesql.casting import HIGHEST, LOWEST
from evframe_cesql.errors import FilterError
from evframe_cesql.tokens import Token, tokens, unquoted
from evframe_cesql.tree import Binary, Call, Exists, In, Like, Literal, Name, Node, Unary

MAX_LEVELS: Final = 32

_Result = TypeVar("_Result")

_BINDING: Final = {
    **dict.fromkeys(("AND", "OR", "XOR"), 1),
    **dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">="), 2),
    **dict.fromkeys(("+", "-"), 3),
    **dict.fromkeys(("*", "/", "%"), 4),
}
_MOST_DIGITS: Final = 63
_A_VALUE: Final = "a name, a literal, NOT, EXISTS, a function or a parenthesis"


def parse(text: str) -> Node:
    """Return the tree of an expression.

    Raises:
        FilterError: if the text is no expression, or is beyond a limit.
    """
    parser = _Parser(tokens(text))
    root = parser.binary(1)
    parser.take("end", "an operator or the end of the text")
    return root


class _Parser:
    """Reads tokens from the left; each method takes those of one rule."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = iter(found)
        self._next = next(self._tokens)
        self._level = 0

    def _advance(self) -> Token:
        token = self._next
        self._next = next(self._tokens, token)
        return token

    def take(self, kind: str, expected: str) -> Token:
        """Take the next token, which has to be of a kind."""
        if self._next.kind != kind:
            raise FilterError(self._next.position, f"expected {expected}, got {self._next}")
        return self._advance()

    def _nested(self, rule: Callable[[], _Result]) -> _Result:
        self._level += 1
        if self._level > MAX_LEVELS:
            raise FilterError(self._next.position, f"expected at most {MAX_LEVELS} levels, got more")
        result = rule()
        self._level -= 1
        return result

    def binary(self, least: int) -> Node:
        """Take operands and the operators between them that bind at least so closely."""
        left = self._postfix(self._unary())
        while (binding := _BINDING.get(self._next.kind, 0)) >= least:
            operator = self._advance()
            left = Binary(operator.position, left, operator.kind, self.binary(binding + 1))
        return left

    def _postfix(self, operand: Node) -> Node:
        while self._next.kind in {"NOT", "LIKE", "IN"}:
            negation = self._advance() if self._next.kind == "NOT" else None
            if self._next.kind == "LIKE":
                position = self._advance().position
                pattern = self.take("string", "the pattern of LIKE as a string in quotes")
                operand = Like(position, operand, unquoted(pattern.text))
            else:
                position = self.take("IN", "LIKE or IN after NOT").position
                self.take("(", "a parenthesis with the elements of IN")
                operand = In(position, operand, self._nested(self._list))
            if negation is not None:
                operand = Unary(negation.position, operand, "NOT")
        return operand

    def _unary(self) -> Node:
        token = self._advance()
        if token.kind in {"+", "-"} and self._next.kind == "integer":
            return self._integer(self._advance(), token)
        match token.kind:
            case "NOT" | "-":
                return Unary(token.position, self._nested(self._unary), token.kind)
            case "(":
                inner = self._nested(lambda: self.binary(1))
                self.take(")", "an operator or a closing parenthesis")
                return inner
        return self._atom(token)

    def _atom(self, token: Token) -> Node:
        match token.kind:
            case "string":
                return Literal(token.position, unquoted(token.text))
            case "TRUE" | "FALSE":
                return Literal(token.position, token.kind == "TRUE")
            case "integer":
                return self._integer(token, token)
            case "EXISTS":
                return Exists(token.position, self.take("name", "a name after EXISTS").text)
            case "name" if self._next.kind == "(":
                return self._call(token)
            case "name":
                return Name(token.position, token.text)
        raise FilterError(token.position, f"expected {_A_VALUE}, got {token}")

    def _integer(self, digits: Token, first: Token) -> Node:
        sign = -1 if first.kind == "-" else 1
        if len(digits.text) > _MOST_DIGITS or not LOWEST <= sign * int(digits.text) <= HIGHEST:
            raise FilterError(first.position, f"expected an integer from {LOWEST} to {HIGHEST}, got a longer one")
        return Literal(first.position, sign * int(digits.text))

    def _call(self, name: Token) -> Node:
        self._advance()
        if self._next.kind == ")":
            self._advance()
            return Call(name.position, name.text.upper(), ())
        return Call(name.position, name.text.upper(), self._nested(self._list))

    def _list(self) -> tuple[Node, ...]:
        """Take expressions with commas between them, and the parenthesis that closes the list."""
        found = [self.binary(1)]
        while self._next.kind == ",":
            self._advance()
            found.append(self.binary(1))
        self.take(")", "an operator, a comma or a closing parenthesis")
        return tuple(found)
