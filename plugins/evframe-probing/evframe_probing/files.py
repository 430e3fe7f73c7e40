"""Lists of destinations in TOML files."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

from evframe import ConfigError
from evframe.plugin import structure

T = TypeVar("T")
KEY: Final = "destinations"


def read_destinations(path: str | Path, kind: type[T]) -> list[T]:
    """Return what the ``[[destinations]]`` of the file *path* hold, each as *kind*.

    Raises:
        ConfigError: with every problem, each with its path in the file.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"file: {str(path)!r}: {error}"]) from None
    problems = [f"file: {key}: unknown key" for key in raw if key != KEY]
    found = structure(raw.get(KEY, []), list[kind], f"file: {KEY}", problems)  # type: ignore[valid-type]
    if problems:
        raise ConfigError(problems)
    return list(found)
