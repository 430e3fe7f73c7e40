"""Requests to an interface in the same process."""

from __future__ import annotations

from typing import Final

from evframe import EventInterface
from evframe_mi.dispatcher import Dispatcher
from evframe_mi.options import ManagementOptions, Options
from evframe_mi.plugin import NAME, Management

ANY_SCHEME: Final = Options(ManagementOptions(schemes=["*"]))
"""Options with which clients may subscribe every scheme, `memory` included."""


def management(events: EventInterface) -> Dispatcher:
    """Return the dispatcher of requests to *events*, which has the plugin of this package."""
    plugin = events.plugin(NAME)
    assert isinstance(plugin, Management)
    return plugin.dispatcher
