"""What the plugin looks at beside the journal: the file, and the queues of others."""

from __future__ import annotations

import os
from collections.abc import Container
from contextlib import suppress
from typing import TYPE_CHECKING

from evframe_wire.keys import key_of

if TYPE_CHECKING:
    from evframe.plugin import PluginContext


def size_of(path: str) -> int:
    """Return the bytes of the file, and of the log that SQLite writes before it."""
    size = 0
    for each in (path, f"{path}-wal") if path else ():
        with suppress(OSError):  # made with the first event
            size += os.stat(each).st_size
    return size


def has_elsewhere(context: PluginContext, kept: Container[str]) -> bool:
    """Return whether a subscriber whose policy says ``disk`` has a queue of another plugin.

    Args:
        context: of the plugin.
        kept: the keys of those with queues of the journal.
    """
    by_socket = context.roster.by_socket.items()
    return any(each.policy.keep == "disk" and key_of(canonical) not in kept for canonical, each in by_socket)
