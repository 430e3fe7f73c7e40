"""The table of the configuration."""

from __future__ import annotations

import attrs

from evframe.plugin import at_least
from evframe_journal.letters import Bounds


def _has_pages(options: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value:
        at_least(1_048_576)(options, attribute, value)


@attrs.frozen
class Options:
    """The table ``[plugins.journal]``."""

    path: str | None = None
    """The file in which events wait, and which may hold passwords. Left out, a gateway has one in systemd's
    ``StateDirectory``, or beside its configuration; a service has to name one."""
    store_after_ms: int = attrs.field(default=20, validator=at_least(2))
    """After how many milliseconds an event that is not delivered yet is written, at the latest."""
    memory_bytes: int = attrs.field(default=67_108_864, validator=at_least(1_048_576))
    """How many bytes the events of all kept subscribers may take in memory together, 256 of them for each event beside
    its payload, and 320 beside its headers if it has any; 64 events of each subscriber may be there always."""
    max_bytes: int = attrs.field(default=0, validator=[at_least(0), _has_pages])
    """How many bytes the file may have, beside its write-ahead log; 0 for any size, or 1,048,576 and more."""
    min_free_bytes: int = attrs.field(default=16_777_216, validator=at_least(0))
    """How many bytes of the file's file system stay free: with fewer, no event is written."""
    orphan_keep_s: int = attrs.field(default=86_400, validator=at_least(0))
    """For how many seconds after the start events on disk are kept for a subscriber that has not come back."""
    dead_max_bytes: int = attrs.field(default=268_435_456, validator=at_least(0))
    """How many bytes of dead letters are kept, each with 256 beside its payload and names; the oldest are dropped.
    Letters have at most half of ``max_bytes``."""
    dead_max_age_s: int = attrs.field(default=2_592_000, validator=at_least(0))
    """For how many seconds dead letters are kept; 0 for any time."""

    @property
    def dead_bounds(self) -> Bounds:
        """How many dead letters are kept; events that wait need room in the file, too."""
        most = min(self.dead_max_bytes, self.max_bytes // 2) if self.max_bytes else self.dead_max_bytes
        return Bounds(most, self.dead_max_age_s)
