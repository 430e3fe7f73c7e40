"""The states of destinations in a file, so that they outlive the process."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from evframe_dispatcher.destinations import Destination, Name
from evframe_dispatcher.state import STATES, State

log = logging.getLogger("evframe.dispatcher")


class StateFile:
    """One JSON file; it is replaced as a whole, so that it is never half written."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._mutex = threading.Lock()
        self._is_unread = False

    @classmethod
    def at(cls, path: str | None) -> StateFile | None:
        """Return the file of a path; None without one."""
        return None if path is None else cls(path)

    def read(self) -> dict[Name, State]:
        """Return the states in the file; none, and a line in the log, if it cannot be read."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return {_name(entry): STATES[entry["state"]] for entry in found["destinations"]}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, LookupError, TypeError) as error:
            problem = {"file": str(self._path), "problem": str(error)}
            log.warning("the states of destinations were not read", extra=problem)
            self._is_unread = True
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
        new = self._path.with_name(f"{self._path.name}.new")
        with self._mutex, open(new, "w", encoding="utf-8", opener=_open_private) as file:
            json.dump({"destinations": entries}, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
            if self._is_unread:
                self._set_aside()
            new.replace(self._path)

    def _set_aside(self) -> None:
        """Keep the file that could not be read beside the new one."""
        names = (self._path.with_name(f"{self._path.name}.damaged{number or ''}") for number in count())
        with suppress(FileNotFoundError):
            self._path.rename(next(name for name in names if not name.exists()))
        self._is_unread = False


def _open_private(path: str, flags: int) -> int:
    """Open a file for its owner alone, whatever its mode was."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor


def _name(entry: Any) -> Name:
    return entry["partition"], entry["set"], entry["uri"]
