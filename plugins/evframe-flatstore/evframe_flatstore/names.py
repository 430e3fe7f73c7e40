"""The names that a suffix has made: which files belong to a path, and until when their time lasts."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

PACKED: Final = ".gz"
"""The end of a compressed file's name."""
PART: Final = ".gz.part"
"""The end of the name of a file that is being compressed."""
_GROUPS: Final = {
    "Y": r"(?P<Y>[0-9]{4})",
    "m": r"(?P<m>[0-9]{2})",
    "d": r"(?P<d>[0-9]{2})",
    "j": r"(?P<j>[0-9]{3})",
    "H": r"(?P<H>[0-9]{2})",
    "M": r"(?P<M>[0-9]{2})",
    "S": r"(?P<S>[0-9]{2})",
    "s": r"(?P<s>[1-9][0-9]{8,10})",
    "%": "%",
}
_WHOLE: Final = {"F": "%Y-%m-%d", "T": "%H:%M:%S", "R": "%H:%M"}
_LASTS: Final = (
    ("S", timedelta(seconds=1)),
    ("M", timedelta(minutes=1)),
    ("H", timedelta(hours=1)),
    ("j", timedelta(days=1)),
    ("d", timedelta(days=1)),
    ("m", timedelta(days=31)),
    ("Y", timedelta(days=366)),
)


class Template:
    """A suffix whose names can be read back.

    Args:
        suffix: a strftime format.

    Raises:
        ValueError: if a name does not have its whole date, or is that of a compressed file.
    """

    def __init__(self, suffix: str) -> None:
        if suffix.endswith((PACKED, PART)):
            raise ValueError(
                f"expected a suffix without {PACKED!r} at its end, which compressed files have, got {suffix!r}"
            )
        suffix = re.sub(r"%(.)", lambda found: _WHOLE.get(found[1], found[0]), suffix, flags=re.DOTALL)
        pieces = re.split(r"%(.)", suffix, flags=re.DOTALL)
        kinds = pieces[1::2]
        if "/" in suffix or not set(kinds) <= _GROUPS.keys() or not _has_date(kinds):
            raise ValueError(f"expected a suffix of %Y, %m, %d, %j, %H, %M, %S, %F, %T, %R or %s, got {suffix!r}")
        if any(kinds.count(kind) > 1 for kind in _GROUPS if kind != "%"):
            raise ValueError(f"expected a suffix that has each part of the date once, got {suffix!r}")
        self._kinds = frozenset(kinds)
        self._pattern = re.compile(
            "".join(_GROUPS[piece] if index % 2 else re.escape(piece) for index, piece in enumerate(pieces))
        )

    def lasts_until(self, text: str, shift_s: int) -> datetime | None:
        """Return when the time of a name that ends in *text* is over, on the wall; None when it is no such name.

        Args:
            text: what stands after the path.
            shift_s: how many seconds the wall clock is ahead of UTC, for names that have Unix times.
        """
        found = self._pattern.fullmatch(text)
        if found is None:
            return None
        parts = {kind: int(value) for kind, value in found.groupdict().items()}
        try:
            if "s" in parts:
                begins = datetime.fromtimestamp(parts["s"] + shift_s, UTC).replace(tzinfo=None)
                return begins + timedelta(seconds=1)
            begins = datetime(  # noqa: DTZ001 wall time, without a zone
                parts["Y"],
                parts.get("m", 1),
                parts.get("d", 1),
                parts.get("H", 0),
                parts.get("M", 0),
                parts.get("S", 0),
            )
            if "j" in parts:
                day = begins + timedelta(days=parts["j"] - 1)
                if parts["j"] == 0 or day.year != begins.year:
                    return None
                begins = day
            return begins + next(last for kind, last in _LASTS if kind in self._kinds)
        except (ValueError, OverflowError):
            return None


def _has_date(kinds: list[str]) -> bool:
    has = set(kinds)
    if "s" in has:
        return has <= {"s", "%"}
    # A part without the next larger one would be ambiguous: the same names would come again.
    is_day = "d" in has and "m" in has
    is_day_of_year = "j" in has and not has & {"d", "m"}
    larger = (
        ("S", "M" in has),
        ("M", "H" in has),
        ("H", is_day or is_day_of_year),
        ("j", is_day_of_year),
        ("d", "m" in has),
    )
    return "Y" in has and all(fits for kind, fits in larger if kind in has)


@attrs.frozen
class DatedFile:
    """A file that the suffix of a path has made: its plain form, its compressed form, or both."""

    name: str
    """The name without the end of a compressed one."""
    named_until: datetime
    """When the time of its name is over; on the wall."""
    until: datetime
    """The same, or when it was last written if that is later."""
    plain: os.stat_result | None = None
    packed: os.stat_result | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the forms that exist."""
        forms = ((self.name, self.plain), (self.name + PACKED, self.packed))
        return tuple(name for name, status in forms if status is not None)


def files_of(path: str, template: Template, shift_s: int) -> tuple[list[DatedFile], list[str]]:
    """Return the files of *path* that *template* has made, the newest first, and the unfinished compressed ones.

    An unfinished one is what a process that has ended left, or one that is at work.
    """
    found: dict[str, DatedFile] = {}
    parts = []
    for name, status in _beside(path):
        if name.endswith(PART):
            if template.lasts_until(name[len(path) :].removesuffix(PART), shift_s) is not None:
                parts.append(name)
            continue
        plain = name.removesuffix(PACKED)
        named_until = template.lasts_until(plain[len(path) :], shift_s)
        if named_until is None:
            continue
        written = datetime.fromtimestamp(status.st_mtime + shift_s, UTC).replace(tzinfo=None)
        known = found.get(plain) or DatedFile(plain, named_until, named_until)
        until = max(known.until, written)
        if plain == name:
            found[plain] = attrs.evolve(known, until=until, plain=status)
        else:
            found[plain] = attrs.evolve(known, until=until, packed=status)
    return sorted(found.values(), key=lambda each: (each.named_until, each.name), reverse=True), parts


def _beside(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Return the regular files whose names begin as *path* does, with their states."""
    folder, base = os.path.split(path)
    before = path[: len(path) - len(base)]
    with os.scandir(folder or ".") as entries:
        for entry in entries:
            if entry.name.startswith(base) and entry.name != base:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield before + entry.name, status
