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


def plugin_of(scheme: str) -> str | None:
    """Return the published plugin that has *scheme*, or None."""
    return _published().schemes.get(scheme)


def is_published(plugin: str) -> bool:
    """Return whether *plugin* has a package called ``evframe-`` and its name."""
    return plugin in _published().plugins


def plugin_of_command(command: str) -> str | None:
    """Return the published plugin that adds *command* to the command line, or None."""
    return _published().commands.get(command)


def options_in(place: str) -> tuple[str, str] | None:
    """Return the published plugin, and its option, that stands at *place* outside of the plugin's table, or None."""
    found = _published().places.get(place)
    return None if found is None else (found[0], found[1])


def published_places() -> Iterable[str]:
    """Return the places outside of their tables at which options of published plugins may stand."""
    return _published().places


def how_to_install(plugin: str) -> str:
    """Return the command that installs *plugin*."""
    return f"pip install evframe-{plugin}"


@attrs.frozen
class _Published:
    """What the packages of evframe add, stored here because a package that is not installed cannot report it."""

    plugins: list[str]
    schemes: dict[str, str]
    commands: dict[str, str]
    places: dict[str, list[str]] = attrs.field(factory=dict)


@cache
def _published() -> _Published:
    return _Published(**json.loads(files("evframe").joinpath("published.json").read_bytes()))
