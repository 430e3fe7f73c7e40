"""What a conversion has to say, line by line: what it left out, and what to look at."""

from __future__ import annotations

import re
from typing import Final
from unicodedata import category

import attrs
from evframe_wire.masking import MASK, without_properties

from evframe_import_opensips.tokens import Place

_OUTSIDE_TEXT: Final = {*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0xD800, 0xE000)}
_PASSWORD: Final = re.compile(r"(://[^\s:@/]*:)\S*(?=@)")  # which may have an @ itself


def one_line(text: str) -> str:
    """Return *text* as a comment, or a terminal, can show it."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_hidden(character) else character for character in text)


def _shown(text: str) -> str:
    return without_properties(_PASSWORD.sub(rf"\g<1>{MASK}", text))


def _is_hidden(character: str) -> bool:
    return ord(character) in _OUTSIDE_TEXT or category(character) == "Cf"  # marks of direction, and the like


@attrs.frozen
class Finding:
    """One line about one place."""

    place: Place
    what: str
    reason: str
    left_out: bool

    @property
    def text(self) -> str:
        """What is to be said, as a comment or a terminal can show it."""
        return one_line(f"{self.what}: {self.reason}".replace("`", ""))

    def __str__(self) -> str:
        return f"{one_line(str(self.place))}: {'left out' if self.left_out else 'note'}: {self.text}"


class Findings(list[Finding]):
    """All of them, in the order in which they were found."""

    def leave_out(self, place: Place, what: str, reason: str) -> None:
        """Add what was not converted."""
        self._add(place, what, reason, left_out=True)

    def note(self, place: Place, what: str, reason: str) -> None:
        """Add what was converted, and how it differs."""
        self._add(place, what, reason, left_out=False)

    def _add(self, place: Place, what: str, reason: str, *, left_out: bool) -> None:
        """Add a finding without the passwords of URLs: a reason may show any value of a script."""
        self.append(Finding(place, _shown(what), _shown(reason), left_out))

    def sort_by_place(self) -> None:
        """Put them in the order of the files and of their lines."""
        files = {finding.place.file: index for index, finding in reversed(list(enumerate(self)))}
        self.sort(key=lambda finding: (files[finding.place.file], finding.place.line))

    @property
    def left_out(self) -> int:
        """How many lines were not converted."""
        return sum(finding.left_out for finding in self)
