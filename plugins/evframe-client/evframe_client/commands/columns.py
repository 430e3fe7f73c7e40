"""Columns of text: folded to the width of a terminal below a header, and separated by tabs elsewhere."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

import click
from evframe_wire.visible import is_terminal, visible

_GAP: Final = 2
_WIDE: Final = 100
_LEAST: Final = 20  # columns of a terminal that the last column has, even when the terminal is narrower


def is_wide() -> bool:
    """Return whether there is room for a column that is not always needed."""
    return not is_terminal(sys.stdout) or shutil.get_terminal_size().columns >= _WIDE


def has_colours() -> bool:
    """Return whether the output may have colours."""
    return is_terminal(sys.stdout) and not os.environ.get("NO_COLOR")


def print_columns(
    names: Sequence[str], rows: Collection[Sequence[str]], *, numbers: Collection[str] = (), red: str | None = None
) -> None:
    """Print *rows*, whose last column is folded on a terminal.

    Args:
        names: of the columns.
        rows: the texts of each row, which are escaped here.
        numbers: the names of columns that are aligned at the right.
        red: the name of a column whose texts are red on a terminal where they begin with ``away``.
    """
    shown = [[visible(text) for text in row] for row in rows]
    if not is_terminal(sys.stdout):
        for row in shown:
            click.echo("\t".join(row))
        return
    widths = [max(map(len, column)) for column in zip(names, *shown, strict=True)]
    room = max(_LEAST, shutil.get_terminal_size().columns - sum(widths[:-1]) - _GAP * (len(widths) - 1))
    is_right = [name in numbers for name in names]
    styles: list[dict[str, Any]] = [{} for _ in names]
    _print_row(names, widths, is_right, [{"bold": True}] * len(names), room)
    for row in shown:
        is_red = red is not None and row[names.index(red)].startswith("away")
        marked = [{"fg": "red"} if is_red and name == red else style for name, style in zip(names, styles, strict=True)]
        _print_row(row, widths, is_right, marked, room)


def _print_row(
    row: Sequence[str], widths: Sequence[int], is_right: Sequence[bool], styles: Sequence[dict[str, Any]], room: int
) -> None:
    *cells, last = row
    padded = [
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, is_right, strict=False)
    ]
    gap = " " * _GAP
    before = gap.join(_styled(cell, style) for cell, style in zip(padded, styles, strict=False))
    empty = " " * len(gap.join(padded))
    for number, part in enumerate(_folded(last, room)):
        line = f"{empty if number else before}{gap if cells else ''}{_styled(part, styles[-1])}"
        click.echo(line.rstrip())


def _folded(text: str, room: int) -> Iterator[str]:
    """Yield the lines of *text*: a name stays with the type behind it, and what is longer than a line is cut."""
    lines = textwrap.wrap(text.replace(": ", ":\0"), room, break_on_hyphens=False)
    yield from (line.replace("\0", " ") for line in lines or [""])


def _styled(text: str, style: dict[str, Any]) -> str:
    return click.style(text, **style) if style and has_colours() else text
