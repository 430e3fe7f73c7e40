"""Paths with parameters of the event: ``/var/log/{method}.log``."""

from __future__ import annotations

import os
import re
from typing import Final

from evframe import Event
from evframe.plugin import UNFIT, Template, UnfitError, template_of

_MOST_BYTES: Final = 255  # of one part of a path
_SPARE_BYTES: Final = 9  # for the end of a compressed file's name
_ENCODED: Final = re.compile(r"[/%\x00-\x1f\x7f-\x9f]|^\.")


def encode(value: str) -> str:
    """Return *value* as a piece of a file's name, which neither ends the name nor hides it; two stay different."""
    return _ENCODED.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), value)


class PathTemplate:
    """A path with parameters.

    Raises:
        ValueError: if it could leave its folder, or a folder that need not exist has a parameter.
    """

    def __init__(self, template: Template, path: str, *, makes_directories: bool) -> None:
        self._template = template
        self.parameters = template.parameters
        self.root = os.path.dirname(template.before) or "."
        """The folder before the first parameter."""
        if ".." in self.example[len(self.root) :].split("/"):
            raise ValueError(f"expected no '..' behind a parameter, got {path!r}")
        if not makes_directories and "/" in self.example[len(template.before) :]:
            raise ValueError(f"expected the option make_directories for a folder with a parameter, got {path!r}")

    def path_of(self, event: Event, suffix: str) -> str:
        """Return the path for *event*.

        Args:
            event: whose parameters are in it.
            suffix: that the file will have behind it, as far as its length goes.

        Raises:
            UnfitError: if a parameter is missing, or does not make the name of a file.
        """
        path = self._template.text_of(event)
        parts = path[len(self.root) :].split("/") if self.root != "." else path.split("/")
        names = [part for part in parts if part]
        if not names or not parts[-1] or {".", ".."} & set(names):
            raise UnfitError(UNFIT)
        most = _MOST_BYTES - _SPARE_BYTES
        if max(len(os.fsencode(part)) for part in (*parts[:-1], parts[-1] + suffix)) > most:
            raise UnfitError(UNFIT)
        return path

    @property
    def example(self) -> str:
        """A path that it may be."""
        return self._template.filled(lambda _: "0")


def path_template(path: str, *, makes_directories: bool) -> tuple[str, PathTemplate | None]:
    """Return the path itself, and None or what makes paths of events of it."""
    template = template_of(path, encode)
    if template is None:
        return path, None
    if not template.parameters:
        return template.before, None
    return path, PathTemplate(template, path, makes_directories=makes_directories)


def is_within(name: str, root: str) -> bool:
    """Return whether the file called *name* is below the folder *root*, wherever links lead to."""
    real = os.path.join(os.path.realpath(root), "")
    return os.path.realpath(name).startswith(real)
