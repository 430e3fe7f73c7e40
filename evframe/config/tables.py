"""Configuration: TOML into frozen attrs classes, every problem at once with its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import attrs
from evframe_declarations import Parameter
from evframe_options import Layers, Setting, at_least, layers_of, read_layers, structure

from evframe.config.hints import published
from evframe.config.policy import Policy, PolicyOptions, matching
from evframe.exceptions import ConfigError

Overflow = Literal["drop_oldest", "drop_newest", "block"]
"""What happens to an event that finds no room."""
TYPES: Final[dict[str, type]] = {kind.__name__: kind for kind in (str, int, float, bool, list, dict)}


@attrs.frozen
class CoreOptions:
    """The table ``[core]``."""

    default_expire_s: int = attrs.field(default=3600, validator=at_least(1))
    """The lease of a run-time subscription that names none."""
    max_nesting: int = attrs.field(default=100, validator=at_least(1))
    """How many events may be raised inside each other before the next one is lost."""
    queue_size: int = attrs.field(default=262_144, validator=at_least(1))
    """How many events may wait for one subscriber."""
    queue_bytes: int = attrs.field(default=0, validator=at_least(0))
    """How many bytes of payloads may wait for one subscriber; an event that waits alone may have more. 0 for any."""
    overflow: Overflow = "drop_newest"
    """What happens to an event that finds no room: `drop_newest`, `drop_oldest`, or `block` for awaiting callers."""
    retries_per_s: int = attrs.field(default=500, validator=at_least(1))
    """How many attempts a second all subscribers together may make that are away, and members of them."""
    probe_idle_s: float = attrs.field(default=60.0, validator=at_least(0))
    """After how long without an event a subscriber is asked whether it can be reached; configured ones are asked at
    the start, too. 0 for never."""
    drain_timeout_s: float = attrs.field(default=5.0, validator=at_least(0))
    """How long the end of the interface, or of a subscription, may take for what was raised before."""
    resolve_every_s: float = attrs.field(default=30.0, validator=at_least(0))
    """How often the host names of subscribers are looked up again; 0 for never."""
    resolve_timeout_s: float = attrs.field(default=5.0, validator=at_least(0.1))
    """How long a host name may take before its subscribers count as away, with the reason `unresolved`."""


@attrs.frozen
class ParameterOptions:
    """One entry of an event's ``params``."""

    name: str
    """The parameter's name."""
    type: Literal["str", "int", "float", "bool", "list", "dict"]
    """The type of its values; null fits every type."""
    optional: bool = False
    """Whether an event may be without it."""


def _each_name_once(_: Any, attribute: attrs.Attribute[Any], value: list[ParameterOptions] | None) -> None:
    names = [param.name for param in value or ()]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{attribute.name}[{index}].name: expected each parameter once, got {name!r} again")


@attrs.frozen
class EventOptions:
    """One ``[[events]]``: an event that no plugin declares."""

    name: str
    """1 to 64 bytes."""
    params: list[ParameterOptions] | None = attrs.field(default=None, validator=_each_name_once)
    """The parameters in order; without it, anything can be raised."""

    @property
    def declared(self) -> Mapping[str, Parameter] | None:
        """The declared parameters by name, in order."""
        if self.params is None:
            return None
        return {param.name: Parameter(TYPES[param.type], param.optional) for param in self.params}


@attrs.frozen(kw_only=True)
class SubscriptionOptions(Policy):
    """One ``[[subscriptions]]``: made at start-up; its event is registered if no plugin has."""

    event: str
    """The event's name."""
    socket: str
    """The subscriber, ``scheme:address``."""
    expire_s: int = attrs.field(default=0, validator=at_least(0))
    """The lease; 0 never ends."""


@attrs.frozen
class Config:
    """A whole configuration; the plugins' own tables stay as they were read until the plugins are loaded."""

    core: CoreOptions = attrs.field(factory=CoreOptions)
    disable: list[str] = attrs.field(factory=list)
    plugins: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    events: list[EventOptions] = attrs.field(factory=list)
    subscriptions: list[SubscriptionOptions] = attrs.field(factory=list)
    policies: list[PolicyOptions] = attrs.field(factory=list)
    places: dict[str, Any] = attrs.field(factory=dict)
    """The options of plugins that stand outside of their tables, by their places, such as ``core.state_path``."""
    problems: list[str] = attrs.field(factory=list)
    """The problems of the text; an interface raises them together with the problems that it finds."""
    source: Layers | None = attrs.field(default=None, eq=False, repr=False)
    """The files of the configuration; None for one that was made in Python."""

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """The tables of the plugins, including the options that stand outside of these tables."""
        tables = dict(self.plugins)
        for place, value in self.places.items():
            plugin, option = published().places[place]
            tables[plugin] = {option: value, **tables.get(plugin, {})}
        return tables

    def keeps(self, canonical: str) -> bool:
        """Return whether the events for the subscriber with the text *canonical* wait on disk."""
        own = any(each.keep == "disk" for each in filter(None, self.subscriptions) if each.socket == canonical)
        return own or matching([*filter(None, self.policies)], canonical).keep == "disk"

    def placed(self, problems: Iterable[str]) -> list[str]:
        """Return *problems*, each with the place of its option, and with its file and line if there is a file."""
        moved = {"plugins.{}.{}".format(*published().places[place]): place for place in self.places}
        named = list(problems)
        for path, place in moved.items():
            prefixes = (f"{path}:", f"{path}.")
            named = [place + each.removeprefix(path) if each.startswith(prefixes) else each for each in named]
        return named if self.source is None else self.source.placed(named)


def _plugin_tables(plugins: Any, problems: list[str]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the disabled plugins, and the tables of the others as they are."""
    if not isinstance(plugins, Mapping):
        problems.append(f"plugins: expected a table, got {plugins!r}")
        return [], {}
    disable = structure(plugins.get("disable", []), list[str], "plugins.disable", problems)
    tables = {}
    for name, table in plugins.items():
        if isinstance(table, dict):
            tables[name] = table
        elif name != "disable":
            problems.append(f"plugins.{name}: expected a table, got {table!r}")
    return disable or [], tables


def _take_places(raw: dict[str, Any]) -> dict[str, Any]:
    """Take the options that stand outside of their plugins' tables out of *raw*, and return them by their places."""
    found = {}
    for place in published().places:
        head, _, key = place.rpartition(".")
        table = raw.get(head) if head else raw
        if isinstance(table, dict) and key in table:
            found[place] = table.pop(key)
    return found


def _items(items: Any, kind: type, path: str, problems: list[str]) -> list[Any]:
    """Return each of *items* as *kind*; None in place of an invalid item keeps the indexes of the items after it."""
    if type(items) is not list:
        problems.append(f"{path}: expected tables, each headed [[{path}]], got {items!r}")
        return []
    return [structure(item, kind, f"{path}[{index}]", problems) for index, item in enumerate(items)]


def _read(layers: Layers) -> Config:
    """Return the configuration in *layers*, with the problems in its `problems`."""
    raw = layers.tables
    places = _take_places(raw)
    of_plugins = (place for place in published().places if "." not in place)
    known = ("core", "plugins", "events", "subscriptions", "policies", *of_plugins)
    problems = [*layers.problems]
    problems += [f"{key}: unknown table, expected one of {', '.join(known)}" for key in raw if key not in known]
    disable, tables = _plugin_tables(raw.get("plugins", {}), problems)
    core = structure(raw.get("core", {}), CoreOptions, "core", problems) or CoreOptions()
    events = _items(raw.get("events", []), EventOptions, "events", problems)
    subscriptions = _items(raw.get("subscriptions", []), SubscriptionOptions, "subscriptions", problems)
    policies = _items(raw.get("policies", []), PolicyOptions, "policies", problems)
    seen: set[str] = set()
    for index, event in enumerate(events):
        if event is not None:
            if event.name in seen:
                problems.append(f"events[{index}].name: duplicate event {event.name!r}")
            seen.add(event.name)
    return Config(core, disable, tables, events, subscriptions, policies, places, problems, layers)


def read_config_file(path: str | Path, settings: Sequence[Setting] = ()) -> Config:
    """Return the configuration in the file *path*, with its problems in its `problems`.

    Args:
        path: of the file, which may include others; see `evframe_options.read_layers`.
        settings: options whose values replace those of the files.
    """
    return _read(read_layers(path, settings))


def _without_problems(config: Config) -> Config:
    if config.problems:
        raise ConfigError(config.placed(config.problems))
    return config


def parse_config(text: str) -> Config:
    """Return the configuration in *text*.

    Raises:
        ConfigError: with every problem of the text, each with its path; the problems that only plugins can
            find are raised when an interface is made from the configuration.
    """
    return _without_problems(_read(layers_of(text)))


def load_config(path: str | Path) -> Config:
    """Return the configuration in the file *path*; see `parse_config`."""
    return _without_problems(read_config_file(path))
