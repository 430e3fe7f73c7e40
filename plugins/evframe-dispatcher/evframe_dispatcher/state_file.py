"""The states of destinations in a file, so that they outlive the process."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from evframe_files.json_file import JsonFile

from evframe_dispatcher.destinations import Destination, Name
from evframe_dispatcher.state import STATES, State

log = logging.getLogger("evframe.dispatcher")


class StateFile:
    """One JSON file; it is replaced as a whole, so that it is never half written."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = JsonFile(path)

    @classmethod
    def at(cls, path: str | None) -> StateFile | None:
        """Return the file of a path; None without one."""
        return None if path is None else cls(path)

    def read(self) -> dict[Name, State]:
        """Return the states in the file; none, and a line in the log, if it cannot be read."""
        try:
            found = self._file.read()
            entries = [] if found is None else found["destinations"]
            return {_name(entry): STATES[entry["state"]] for entry in entries}
        except (OSError, ValueError, LookupError, TypeError) as error:
            log.warning("the states of destinations were not read", extra={"file": self._path, "problem": str(error)})
            self._file.is_damaged = True
            return {}

    def write(self, destinations: Iterable[Destination]) -> None:
        """Write the states; waits for the disk.

        Raises:
            OSError: if they cannot be written; the file is as it was.
        """
        entries = [
            {
                "partition": each.partition,
                "set": each.set_id,
                "uri": each.uri,
                "state": STATES.index(each.health.state),
            }
            for each in destinations
        ]
        self._file.write({"destinations": entries})


def _name(entry: Any) -> Name:
    return entry["partition"], entry["set"], entry["uri"]
