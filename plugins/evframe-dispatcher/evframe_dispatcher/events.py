"""What is reported of destinations: the event, the reports, and the status of each partition."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

from evframe import EventType, param
from evframe.plugin import PluginContext
from evframe_dispatcher.destinations import Destination, Sets
from evframe_dispatcher.options import DEFAULT
from evframe_dispatcher.state import Change

log = logging.getLogger("evframe.dispatcher")
STATUS: Final = "E_DISPATCHER_STATUS"
_REPORTS: Final = 200
_NO_DATA: Final = (-2, "no data loaded")
_AVAILABLE: Final = (1, "data available")
_RELOADING: Final = (2, "data re-loading")


class StatusChanged(EventType, name=STATUS, kw_only=True):
    """Raised when a destination is used again, or is not used any more."""

    partition: str | None = param(default=None, summary="The partition; left out for the default one.")
    group: int = param(summary="The id of the set.")
    address: str = param(summary="The URI of the destination.")
    status: str = param(summary="`active` or `inactive`: whether it is used now.")
    reason: str = param(summary="What has brought it about.")


class Reporter:
    """Reports through the interface that has loaded the plugin."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._group = context.status.group("dispatcher")

    def changed(self, destination: Destination, change: Change, reason: str) -> None:
        """Report that a destination has another state; the event is for those that are used no more, or again."""
        text = f"destination {destination.uri} of set {destination.set_id} is {change.state}: {reason}"
        self._group.report(text, _events(destination.partition))
        if not change.flipped:
            return
        log.log(
            logging.INFO if destination.active else logging.WARNING,
            "a destination is used again" if destination.active else "a destination is not used any more",
            extra={"uri": destination.uri, "set": destination.set_id, "reason": reason},
        )
        self.raise_status(destination, reason)

    def raise_status(self, destination: Destination, reason: str) -> None:
        """Raise the event with the present state of a destination."""
        params: dict[str, Any] = {} if destination.partition == DEFAULT else {"partition": destination.partition}
        params["group"] = destination.set_id
        params["address"] = destination.uri
        params["status"] = "active" if destination.active else "inactive"
        params["reason"] = reason
        self._context.raise_event(STATUS, params)

    def reloading(self, partitions: Iterable[str]) -> None:
        """Report that destinations are being read again."""
        for name in partitions:
            self._group.set_status(*_RELOADING, name)

    def available(self, sets: Sets, before: Iterable[str] = ()) -> None:
        """Report the partitions that exist; those of *before* that do not are removed."""
        for name in set(before) - set(sets.partitions):
            self._group.remove(name)
            self._group.remove(_events(name))
        for name, of_partition in sets.partitions.items():
            status = _AVAILABLE if of_partition else _NO_DATA
            self._group.add(name, *status)
            self._group.add(_events(name), reports=_REPORTS)
            self._group.set_status(*status, name)


def _events(partition: str) -> str:
    return f"{partition};events"
