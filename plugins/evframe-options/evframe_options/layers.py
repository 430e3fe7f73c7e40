"""Layers of a configuration: its file, the files that it includes, and the settings of the command line."""

from __future__ import annotations

import glob
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, Final

import attrs

from evframe_options.files import regular_file
from evframe_options.settings import Setting
from evframe_options.structuring import structure
from evframe_options.toml_lines import NOT_TOML, key_lines, paths_of, with_places

INCLUDE: Final = "include"
"""The key, at the top of the file, with the patterns of the files that it includes."""
_MOST_BYTES: Final = 64 << 20


@attrs.frozen
class Part:
    """One file, or a text without one."""

    file: str | None
    text: str
    offsets: dict[str, int] = attrs.field(factory=dict)
    """How many tables of an array other files have before those of this one, by the path of the array."""

    def lines(self) -> Iterator[tuple[str, int]]:
        """Yield the path of each key among the tables of all files, with its line in this one."""
        for path, line in key_lines(self.text).items():
            head, bracket, rest = path.partition("[")
            index, _, end = rest.partition("]")
            is_moved = bracket and head in self.offsets
            yield f"{head}[{int(index) + self.offsets[head]}]{end}" if is_moved else path, line


@attrs.define(slots=False)
class Layers:
    """The tables of all layers together."""

    path: str | None
    """The file; None for a text without one."""
    settings: Sequence[Setting] = ()
    tables: dict[str, Any] = attrs.field(factory=dict)
    problems: list[str] = attrs.field(factory=list)
    """The problems of the files, each with its place."""
    parts: list[Part] = attrs.field(factory=list)
    _lines: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)  # the place of each key in a file
    _read: int = attrs.field(default=0, init=False, repr=False)  # how many parts these are of

    @property
    def files(self) -> list[str]:
        """The files that were read, in their order."""
        return [part.file for part in self.parts if part.file is not None]

    def placed(self, problems: Iterable[str]) -> list[str]:
        """Return *problems*, each of which begins with the path of a key, after the file and the line of that key.

        A key that is missing has the line of the nearest table above it. A problem of the files has its place already.
        """
        if self.path is None:
            return list(problems)
        own = set(self.problems)
        return [each if each in own else f"{_place(self._places, each) or self.path}: {each}" for each in problems]

    @property
    def _in_files(self) -> dict[str, str]:
        """The place of each key in the files, which are looked through once, when a problem needs it."""
        for part in self.parts[self._read :]:
            for path, line in part.lines():
                self._lines.setdefault(path, f"{part.file}:{line}")
        self._read = len(self.parts)
        return self._lines

    @cached_property
    def _places(self) -> Mapping[str, str]:
        """The place of each key, once all files are read."""
        places = self._in_files
        for setting in self.settings:
            inner = tuple(f"{setting.path}{sign}" for sign in ".[")
            places = {path: place for path, place in places.items() if not path.startswith(inner)}
            places[setting.path] = f"--set {setting.path}"
            for end in range(1, len(setting.keys)):
                places.setdefault(".".join(setting.keys[:end]), places[setting.path])
        return places

    def take(self, part: Part, tables: dict[str, Any]) -> None:
        """Add the *tables* of a file; a key that another file has is a problem."""
        try:
            twice = list(_merge(self.tables, tables, "", part.offsets))
        except RecursionError:
            self.problems.append(f"{part.file}: expected tables in fewer others")
            return
        there = dict(part.lines()) if twice else {}
        for path in twice:
            expected = f"expected a key that no other file has, got that of {_place(self._in_files, path)}"
            self.problems.append(f"{part.file}:{there.get(path, 1)}: {path}: {expected}")
        self.parts.append(part)


def _place(places: Mapping[str, str], problem: str) -> str | None:
    """Return the place of the key that *problem* begins with, or of the nearest table above it."""
    return next((places[path] for path in paths_of(problem) if path in places), None)


def _merge(tables: dict[str, Any], more: dict[str, Any], above: str, offsets: dict[str, int]) -> Iterator[str]:
    """Add *more* to *tables*, and yield the path of each key that both have; *offsets* gets those of joined arrays."""
    for key, value in more.items():
        path = f"{above}.{key}" if above else key
        known = tables.get(key)
        if key not in tables:
            tables[key] = value
        elif isinstance(known, dict) and isinstance(value, dict):
            yield from _merge(known, value, path, offsets)
        elif _are_tables(known) and _are_tables(value):
            offsets[path] = len(tables[key])
            tables[key] = [*tables[key], *value]
        else:
            yield path


def _are_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def layers_of(text: str) -> Layers:
    """Return the layers of a *text* without a file, which includes none."""
    layers = Layers(None)
    tables = _tables(text, layers.problems)
    if INCLUDE in tables:
        layers.problems.append(f"{INCLUDE}: expected files to be included by a file, got {tables.pop(INCLUDE)!r}")
    layers.take(Part(None, text), tables)
    return layers


def read_layers(path: str | Path, settings: Sequence[Setting] = ()) -> Layers:
    """Return the layers of the file *path*: the file, those that it includes, and *settings*, which replace values.

    The key ``include`` has patterns, which are relative to the folder of the file. The files of each are read in the
    order of their names, each file once; an included file includes no others. Tables are joined, and arrays of tables
    follow each other. A key that two files have is a problem, and so is a name without wildcards of no file.
    """
    layers = Layers(str(path), settings)
    found = _read(str(path), is_included=False, problems=layers.problems)
    if found is not None:
        part, tables = found
        problems: list[str] = []
        patterns = structure(tables.pop(INCLUDE, []), list[str], INCLUDE, problems) or []
        layers.take(part, tables)
        names = list(_included(str(path), patterns, problems))
        layers.problems += with_places(str(path), part.text, problems)
        for name in names:
            _include(layers, name)
    for setting in settings:
        try:
            if setting.keys[0] == INCLUDE:
                raise ValueError(f"{INCLUDE}: expected this key in a file alone")
            setting.apply(layers.tables)
        except ValueError as error:
            layers.problems.append(f"--set {setting.path}: {error}")
    return layers


def _include(layers: Layers, name: str) -> None:
    found = _read(name, is_included=True, problems=layers.problems)
    if found is not None:
        part, tables = found
        if tables.pop(INCLUDE, None) is not None:
            problem = f"{INCLUDE}: expected this key in {layers.path} alone: an included file includes no others"
            layers.problems += with_places(name, part.text, [problem])
        layers.take(part, tables)


def _included(path: str, patterns: Sequence[str], problems: list[str]) -> Iterator[str]:
    """Yield the files that *patterns* match, each once; add the problems of a pattern without its file or folder."""
    seen = {os.path.realpath(path)}
    for index, pattern in enumerate(patterns):
        whole = os.path.join(os.path.dirname(path), pattern)
        has_wildcards = glob.has_magic(pattern)
        problem = _problem_of_folder(os.path.dirname(whole)) if has_wildcards else None
        if "\0" in pattern or not pattern:
            problem = f"expected the name of a file, got {pattern!r}"
        if problem is not None:
            problems.append(f"{INCLUDE}[{index}]: {problem}")
            continue
        for name in sorted(glob.glob(whole)) if has_wildcards else [whole]:
            real = _real(name)
            if real not in seen:
                seen.add(real)
                yield name


def _real(name: str) -> str:
    try:
        return os.path.realpath(name)
    except OSError:  # reading the file says why
        return name


def _problem_of_folder(folder: str) -> str | None:
    """Return why a folder cannot be listed, which a pattern would take for a folder without files."""
    try:
        if not glob.has_magic(folder):
            os.scandir(folder or ".").close()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        return f"{folder}: {getattr(error, 'strerror', None) or error}"
    return None


def _read(path: str, *, is_included: bool, problems: list[str]) -> tuple[Part, dict[str, Any]] | None:
    """Return the file *path* with its tables; None if it cannot be read."""
    try:
        data = _regular(path) if is_included else _bounded(path)
        text = data.decode("utf-8").replace("\r\n", "\n")
    except OSError as error:
        problems.append(f"{path}: {error.strerror or error}")
        return None
    except UnicodeDecodeError as error:
        problems.append(f"{path}: expected UTF-8, got the byte {error.object[error.start]:#x} at {error.start}")
        return None
    found: list[str] = []
    tables = _tables(text, found)
    problems += with_places(path, text, found)
    return Part(path, text), tables


def _regular(path: str) -> bytes:
    with regular_file(path) as file:
        if file is None:
            raise OSError("expected a regular file")
        return _first(file)


def _bounded(path: str) -> bytes:
    """Return what a file has, which may be a pipe, such as `/dev/stdin`."""
    with open(path, "rb") as file:
        return _first(file)


def _first(file: BufferedReader) -> bytes:
    data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise OSError(f"expected at most {_MOST_BYTES >> 20} MiB")
    return data


def _tables(text: str, problems: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a ValueError of Python
        problems.append(f"{NOT_TOML}{error}")
        return {}
