"""Settings: options that stand on the command line, as in ``--set core.queue_size=1000``."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from typing import Any, Final

import attrs

_FORM: Final = "expected KEY=VALUE, such as core.queue_size=1000"


@attrs.frozen
class Setting:
    """One option with its value, which replaces the value that files have."""

    keys: tuple[str, ...]
    """The tables and the key, from the top."""
    value: Any

    @property
    def path(self) -> str:
        """The path of the option, as problems have it."""
        return ".".join(self.keys)

    @classmethod
    def parse(cls, text: str) -> Setting:
        """Return the setting that *text* is: a key of TOML, and a value of TOML or any text.

        A text that is a value of TOML by chance, such as ``1000``, has quotes: ``name="1000"``.

        Raises:
            ValueError: with the accepted form.
        """
        for key, value in _splits(text):
            keys = _keys(key)
            if keys:
                return cls(tuple(keys), _value(value.strip()))
        raise ValueError(f"{_FORM}, got {text!r}")

    def apply(self, tables: dict[str, Any]) -> None:
        """Put the value into *tables*.

        Raises:
            ValueError: if the path leads through something that is no table.
        """
        table = tables
        for index, key in enumerate(self.keys[:-1], 1):
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                above = ".".join(self.keys[:index])
                raise ValueError(f"{self.path}: expected a table at {above}, got a {_kind(table)}")  # noqa: TRY004 the value of a file
        table[self.keys[-1]] = copy.deepcopy(self.value)  # the reader of the tables may change them


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Yield what stands before and after each equals sign: a key in quotes may have some."""
    head, found, rest = text.partition("=")
    while found:
        yield head, rest
        more, found, rest = rest.partition("=")
        head = f"{head}={more}"


def _keys(text: str) -> list[str]:
    """Return the parts of a key; none if *text* is no key of TOML."""
    try:
        table = {} if "\n" in text else tomllib.loads(f"{text} = 0")
    except (ValueError, RecursionError):
        table = {}
    keys = []
    while isinstance(table, dict) and table:
        ((key, table),) = table.items()
        keys.append(key)
    return keys


def _value(text: str) -> Any:
    """Return the value of TOML that *text* is, or *text*."""
    try:
        items = tomllib.loads(f"value = [{text}]")["value"]  # the bracket shows what ends early, and what is a comment
    except (ValueError, RecursionError):
        return text
    return items[0] if len(items) == 1 else text


def _kind(value: Any) -> str:
    return "list" if isinstance(value, list) else "value"
