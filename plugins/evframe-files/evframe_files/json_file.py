"""A small file of JSON that is replaced as a whole."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import Any

from evframe_files.private import name_aside, open_private


class JsonFile:
    """One value in a file that is its owner's alone, and never half written.

    Args:
        path: the file; a link stays one.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        self._mutex = threading.Lock()
        self.is_damaged = False
        """Whether the file is kept aside, as ``.damaged``, when it is written next."""

    def read(self) -> Any:
        """Return the value, or None where there is no file.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is not JSON.
        """
        try:
            with open(self._path, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None

    def write(self, value: Any) -> None:
        """Write *value*, which is on the disk when this returns; from any thread.

        Raises:
            OSError: if it cannot be written; the file is as it was.
        """
        new = f"{self._path}.new"
        with self._mutex, open(new, "w", encoding="utf-8", opener=open_private) as file:
            json.dump(value, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
            if self.is_damaged:
                with suppress(FileNotFoundError):
                    os.rename(self._path, name_aside(self._path))
                self.is_damaged = False
            os.replace(new, self._path)
