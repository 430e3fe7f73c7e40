"""Status and reports: the health of each part of the service.

Each part has a group of identifiers. An identifier has a status, an optional text about the status,
and a bounded list of reports. A positive status is ready, a negative one is not.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import attrs

MAIN: Final = "main"
READY: Final = 1


@attrs.frozen
class StatusChange:
    """An identifier whose status is another one than before."""

    group: str
    identifier: str
    status: int
    details: str | None
    old_status: int


@attrs.frozen
class Report:
    """A line of an identifier's history; *at* is Unix time in seconds."""

    at: float
    text: str


class Identifier:
    """One thing that has a status."""

    __slots__ = ("details", "name", "reports", "status")

    def __init__(self, name: str, status: int, details: str | None, reports: int) -> None:
        self.name = name
        self.status = status or READY
        self.details = details
        self.reports: deque[Report] = deque(maxlen=reports)

    @property
    def ready(self) -> bool:
        """Whether it can be used."""
        return self.status > 0


class StatusGroup:
    """The identifiers of one part; their names are compared without their case."""

    def __init__(self, name: str, changed: Callable[[StatusChange], None], clock: Callable[[], float]) -> None:
        self.name = name
        self._changed = changed
        self._clock = clock
        self._identifiers: dict[str, Identifier] = {}

    def __iter__(self) -> Iterator[Identifier]:
        return iter(self._identifiers.values())

    def find(self, identifier: str = MAIN) -> Identifier | None:
        """Return an identifier, or None."""
        return self._identifiers.get(identifier.casefold())

    @property
    def aggregated(self) -> int:
        """The status of all identifiers together: 1, or -1 when one is not ready."""
        return READY if all(identifier.ready for identifier in self) else -READY

    def add(
        self, identifier: str = MAIN, status: int = READY, details: str | None = None, *, reports: int = 0
    ) -> Identifier:
        """Add an identifier, or return the existing one; `status_changed` is not called.

        Args:
            identifier: its name.
            status: the first status; 0 stands for 1.
            details: a text about the status.
            reports: how many reports are kept, the newest ones.
        """
        return self._identifiers.setdefault(identifier.casefold(), Identifier(identifier, status, details, reports))

    def remove(self, identifier: str) -> None:
        """Remove an identifier, if it exists; `status_changed` is not called."""
        self._identifiers.pop(identifier.casefold(), None)

    def set_status(self, status: int, details: str | None = None, identifier: str = MAIN) -> None:
        """Set a status; `status_changed` is called for another number, but not for another text alone.

        Raises:
            LookupError: if there is no such identifier.
        """
        found = self._known(identifier)
        old, found.status, found.details = found.status, status or READY, details
        if found.status != old:
            self._changed(StatusChange(self.name, found.name, found.status, details, old))

    def report(self, text: str, identifier: str = MAIN) -> None:
        """Add a report; `status_changed` is not called.

        Raises:
            LookupError: if there is no such identifier.
        """
        self._known(identifier).reports.append(Report(self._clock(), text))

    def _known(self, identifier: str) -> Identifier:
        found = self.find(identifier)
        if found is None:
            raise LookupError(f"status group {self.name!r}: expected an identifier, got {identifier!r}")
        return found


class StatusRegistry:
    """The groups; their names are compared without their case.

    Args:
        changed: called with every change.
        clock: the time of reports, Unix time in seconds.
    """

    def __init__(self, changed: Callable[[StatusChange], None], clock: Callable[[], float] = time.time) -> None:
        self._changed = changed
        self._clock = clock
        self._groups: dict[str, StatusGroup] = {}

    def __iter__(self) -> Iterator[StatusGroup]:
        return iter(self._groups.values())

    def group(self, name: str) -> StatusGroup:
        """Return the group called *name*, which is made at the first call."""
        return self._groups.setdefault(name.casefold(), StatusGroup(name, self._changed, self._clock))

    def find(self, name: str) -> StatusGroup | None:
        """Return the group called *name*, or None."""
        return self._groups.get(name.casefold())
