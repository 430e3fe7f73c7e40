"""The rows of events, which stay from one snapshot to the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from evframe_timing import Slices, portions

from evframe_web.rows import EventRow

if TYPE_CHECKING:
    from evframe.plugin import Channel

_AT_ONCE: Final = 64


class EventRows:
    """Reads events in slices of the loop.

    The rows are kept, as those of subscribers are: ten thousand new ones would have the collector of garbage hold up
    the loop for milliseconds.
    """

    def __init__(self) -> None:
        self._rows: dict[str, EventRow] = {}

    async def read(
        self, channels: Iterable[Channel], sources: Mapping[str, str], seconds: float | None, slices: Slices
    ) -> list[EventRow]:
        """Return the row of each event.

        Args:
            channels: the events.
            sources: the plugins that declare them, by their names.
            seconds: since the snapshot before, of which the rates are; None without one.
            slices: lets the loop serve others.
        """
        rows: dict[str, EventRow] = {}
        for portion in portions(channels, _AT_ONCE):
            for channel in portion:
                rows[channel.name] = self._row(channel, sources, seconds)
            await slices.pause()
        self._rows = rows
        return list(rows.values())

    def _row(self, channel: Channel, sources: Mapping[str, str], seconds: float | None) -> EventRow:
        name, raised = channel.name, channel.raised
        row = self._rows.get(name)
        rate = max(0, raised - row.raised) / seconds if seconds and row is not None else None
        if row is None:
            row = EventRow(name)
        row.raised, row.rate, row.leases = raised, rate, len(channel.leases)
        row.source = sources.get(name, "")
        row.summary = "" if channel.declaration is None else channel.declaration.summary
        return row

    def forget(self) -> None:
        """Drop the rows."""
        self._rows = {}
