"""The cgroups that a process's memory is counted in, of version 1 or 2 (`man 7 cgroups`)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import attrs


@attrs.frozen
class _Names:
    limit: str
    used: str
    cache: str  # the line of memory.stat with what can be given back at once


_V1: Final = _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_V2: Final = _Names("memory.max", "memory.current", "inactive_file")


@attrs.frozen
class MemoryGroup:
    """One cgroup."""

    directory: str
    _names: _Names

    def limit(self) -> int | None:
        """Return how many bytes it may use; None for no limit."""
        text = _read(f"{self.directory}/{self._names.limit}").strip()
        return int(text) if text.isdigit() else None

    def used(self) -> int:
        """Return how many bytes it uses, less the caches that the kernel gives back first.

        Raises:
            OSError: if that cannot be read.
        """
        with open(f"{self.directory}/{self._names.used}", encoding="ascii") as file:
            used = int(file.read())
        for line in _read(f"{self.directory}/memory.stat").splitlines():
            name, _, value = line.partition(" ")
            if name == self._names.cache:
                used -= int(value)
        return max(0, used)


def memory_groups(root: str = "/") -> list[MemoryGroup]:
    """Return the cgroups of this process that count memory, the innermost first; none when there are no such.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    root = root.rstrip("/")
    paths = dict(_paths(_read(f"{root}/proc/self/cgroup")))
    names = _V1 if "memory" in paths else _V2
    path = paths.get("memory", paths.get(""))
    for mount_root, mounted in _mounts(_read(f"{root}/proc/self/mountinfo"), names):
        if path is not None:
            top = root + mounted
            return [MemoryGroup(directory, names) for directory in _upwards(top, _below(path, mount_root))]
    return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return ""


def _paths(text: str) -> Iterator[tuple[str, str]]:
    """Yield each controller with its path, from /proc/self/cgroup; version 2 has the controller ``""``."""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            yield "", path
        else:
            for controller in controllers.split(","):
                yield controller, path


def _mounts(text: str, names: _Names) -> Iterator[tuple[str, str]]:
    """Yield the root within the hierarchy, and the directory, of each mount, from /proc/self/mountinfo."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind == "cgroup2" if names is _V2 else kind == "cgroup" and "memory" in options.split(","):
            mount_root, directory = before.split(" ")[3:5]
            yield mount_root, directory


def _below(path: str, mount_root: str) -> str:
    """Return *path* as it is below the mount; in a container the path may be one outside of it."""
    if ".." in path.split("/"):
        return ""
    if mount_root != "/" and (path == mount_root or path.startswith(f"{mount_root}/")):
        path = path[len(mount_root) :]
    return path.strip("/")


def _upwards(top: str, path: str) -> Iterator[str]:
    """Yield *path* below *top*, then each directory above it, as far as they exist."""
    parts = [part for part in path.split("/") if part]
    for count in range(len(parts), -1, -1):
        directory = os.path.normpath("/".join([top, *parts[:count]]))
        if os.path.isdir(directory):
            yield directory
