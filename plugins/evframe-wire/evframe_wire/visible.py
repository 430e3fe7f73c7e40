"""Text from outside as it may stand on a terminal, in a log or in an error: escaped, and bounded."""

from __future__ import annotations

import re
from itertools import islice
from reprlib import Repr
from typing import Any, Final, TextIO

_MOST_CHARACTERS: Final = 120
_MOST_BITS: Final = 256
_FOREIGN: Final = re.compile(r"[^ -~]")


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether *stream* is read, or written, by a person; it is None where the process began with it closed."""
    return stream is not None and stream.isatty()


def visible(text: str) -> str:
    """Return *text* on one line, with escapes in place of what a terminal would obey or hide.

    Escaped is what Python escapes in the `repr` of a text: control characters with the newline,
    marks of direction, other format characters, and surrogates.
    """
    return text if text.isprintable() else _FOREIGN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()


def visible_lines(text: str) -> str:
    """Return *text* as `visible` does, but on the lines that it has; each further one is indented.

    So no line that text from outside adds can pass for one of the program's.
    """
    return "\n  ".join(map(visible, text.split("\n")))


def visible_json(text: str) -> str:
    """Return the JSON *text* with the same characters escaped as JSON escapes them; its value stays.

    The newlines between values stay too: a raw control character within a string is an error in JSON.
    """
    return text if text.isprintable() else _FOREIGN.sub(_escaped_in_json, text)


def _escaped_in_json(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable() or character == "\n":
        return character
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


class _Brief(Repr):
    """Reads a few items of a container, and never sorts one."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2
        self.maxstring = self.maxother = _MOST_CHARACTERS

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002 the signature of the library
        return repr(x) if x.bit_length() <= _MOST_BITS else f"<int of {x.bit_length()} bits>"

    def repr_bytes(self, x: bytes, level: int) -> str:  # noqa: ARG002 as above
        return repr(x) if len(x) <= _MOST_CHARACTERS else f"{x[:_MOST_CHARACTERS]!r}..."

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{...}"
        items = [
            f"{self.repr1(name, level - 1)}: {self.repr1(item, level - 1)}"
            for name, item in islice(x.items(), self.maxdict)
        ]
        return f"{{{', '.join([*items, '...'] if len(x) > self.maxdict else items)}}}"


_brief: Final = _Brief()


def brief(value: object) -> str:
    """Return the `repr` of *value* for an error, cut off where it is long; it never raises."""
    try:
        text = _brief.repr(value)
    except Exception:  # noqa: BLE001 a repr is code of the value's class
        return f"<{type(value).__name__} without a repr>"
    return visible(text if len(text) <= 4 * _MOST_CHARACTERS else f"{text[: 4 * _MOST_CHARACTERS]}...")
