"""The words of an OpenSIPS script: one pass, each character looked at a bounded number of times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, Literal

import attrs

Kind = Literal["word", "number", "string", "variable", "mark"]

# No possessive quantifiers: those of Python 3.11.2 lose matches, such as the comment /* **/.
_TOKEN: Final = re.compile(
    r"""
    (?P<blank>\s+ | \#[^\n]* | //[^\n]* | /\*[^*]*\*+(?:[^/*][^*]*\*+)*/)
  | (?P<string>"[^"\\]*(?:\\.[^"\\]*)*" | '[^']*')
  | (?P<unended>/\* | ["'])
  | (?P<number>(?:0[xX][0-9a-fA-F]+ | [01]+b | [0-9]+)(?![\w.]))
  | (?P<word>[\w.]+)
  | (?P<variable>\$[\w.:<>]*)
  | (?P<mark>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "\\": "\\", '"': '"', "\n": ""}
_LONGEST_VARIABLE: Final = 4096
_DEEPEST_VARIABLE: Final = 16
TOO_LARGE: Final = (1 << 63) - 1  # the largest number of TOML


@attrs.frozen(eq=False)
class Source:
    """The text of one file, as its bytes are; what is no UTF-8 is in surrogates."""

    name: str
    text: str


@attrs.frozen(slots=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@attrs.frozen(slots=True)
class Token:
    """One word, number, string, variable or mark.

    *value* is what a string holds, or the number; *start* and *end* are where it stands in its source.
    """

    kind: Kind
    value: str | int
    source: Source
    line: int
    start: int
    end: int

    @property
    def place(self) -> Place:
        """Where it stands, for a person."""
        return Place(self.source.name, self.line)

    @property
    def text(self) -> str:
        """The token as it is written."""
        return self.source.text[self.start : self.end]

    def is_mark(self, text: str) -> bool:
        """Return whether it is this mark."""
        return self.kind == "mark" and self.value == text


class UnendedError(ValueError):
    """Raised when a string or a comment has no end; what follows it has no meaning."""

    def __init__(self, what: str, place: Place) -> None:
        super().__init__(f"expected the end of a {what}, got the end of the file")
        self.place = place


def tokenize(source: Source) -> Iterator[Token]:
    """Yield the tokens of *source*, without blanks and comments.

    Comments are ``#`` and ``//`` to the end of the line, and ``/* */``.

    Raises:
        UnendedError: if a string or a comment has no end.
    """
    text, at, line = source.text, 0, 1
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None
        kind, end = found.lastgroup, found.end()
        if kind == "unended":
            raise UnendedError("comment" if found[0] == "/*" else "string", Place(source.name, line))
        if kind == "variable":
            end = _end_of_variable(text, end)
        if kind in {"word", "number", "string", "variable", "mark"}:
            yield Token(kind, _value(kind, text[at:end]), source, line, at, end)  # type: ignore[arg-type]
        line += text.count("\n", at, end)
        at = end


def _end_of_variable(text: str, at: int) -> int:
    """Return where a variable ends whose name ends at *at*: behind its parentheses, if it has them on its line."""
    if not text.startswith("(", at):
        return at
    depth = 0
    for end in range(at, min(at + _LONGEST_VARIABLE, len(text))):
        character = text[end]
        depth += (character == "(") - (character == ")")
        if character == "\n" or depth > _DEEPEST_VARIABLE:
            break
        if not depth:
            return end + 1
    return at


def _value(kind: str, text: str) -> str | int:
    if kind == "string":
        return unquote(text)
    return number(text) if kind == "number" else text


def unquote(text: str) -> str:
    """Return what a string in its quotation marks holds; single ones take everything as it is."""
    if text.startswith("'"):
        return text[1:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), text[1:-1], flags=re.DOTALL)


def number(text: str) -> int:
    """Return the value of a number: decimal, ``0x`` hexadecimal, octal with a leading 0, or binary with a ``b``.

    What is larger than any parameter may be, is `TOO_LARGE`.
    """
    if len(text) > 80:
        return TOO_LARGE
    if text[:2] in {"0x", "0X"}:
        value = int(text, 0)
    elif text.endswith("b"):
        value = int(text[:-1], 2)
    elif text.startswith("0") and set(text) <= set("01234567"):
        value = int(text, 8)
    else:
        value = int(text)
    return min(value, TOO_LARGE)
