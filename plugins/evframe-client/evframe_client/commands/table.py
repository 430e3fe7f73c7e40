"""The subscribers of a gateway as a table that fits the width of the terminal."""

from __future__ import annotations

import re
from typing import Final

from evframe_wire.visible import visible
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from evframe_client.commands.samples import Row, Sample

_WIDE: Final = 100  # columns, from which the reason of a state is shown and more space is between the columns
_LEAST: Final = 16  # characters of a socket
_NAMES: Final = ("SOCKET", "STATE", "SINCE", "RATE", "DEPTH", "OLDEST", "FAILED", "REASON", "LEASE")
_NUMBERS: Final = frozenset({"SINCE", "RATE", "DEPTH", "OLDEST", "FAILED", "LEASE"})
_STYLES: Final = {"connected": "green", "away": "bold red"}
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))


class SubscriberTable:
    """Renders a sample at whatever width the console has; sockets that do not fit are shortened in the middle."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table."""
        width = options.max_width
        is_wide = width >= _WIDE
        lines = [_cells(row, is_wide=is_wide) for row in self._sample.rows]
        widths = [max(len(cell) for cell in column) for column in zip(_NAMES, *lines, strict=True)]
        gap = 2 if is_wide else 1
        room = width - gap * (len(widths) - 1)
        reason = _NAMES.index("REASON")
        too_much = sum(widths) - room
        widths[0] = max(min(widths[0], _LEAST), widths[0] - max(too_much, 0))
        too_much = sum(widths) - room
        widths[reason] = max(len("REASON"), widths[reason] - max(too_much, 0))
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
        for name, most in zip(_NAMES, widths, strict=True):
            table.add_column(name, justify="right" if name in _NUMBERS else "left", width=most, no_wrap=True)
        for row, cells in zip(self._sample.rows, lines, strict=True):
            cells[0], cells[reason] = shortened(cells[0], widths[0]), shortened(cells[reason], widths[reason])
            styles = {1: _STYLES.get(row.state or "", ""), 6: "red" if row.failed else ""}
            table.add_row(*(Text(cell, styles.get(at, "")) for at, cell in enumerate(cells)))
        yield table


def shortened(text: str, most: int) -> str:
    """Return *text* with at most *most* characters: of a longer one, the beginning and the end."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def print_table(sample: Sample, console: Console) -> None:
    """Print the table of *sample*, without spaces at the ends of lines where there are no colours."""
    if console.is_terminal:
        console.print(SubscriberTable(sample))
        return
    with console.capture() as captured:
        console.print(SubscriberTable(sample))
    console.file.write(re.sub(r" +$", "", captured.get(), flags=re.MULTILINE))


def _cells(row: Row, *, is_wide: bool) -> list[str]:
    state = f"away: {row.away}" if is_wide and row.away is not None else row.state or ""
    cells = [
        row.socket,
        state,
        _duration(row.since),
        _count(row.rate),
        _count(row.depth),
        _duration(row.oldest),
        _count(row.failed),
        row.reason or "",
        row.lease if isinstance(row.lease, str) else _duration(row.lease),
    ]
    return [visible(cell) for cell in cells]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{int(seconds)}s"


def _count(number: float | None) -> str:
    if number is None:
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1000 if unit == 'k' else size):.1f}{unit}"
    return f"{number:.1f}" if isinstance(number, float) else str(number)
