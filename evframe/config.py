"""Configuration: TOML into frozen attrs classes, every problem at once with its path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.cols import list_structure_factory
from cattrs.errors import ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn

from evframe.declarations import Parameter
from evframe.exceptions import ConfigError
from evframe.subscribers import Overflow

TYPES: Final[dict[str, type]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "list": list,
    "dict": dict,
}

FIELD: Final = re.compile(r"[a-z_]\w*(\[\d+\])?: ")
"""What a sentence of a validator begins with."""


def at_least(smallest: float) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Return the validator of an option that is *smallest* or more."""

    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value < smallest:
            raise ValueError(f"{attribute.name}: expected {smallest} or more, got {value!r}")

    return check


@attrs.frozen
class CoreOptions:
    """The table ``[core]``."""

    default_expire_s: int = attrs.field(default=3600, validator=at_least(1))
    """The lease of a run-time subscription that names none."""
    max_nesting: int = attrs.field(default=100, validator=at_least(1))
    """How many events may be raised inside each other before the next one is lost."""
    queue_size: int = attrs.field(default=262_144, validator=at_least(1))
    """How many events may wait for one subscriber."""
    overflow: Overflow = "drop_newest"
    """What happens to an event that finds no room: `drop_newest`, `drop_oldest`, or `block` for awaiting callers."""
    drain_timeout_s: float = attrs.field(default=5.0, validator=at_least(0))
    """How long the end of the interface, or of a subscription, may take for what was raised before."""
    state_path: str | None = None
    """The file in which subscriptions made at run time survive a restart; empty for none, left out for one that the
    gateway finds itself."""


@attrs.frozen
class ParameterOptions:
    """One entry of an event's ``params``."""

    name: str
    """The parameter's name."""
    type: Literal["str", "int", "float", "bool", "list", "dict"]
    """The type of its values; null fits every type."""
    optional: bool = False
    """Whether an event may be without it."""


@attrs.frozen
class EventOptions:
    """One ``[[events]]``: an event that no plugin declares."""

    name: str
    """1 to 64 bytes."""
    params: list[ParameterOptions] | None = None
    """The parameters in order; without it, anything can be raised."""

    @property
    def declared(self) -> Mapping[str, Parameter] | None:
        """The declared parameters by name, in order."""
        if self.params is None:
            return None
        return {param.name: Parameter(TYPES[param.type], param.optional) for param in self.params}


@attrs.frozen
class SubscriptionOptions:
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
    routes: dict[str, str] = attrs.field(factory=dict)


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list


def _exact_list(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    """Return a hook that takes lists, and no text or table apart into one."""
    take = list_structure_factory(kind, converter)

    def structure(value: Any, kind: Any) -> Any:
        if type(value) is not list:
            raise TypeError(f"expected a list, got {value!r}")
        return take(value, kind)

    return structure


def _make_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)

    def exact(wanted: type) -> Callable[[Any, Any], Any]:
        def structure(value: Any, _: Any) -> Any:
            if wanted is float and type(value) is int:
                return float(value)
            if type(value) is not wanted:
                raise TypeError(f"expected {wanted.__name__}, got {value!r}")
            return value

        return structure

    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, exact(scalar))

    def structure_union(value: Any, kind: Any) -> Any:
        """Take a value whose type is one of several scalar ones, such as ``int | str``."""
        if value is None or type(value) in get_args(kind):
            return value
        wanted = " or ".join(getattr(part, "__name__", str(part)) for part in get_args(kind) if part is not type(None))
        raise TypeError(f"expected {wanted}, got {value!r}")

    def is_scalar_union(kind: Any) -> bool:
        parts = set(get_args(kind))
        return get_origin(kind) in {Union, UnionType} and parts <= {str, int, float, bool, type(None)}

    converter.register_structure_hook_func(is_scalar_union, structure_union)
    converter.register_structure_hook_factory(_is_list, _exact_list)
    for options in (CoreOptions, ParameterOptions, EventOptions, SubscriptionOptions):
        converter.register_structure_hook(
            options, make_dict_structure_fn(options, converter, _cattrs_forbid_extra_keys=True)
        )
    return converter


_CONVERTER: Final = _make_converter()


def _problems(error: BaseException, path: str) -> list[str]:
    """Return one line for each leaf of *error*, with the path of what is wrong."""
    if isinstance(error, cattrs.BaseValidationError):
        lines = []
        for inner in error.exceptions:
            place = path
            for note in getattr(inner, "__notes__", ()):
                name = getattr(note, "name", None)
                if name is not None:
                    place = f"{path}.{name}" if path else str(name)
                elif hasattr(note, "index"):
                    place = f"{path}[{note.index}]"
            lines += _problems(inner, place)
        return lines
    if isinstance(error, ForbiddenExtraKeysError):
        return [f"{path}: unknown key {key!r}" for key in sorted(error.extra_fields)]
    if isinstance(error, KeyError):
        return [f"{path}: expected a value, got nothing"]
    # A validator's sentence begins with the name of its field.
    return [f"{path}.{error}" if FIELD.match(str(error)) else f"{path}: {error}"]


def structure(value: Any, kind: Any, path: str, problems: list[str]) -> Any:
    """Return *value* as *kind*, or None after adding what is wrong to *problems*."""
    if attrs.has(kind) and not isinstance(value, Mapping):
        problems.append(f"{path}: expected a table, got {value!r}")
        return None
    try:
        return _CONVERTER.structure(value, kind)
    except (cattrs.BaseValidationError, IterableValidationError, ForbiddenExtraKeysError) as error:
        problems += _problems(error, path)
    except (TypeError, ValueError, KeyError) as error:
        problems += _problems(error, path)
    return None


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


def parse_config(text: str) -> Config:
    """Return the configuration that *text* holds.

    Raises:
        ConfigError: with every problem, each with its path.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"not TOML: {error}"]) from None
    known = {"core", "plugins", "events", "subscriptions", "routes"}
    problems = [f"{key}: unknown table" for key in raw if key not in known]
    disable, tables = _plugin_tables(raw.get("plugins", {}), problems)
    core = structure(raw.get("core", {}), CoreOptions, "core", problems)
    events = structure(raw.get("events", []), list[EventOptions], "events", problems)
    subscriptions = structure(raw.get("subscriptions", []), list[SubscriptionOptions], "subscriptions", problems)
    routes = structure(raw.get("routes", {}), dict[str, str], "routes", problems)
    seen: set[str] = set()
    for index, event in enumerate(events or ()):
        if event.name in seen:
            problems.append(f"events[{index}].name: duplicate event {event.name!r}")
        seen.add(event.name)
    if problems:
        raise ConfigError(problems)
    return Config(core, disable, tables, events, subscriptions, routes)


def load_config(path: str | Path) -> Config:
    """Return the configuration in the file *path*; see `parse_config`."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    return parse_config(text)
