"""The keys of `evframe top`: what each does to the query, and the line that shows them."""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

import attrs
from evframe_wire.visible import visible
from rich.text import Text

from evframe_client.commands.rows import COLUMNS, Query

_KEYS: Final = re.compile(r"\x1b[\[O][0-9;]*[A-Za-z~]|.", re.DOTALL)
_NEXT: Final = frozenset({"\x1b[C", "\x1bOC", "s", ">"})
_PREVIOUS: Final = frozenset({"\x1b[D", "\x1bOD", "S", "<"})
_HIGHEST_FIRST: Final = frozenset({"since", "rate", "depth", "oldest", "failed", "loss"})
_MOST: Final = 200  # characters of a filter


class Pressed(Enum):
    """What a key asks for."""

    QUIT = "The end."
    SAMPLE = "Another sample, because the query is another one, or the key says so."
    LINE = "Another line of keys."


@attrs.define
class Controls:
    """What the keys that were pressed say."""

    query: Query
    typed: str | None = None
    """The filter while it is typed."""

    def press(self, text: str) -> Pressed:
        """Apply the keys in *text*, as a terminal sends them."""
        result = Pressed.LINE
        for key in _KEYS.findall(text):
            found = self._type(key) if self.typed is not None else self._press(key)
            if found is Pressed.QUIT:
                return found
            result = found if found is Pressed.SAMPLE else result
        return result

    def _press(self, key: str) -> Pressed:
        query = self.query
        if key in {"q", "Q", "\x03"}:
            return Pressed.QUIT
        if key in _NEXT or key in _PREVIOUS:
            at = COLUMNS.index(query.column) + (1 if key in _NEXT else -1)
            column = COLUMNS[at % len(COLUMNS)]
            self.query = attrs.evolve(query, order=f"-{column}" if column in _HIGHEST_FIRST else column)
        elif key == "r":
            is_reversed = query.order.startswith("-")
            self.query = attrs.evolve(query, order=query.column if is_reversed else f"-{query.column}")
        elif key == "a":
            self.query = attrs.evolve(query, state=None if query.state == "away" else "away")
        elif key == "/":
            self.typed = query.pattern or ""
            return Pressed.LINE
        elif key != " ":
            return Pressed.LINE
        return Pressed.SAMPLE

    def _type(self, key: str) -> Pressed:
        typed = self.typed or ""
        if key in {"\r", "\n"}:
            self.typed = None
            self.query = attrs.evolve(self.query, pattern=_pattern(typed))
            return Pressed.SAMPLE
        if key in {"\x1b", "\x03"}:
            self.typed = None
        elif key in {"\x7f", "\x08"}:
            self.typed = typed[:-1]
        elif key == "\x15":  # Ctrl-U
            self.typed = ""
        elif key.isprintable():
            self.typed = (typed + key)[:_MOST]
        return Pressed.LINE

    def line(self) -> Text:
        """Return the line that shows the keys."""
        if self.typed is not None:
            return Text.assemble(
                ("filter: ", "bold"), visible(self.typed), "█  ", ("Enter applies, Esc cancels", "dim")
            )
        query = self.query
        direction = "↓" if query.order.startswith("-") else "↑"
        shown = [
            ("q", " quit"),
            ("←→", f" sort {query.column}{direction}"),
            ("r", " reverse"),
            ("/", f" filter {visible(query.pattern)}" if query.pattern else " filter"),
            ("a", " all" if query.state == "away" else " away only"),
            ("space", " now"),
        ]
        line = Text()
        for key, what in shown:
            line.append(key, "bold").append(f"{what}  ")
        return line


def _pattern(typed: str) -> str | None:
    """Return the pattern of what was typed: a text without wildcards is looked for everywhere in a socket."""
    if not typed:
        return None
    return typed if re.search(r"[*?\[]", typed) else f"*{typed}*"
