"""The line on which each key of a TOML text stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from typing import Any, Final

NOT_TOML: Final = "not TOML: "
"""What the problem of a text that is no TOML begins with."""
_LINE: Final = re.compile(r"at line (\d+)")
_LAST_STEP: Final = re.compile(r"\[\d+\]$|\.[^.\[]*$")
_UNKNOWN_KEY: Final = re.compile(r"(?P<path>[^:]*): unknown key '(?P<key>[^']*)'")


def with_places(file: str, text: str, problems: Iterable[str]) -> list[str]:
    """Return *problems*, each of which begins with the path of a key, after ``file:line:`` of that key in *text*.

    A key that is missing has the line of the nearest table above it.
    """
    problems = list(problems)
    if not problems:
        return []
    is_toml = not any(problem.startswith(NOT_TOML) for problem in problems)
    lines = key_lines(text) if is_toml else {}
    places = ((_line(lines, problem), problem) for problem in problems)
    return [f"{file}: {problem}" if line is None else f"{file}:{line}: {problem}" for line, problem in places]


def _line(lines: dict[str, int], problem: str) -> int | None:
    if problem.startswith(NOT_TOML):
        named = _LINE.search(problem)
        return None if named is None else int(named[1])
    return next((lines[path] for path in paths_of(problem) if path in lines), None)


def paths_of(problem: str) -> Iterator[str]:
    """Yield the path of the key that *problem* begins with, and then the path of each table above it."""
    unknown = _UNKNOWN_KEY.match(problem)
    path = problem.partition(": ")[0] if unknown is None else f"{unknown['path']}.{unknown['key']}"
    yield path
    while path != (above := _LAST_STEP.sub("", path)):
        yield above
        path = above


def key_lines(text: str) -> dict[str, int]:
    """Return the line of each key and each item of *text* by its path, such as ``events[0].name``.

    tomllib keeps no positions. Each statement, the fewest lines that are TOML by themselves, is therefore
    parsed separately. A key within a statement of several lines gets the line of the first one.
    """
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, statement, value in _statements(text):
        is_header = statement.lstrip().startswith("[")
        path = "" if is_header else table
        if is_header:
            table = path = _header_path(value, counts)
            _note(lines, path, number)
        else:
            _note_all(lines, path, value, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Yield the line, the text and the value of each header and each assignment."""
    open_lines: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        open_lines.append(line)
        statement = "".join(open_lines)
        try:
            value = tomllib.loads(statement)
        except (ValueError, RecursionError):
            continue  # the statement has further lines
        if value:
            yield number - len(open_lines) + 1, statement, value
        open_lines.clear()


def _header_path(value: Any, counts: dict[str, int]) -> str:
    """Return the path of the table that a header begins; *counts* has the tables of each array so far."""
    path = ""
    while value:
        (key, value), *_ = value.items()
        path = f"{path}.{key}" if path else key
        if isinstance(value, list):  # a header of two brackets
            counts[path] = counts.get(path, 0) + 1
            value = None
        if path in counts:
            path = f"{path}[{counts[path] - 1}]"
    return path


def _note(lines: dict[str, int], path: str, number: int) -> None:
    """Record the line of *path*, and of each table above it without a line."""
    while path:
        lines.setdefault(path, number)
        path = _LAST_STEP.sub("", path) if _LAST_STEP.search(path) else ""


def _note_all(lines: dict[str, int], path: str, value: Any, number: int) -> None:
    """Record the line of each key and item in *value*."""
    if path:
        _note(lines, path, number)
    if isinstance(value, dict):
        for key, inner in value.items():
            _note_all(lines, f"{path}.{key}" if path else key, inner, number)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _note_all(lines, f"{path}[{index}]", inner, number)
