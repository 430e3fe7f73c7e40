"""LIKE: patterns as matchers that never go back.

A pattern is divided at each `%`. Its first part has to be at the start and its last one at the end. Each part between
is found at the first place after the part before; an earlier part that stood further on could only leave less room,
so no choice is ever taken back. A part has a fixed length, so that finding it needs no backtracking either.
"""

import re
from collections.abc import Callable
from operator import methodcaller
from typing import Final

Matcher = Callable[[str], bool]
Find = Callable[[str, int, int], int]

_CHARACTER: Final = re.compile(r"\\[%_]|.", re.DOTALL)
# Steps, as the compiler counts them: a search, its compilation for each character, and a comparison at a place.
_PLAIN_SEARCH: Final = 50
_WILD_SEARCH: Final = 300
_WILD_CHARACTER: Final = 20
_PIECE: Final = 35


class Part:
    """What stands between two `%`: characters, of which None stands for any single one.

    Attributes:
        plain: the part as a string, None when it has a character that stands for any.
    """

    __slots__ = ("_characters", "plain")

    def __init__(self, characters: list[str | None]) -> None:
        self._characters = characters
        self.plain = None if None in characters else "".join(characters)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self._characters)

    def steps(self, width: int) -> int:
        """Return the most steps of a search in a string of so many characters, those of the compilation included."""
        places = len(self) * max(width - len(self), 1)
        if self.plain is not None:
            return _PLAIN_SEARCH + places // 8
        return _WILD_SEARCH + _WILD_CHARACTER * len(self) + places

    def finder(self) -> Find:
        """Return what finds the part in a string from a start to an end, as `str.find` does."""
        plain = self.plain
        if plain is not None:
            return lambda value, start, end: value.find(plain, start, end)
        search = re.compile("".join(map(_escaped, self._characters)), re.DOTALL).search

        def find(value: str, start: int, end: int) -> int:
            found = search(value, start, end)
            return -1 if found is None else found.start()

        return find

    def pieces(self) -> list[tuple[int, str]]:
        """Return the runs of characters that stand for themselves, each with its place in the part."""
        found: list[tuple[int, str]] = []
        for place, character in enumerate(self._characters):
            if character is not None:
                if place and self._characters[place - 1] is not None:
                    found[-1] = found[-1][0], found[-1][1] + character
                else:
                    found.append((place, character))
        return found


def _escaped(character: str | None) -> str:
    return "." if character is None else re.escape(character)


class Pattern:
    r"""A pattern: `%` is any characters, `_` is a single one, and a backslash escapes these two."""

    def __init__(self, text: str) -> None:
        parts: list[list[str | None]] = [[]]
        for character in _CHARACTER.findall(text):
            if character == "%":
                parts.append([])
            else:
                parts[-1].append(None if character == "_" else character[-1])
        first, *rest = parts
        self._first = Part(first)
        self._between = [Part(part) for part in rest[:-1] if part]
        self._last = Part(rest[-1]) if rest else None

    def steps(self, width: int) -> int:
        """Return the most steps that a string of so many characters takes, and the compilation for it."""
        anchored = len(self._first) + (len(self._last) if self._last is not None else 0)
        return _PIECE * (min(anchored, width) // 2) + sum(part.steps(width) for part in self._between)

    def matcher(self) -> Matcher:
        """Return what says whether a string has the pattern."""
        first, last = self._first, self._last
        if last is None:
            return _whole(first)
        if not self._between and first.plain is not None and last.plain is not None:
            return _ends(first.plain, last.plain)
        return _general(first, self._between, last)


def _whole(part: Part) -> Matcher:
    size, pieces, plain = len(part), part.pieces(), part.plain
    if plain is not None:
        return plain.__eq__
    return lambda value: len(value) == size and all(value.startswith(text, place) for place, text in pieces)


def _ends(prefix: str, suffix: str) -> Matcher:
    least = len(prefix) + len(suffix)
    if not suffix:
        return methodcaller("startswith", prefix)
    if not prefix:
        return methodcaller("endswith", suffix)
    return lambda value: len(value) >= least and value.startswith(prefix) and value.endswith(suffix)


def _general(first: Part, between: list[Part], last: Part) -> Matcher:
    heads, tails = first.pieces(), last.pieces()
    start, tail = len(first), len(last)
    least = sum(map(len, (first, *between, last)))
    finds = [(part.finder(), len(part)) for part in between]

    def match(value: str) -> bool:
        end = len(value) - tail
        if len(value) < least:
            return False
        if not all(value.startswith(text, place) for place, text in heads):
            return False
        if not all(value.startswith(text, end + place) for place, text in tails):
            return False
        place = start
        for find, size in finds:
            found = find(value, place, end)
            if found < 0:
                return False
            place = found + size
        return True

    return match
