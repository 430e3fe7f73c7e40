"""Hints for unknown names: the name that was probably meant, and the package that has it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Final

import attrs

_CUTOFF: Final = 0.75


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return ``, did you mean 'x'`` for the one of *known* that *name* resembles; empty without one."""
    found = nearest(name, known)
    return "" if found is None else f", did you mean {found!r}"


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *name* resembles, whatever the case; None without one."""
    names = {each.casefold(): each for each in known}
    found = get_close_matches(name.casefold(), names, n=1, cutoff=_CUTOFF) if isinstance(name, str) else []
    return names[found[0]] if found else None


def how_to_install(plugin: str) -> str:
    """Return the command that installs *plugin*."""
    return f"pip install evframe-{plugin}"


@attrs.frozen
class Published:
    """What the packages of evframe add, stored here because a package that is not installed cannot report it."""

    plugins: list[str]
    """The plugins, each with a package called ``evframe-`` and its name."""
    schemes: dict[str, str]
    """The plugin of each scheme."""
    commands: dict[str, str]
    """The plugin of each command of the command line."""
    places: dict[str, list[str]] = attrs.field(factory=dict)
    """The plugin and its option of each place outside of the plugin's table."""
    policy_keys: dict[str, str] = attrs.field(factory=dict)
    """The plugin of each key of a policy."""


@cache
def published() -> Published:
    """Return what the packages of evframe add."""
    return Published(**json.loads(files("evframe").joinpath("published.json").read_bytes()))
