"""A small file of JSON that is replaced as a whole."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from typing import Any

from evframe_files.private import name_aside, open_private, sync_folder


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
            ValueError: if it is not JSON, or nested too deep.
        """
        try:
            with open(self._path, encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return None
        except RecursionError:
            raise ValueError("expected JSON, got what is nested too deep") from None

    def write(self, value: Any) -> None:
        """Write *value*, which is on the disk when this returns; from any thread.

        Raises:
            OSError: if it cannot be written; the file is as it was.
        """
        new = f"{self._path}.new"
        with self._mutex:
            try:
                with open(new, "w", encoding="utf-8", opener=open_private) as file:
                    json.dump(value, file, indent=1)
                    file.flush()
                    os.fsync(file.fileno())
                if self.is_damaged:
                    _keep_aside(self._path)
                os.replace(new, self._path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(new)  # a full disk has no room for it
                raise
            self.is_damaged = False
            sync_folder(self._path)


def _keep_aside(path: str) -> None:
    """Give the file another name, too; it keeps its own until another file replaces it."""
    aside = name_aside(path)
    with suppress(FileNotFoundError):
        try:
            os.link(path, aside)
        except FileNotFoundError:
            raise
        except OSError:  # of a file system without hard links
            os.rename(path, aside)
