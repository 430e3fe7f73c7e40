"""The subscribers of a gateway as a table that fits the width of the terminal."""

from __future__ import annotations

import re
from typing import Final

from evframe_wire.visible import visible
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from evframe_client.commands.rows import Row, Sample, Total

_WIDE: Final = 120  # columns, from which there is room for the reason of a state and for what was lost lately
_LEAST: Final = 16  # characters of a socket
_NARROW: Final = ("SOCKET", "STATE", "SINCE", "RATE", "DEPTH", "OLDEST", "FAILED", "REASON", "LEASE")
_NAMES: Final = (*_NARROW[:7], "LOSS", *_NARROW[7:])
_NUMBERS: Final = frozenset(_NAMES) - {"SOCKET", "STATE", "REASON"}
_STATES: Final = {"connected": "green", "away": "bold red", "unknown": "dim"}
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "m"))
_EXACT: Final = 100  # a rate from which no digits follow the point
_LONG_S: Final = 10.0  # that an event has waited
_RECENT_S: Final = 60.0  # since a failure


class SubscriberTable:
    """Renders a sample at whatever width the console has; sockets that do not fit are shortened in the middle.

    Args:
        sample: what is shown.
        column: that the rows are sorted by, whose name is underlined.
        most: how many rows are shown.
    """

    def __init__(self, sample: Sample, column: str | None = None, most: int | None = None) -> None:
        self._rows = sample.rows[:most]
        self._column = column

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table."""
        width = options.max_width
        is_wide = width >= _WIDE
        names = _NAMES if is_wide else _NARROW
        lines = [_cells(row, is_wide=is_wide) for row in self._rows]
        widths = [max(map(cell_len, column)) for column in zip(names, *lines, strict=True)]
        gap = 2 if is_wide else 1
        room = width - gap * (len(widths) - 1)
        reason = names.index("REASON")
        widths[0] = max(min(widths[0], _LEAST), widths[0] - max(sum(widths) - room, 0))
        widths[reason] = max(len("REASON"), widths[reason] - max(sum(widths) - room, 0))
        table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, header_style="bold")
        for name, most in zip(names, widths, strict=True):
            header = Text(name, "underline" if name.lower() == self._column else "")
            table.add_column(header, justify="right" if name in _NUMBERS else "left", width=most, no_wrap=True)
        for row, cells in zip(self._rows, lines, strict=True):
            cells[0], cells[reason] = shortened(cells[0], widths[0]), shortened(cells[reason], widths[reason])
            styles = _styles(row)
            table.add_row(*(Text(cell, styles.get(name, "")) for name, cell in zip(names, cells, strict=True)))
        yield table


def shortened(text: str, most: int) -> str:
    """Return *text* with at most *most* columns of a terminal: of a longer one, the beginning and the end."""
    if cell_len(text) <= most:
        return text
    end = (most - 1) // 2
    last = set_cell_size(text[::-1], end)[::-1]
    return f"{set_cell_size(text, most - 1 - end)}…{last}"


def print_table(sample: Sample, column: str, console: Console) -> None:
    """Print the table of *sample*, below its sums on a terminal; elsewhere without spaces at the ends of lines."""
    if console.is_terminal:
        console.print(total_line(sample.total, console.width))
        console.print(SubscriberTable(sample, column))
        return
    with console.capture() as captured:
        console.print(SubscriberTable(sample))
    console.file.write(re.sub(r" +$", "", captured.get(), flags=re.MULTILINE))


def total_line(total: Total, width: int) -> Text:
    """Return the sums in a line; what is not reported is left out, and where there is no room, the good news."""
    for without in ((), ("unknown",), ("unknown", "connected"), ("unknown", "connected", "rate")):
        line = _sums(total, frozenset(without))
        if line.cell_len <= width:
            break
    line.truncate(width, overflow="ellipsis")
    return line


def _sums(total: Total, without: frozenset[str]) -> Text:
    shown = "" if total.matched == total.subscribers else f"{total.matched} of "
    line = Text(f"{shown}{total.subscribers} subscriber{'s'[: total.subscribers != 1]}")
    parts = {
        name: Text(f"{number} {name}", style) for name, style in _STATES.items() if (number := getattr(total, name))
    }
    if total.rate is not None:
        parts["rate"] = Text(f"{_count(total.rate)}/s")
    if total.depth:
        parts["depth"] = Text(f"{_count(total.depth)} waiting", "yellow")
    if total.failed:
        parts["failed"] = _losses(total)
    for name, part in parts.items():
        if name not in without:
            line.append("  ").append_text(part)
    return line


def _losses(total: Total) -> Text:
    line = Text(f"{_count(total.failed)} failed", "red")
    if total.loss:
        line.append(f" ({_count(total.loss)}/s)", "bold red")
    return line


def _styles(row: Row) -> dict[str, str]:
    """Return the style of each cell that has one."""
    is_late = row.oldest is not None and row.oldest >= _LONG_S
    is_recent = row.reason_age is None or row.reason_age < _RECENT_S
    of_state = _STATES.get(row.state or "", "")
    return {
        "STATE": of_state,
        "SINCE": of_state if row.state == "away" else "",
        "RATE": "" if row.rate else "dim",
        "DEPTH": "yellow" if row.depth else "dim",
        "OLDEST": "bold yellow" if is_late else "",
        "FAILED": ("bold red" if row.loss else "red") if row.failed else "dim",
        "LOSS": "bold red" if row.loss else "dim",
        "REASON": "" if is_recent else "dim",
        "LEASE": "dim" if row.lease == "never" else "",
    }


def _cells(row: Row, *, is_wide: bool) -> list[str]:
    """Return the texts of a row; the narrow table has one reason, that of the state before that of the last failure."""
    state, reason, loss = row.state or "", row.reason or "", []
    if is_wide:
        state = f"away: {row.away}" if row.away is not None else state
        if row.reason is not None and row.reason_age is not None:
            reason += " now" if row.reason_age < 1 else f" {duration(row.reason_age)} ago"
        loss = [_count(row.loss)]
    elif row.away is not None:
        reason = row.away
    cells = [
        row.socket,
        state,
        duration(row.since),
        _count(row.rate),
        _count(row.depth),
        duration(row.oldest),
        _count(row.failed),
        *loss,
        reason,
        row.lease if isinstance(row.lease, str) else duration(row.lease),
    ]
    return [visible(cell) for cell in cells]


def duration(seconds: float | None) -> str:
    """Return a time in its largest unit, such as ``3h``."""
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
    is_exact = isinstance(number, int) or not number or number >= _EXACT
    return f"{number:.0f}" if is_exact else f"{number:.1f}"
