"""Texts as tokens, in time that is linear: each character is looked at once, and a text has a bounded number."""

import re
from typing import Final, NamedTuple

from evframe_wire.visible import brief

from evframe_cesql.errors import FilterError

MAX_BYTES: Final = 4096
MAX_TOKENS: Final = 256

KEYWORDS: Final = {"AND", "OR", "XOR", "NOT", "LIKE", "EXISTS", "IN", "TRUE", "FALSE"}
# No two alternatives begin with the same character, and none is repeated within another one: nothing to backtrack to.
_TOKEN: Final = re.compile(
    r"""(?P<word>[A-Za-z0-9_]+)
      | (?P<string>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*")
      | (?P<sign><>|[!<>]=|[-+*/%=<>(),])""",
    re.VERBOSE | re.DOTALL,
)
_BLANK: Final = re.compile(r"[ \t\r\n]*")


class Token(NamedTuple):
    """A token: `kind` is name, integer, string, end, the keyword in capitals, or the sign itself."""

    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        """Return the token as an error shows it."""
        return "the end of the text" if self.kind == "end" else brief(self.text)


def tokens(text: str) -> list[Token]:
    """Return the tokens of a text, with one for its end.

    Raises:
        FilterError: if it is longer than `MAX_BYTES`, has more than `MAX_TOKENS`, or a character that begins none.
    """
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise FilterError(0, f"expected a text of at most {MAX_BYTES} bytes, got {len(text)} characters")
    found: list[Token] = []
    position = _end_of_blanks(text, 0)
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            closing = "a closing quote" if text[position] in "'\"" else "a name, a literal or an operator"
            raise FilterError(position, f"expected {closing}, got {text[position : position + 20]!r}")
        if len(found) == MAX_TOKENS:
            raise FilterError(position, f"expected at most {MAX_TOKENS} names, literals and signs, got more")
        found.append(Token(_kind(match), match[0], position))
        position = _end_of_blanks(text, match.end())
    return [*found, Token("end", "", len(text))]


def _end_of_blanks(text: str, position: int) -> int:
    return _BLANK.match(text, position).end()  # type: ignore[union-attr]  # it matches no character, too


def _kind(match: re.Match[str]) -> str:
    kind, word = match.lastgroup, match[0]
    if kind == "word":
        return word.upper() if word.upper() in KEYWORDS else "integer" if word.isdecimal() else "name"
    return word if kind == "sign" else "string"


def unquoted(literal: str) -> str:
    r"""Return what a string literal stands for: a backslash escapes the quote around it, and stays before all else."""
    quote = literal[0]
    return literal[1:-1].replace("\\" + quote, quote)
