"""What the plugin looks at beside the journal: the file, and the queues of others."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from evframe_wire.keys import key_of

if TYPE_CHECKING:
    from evframe.plugin import PluginContext
    from evframe_journal.bounds import Kept

log = logging.getLogger("evframe.journal")


def size_of(path: str) -> int:
    """Return the bytes of the file, and of the log that SQLite writes before it."""
    size = 0
    for each in (path, f"{path}-wal") if path else ():
        with suppress(OSError):  # made with the first event
            size += os.stat(each).st_size
    return size


def report_waiting(context: PluginContext, kept: Mapping[str, Kept] | None, path: str) -> bool:
    """Log an error when the file has events for subscribers that have other queues; return whether it has.

    Args:
        context: of the plugin.
        kept: what the file has, by the keys of those without a queue of the journal.
        path: of the file.
    """
    keys = map(key_of, context.roster.by_socket)
    events = sum(kept[key].count for key in keys if key in kept) if kept else 0
    if events:
        expected = 'a start with keep = "disk" in the policies, and without a fleet, until journal:on_disk is 0'
        extra = {"path": path, "events": events, "expected": expected}
        log.error("events on disk wait, because their subscribers have queues elsewhere", extra=extra)
    return bool(events)
