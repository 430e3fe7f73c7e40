"""The JSON Schema of the configuration, of the core and of the plugins that are installed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from evframe_options.describing import Option, options_of, sentence, tables_of
from evframe_options.installed import Installed, installed

import evframe
from evframe_schema.values import object_schema, option_schema

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
"""What editors of TOML read."""
_INCLUDE: Final = "Further files, relative to the folder of this one."
_DISABLE: Final = "Installed plugins that are not loaded."


def configuration_schema(plugins: Sequence[Installed] | None = None) -> dict[str, Any]:
    """Return the JSON Schema of a configuration file.

    Args:
        plugins: those that it may have options of; None for all that are installed.
    """
    plugins = [*installed()] if plugins is None else plugins
    of_core = {option.name: tables_of(option.type) for option in options_of(evframe.Config)}
    core = of_core["core"]
    assert core is not None
    placed = {place: plugin for plugin in plugins for place in plugin.places}
    within_core = [plugin.placed(place) for place, plugin in placed.items() if place.startswith("core.")]
    top: dict[str, Any] = {
        "include": {"description": _INCLUDE, "type": "array", "items": {"type": "string", "minLength": 1}},
        "core": object_schema(options_of(core), sentence(core), is_filled=False),
    }
    top["core"]["properties"] |= {option.name: option_schema(option, is_filled=True) for option in within_core}
    top |= {
        place: option_schema(plugin.placed(place), is_filled=True)
        for place, plugin in placed.items()
        if "." not in place
    }
    for name in ("events", "subscriptions", "policies"):
        table = of_core[name]
        assert table is not None
        top[name] = {"type": "array", "items": _entry(table, plugins)}
    top["plugins"] = _plugins(plugins)
    return {
        "$schema": DRAFT,
        "title": "evframe.toml",
        "description": "The configuration of an evframe gateway.",
        "type": "object",
        "additionalProperties": False,
        "properties": top,
    }


def _entry(table: type, plugins: Sequence[Installed]) -> dict[str, Any]:
    """Return the schema of one table of an array: its own options, and the keys of policies that a plugin follows."""
    followed = frozenset[str]().union(*(plugin.policy_keys for plugin in plugins))
    own = options_of(table)
    names = {option.name for option in own}
    keys = [each for each in options_of(table, inherited=True) if each.name in followed and each.name not in names]
    schema = object_schema([*own, *keys], sentence(table), is_filled=False)
    if table is tables_of(_type_of(evframe.Config, "subscriptions")):
        schemes = sorted(scheme for plugin in plugins for scheme in plugin.schemes)
        schema["properties"]["socket"]["pattern"] = rf"^(\$\{{|({'|'.join(schemes)}):)"
    return schema


def _type_of(options: type, name: str) -> Any:
    return next(option.type for option in options_of(options) if option.name == name)


def _plugins(plugins: Sequence[Installed]) -> dict[str, Any]:
    disable = Option("disable", list[str], _DISABLE, [])
    tables: dict[str, Any] = {"disable": option_schema(disable, is_filled=False)}
    tables["disable"]["items"] = {"enum": [plugin.name for plugin in plugins]}
    for plugin in plugins:
        about = f"evframe-{plugin.name}"
        if plugin.problem:
            tables[plugin.name] = {"description": f"{about} cannot be loaded: {plugin.problem}", "type": "object"}
        elif plugin.options is None:
            tables[plugin.name] = object_schema([], about, is_filled=True)
        else:
            options = options_of(plugin.options, inherited=True)
            tables[plugin.name] = object_schema(options, f"{about}: {sentence(plugin.options)}", is_filled=True)
    return {"type": "object", "additionalProperties": False, "properties": tables}
