"""Composes a configuration: plugins, options and parsed sockets, with every problem; nothing is started."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import attrs

from evframe.calls import comes_from_outside
from evframe.config import Config, SubscriptionOptions
from evframe.config.hints import published
from evframe.config.policy import KEYS, OF_SUBSCRIBERS, Policy
from evframe.delivery.members import Address
from evframe.exceptions import ConfigError, PluginError, SocketError
from evframe.plugins.composition import Composition
from evframe.plugins.conflicts import (
    clashes,
    contradictions,
    missing_plugins,
    misspelt_events,
    unknown_disabled,
    unloaded,
    unusable_places,
)
from evframe.plugins.filling import FillingReader
from evframe.plugins.manager import DISABLED, INVALID_OPTIONS, PluginStatus
from evframe.subscriptions.channel import Channel
from evframe.subscriptions.references import Values

log = logging.getLogger("evframe.plugins")
GROUP: Final = "evframe"
_ONE_OWNER: Final = "plugins.{}: expected no other plugin that opens the queues of all subscribers, got {!r}"
_DIFFERENT: Final = "expected the secrets of subscriptions[{}].socket, which is the same subscriber, got others"


def compose(
    config: Config | None = None,
    *,
    plugins: Mapping[str, Any] | None = None,
    gateway: bool = False,
    found: Iterable[EntryPoint] | None = None,
) -> Composition:
    """Return what *config* makes; every problem is among its `problems`.

    An installed plugin that cannot be used is reported in its status, and the others are used.

    Args:
        config: the configuration; the defaults and every installed plugin without one.
        plugins: plugin objects by name instead of the installed ones; an error of one of them is raised.
        gateway: whether management interfaces without a table in the configuration are opened, too.
        found: the entry points of plugins; None for the installed ones.
    """
    composition = Composition(config or Config())
    problems = composition.problems
    with composition.manager.one_change():
        if plugins is None:
            _load(composition, entry_points(group=GROUP) if found is None else found, gateway=gateway)
        else:
            expected = "expected none beside plugin objects, which have their options"
            problems += [f"{place}: {expected}" for place in composition.config.places]
            for name, plugin in plugins.items():
                composition.add(composition.make(name, plugin))
    if config is not None and plugins is None:
        problems += clashes(composition.statuses, composition.declared)
        owners = [name for name, each in composition.loaded.items() if getattr(each.plugin, "opens_all_queues", False)]
        problems += [_ONE_OWNER.format(name, owners[0]) for name in owners[1:]]
    _notify_loaded(composition, is_isolated=plugins is None)
    manager = composition.manager
    composition.registry.on_new.append(lambda event: manager.notify("event_registered", event=event))
    _register_and_subscribe(composition)
    return composition


def _load(composition: Composition, found: Iterable[EntryPoint], *, gateway: bool) -> None:
    """Add the plugins of the entry points *found*."""
    config, problems = composition.config, composition.problems
    values, tables, seen = Values(), config.tables, set[str]()
    # First the plugins that are published with evframe, so that no other plugin can take their names and commands.
    for entry in sorted(found, key=lambda entry: (entry.name not in published().plugins, entry.name)):
        version = entry.dist.version if entry.dist else "?"
        problem: str | None = None
        if entry.name in config.disable:
            problem = DISABLED
        elif entry.name in seen:
            problem = "another plugin has the same name"
        else:
            problem = _add(composition, entry, version, values, gateway=gateway)
        if problem is not None:
            composition.refused[entry.name] = PluginStatus(entry.name, version, problem)
        seen.add(entry.name)
    problems += missing_plugins(config.plugins, seen)
    problems += unusable_places(config, seen)
    problems += unknown_disabled(config.disable, seen)
    problems += unloaded(tables, composition.statuses)


def _add(composition: Composition, entry: EntryPoint, version: str, values: Values, *, gateway: bool) -> str | None:
    """Add one plugin; return the reason why it cannot be used, None when it can."""
    name = entry.name
    table: Mapping[str, Any] | None = composition.config.tables.get(name)
    try:
        factory = entry.load()
        unasked = {"management": gateway, "exporter": False}  # whether each kind is opened without a table
        is_opened = table is not None or unasked.get(getattr(factory, "kind", ""), True)
        reader = FillingReader(values)
        options = make_options(f"plugins.{name}", factory, table or {}, reader)
        composition.problems += reader.explained()
        plugin = make_plugin(factory, options)
        composition.add(composition.make(name, plugin, version=version, options=options, is_opened=is_opened))
    except ConfigError as error:
        composition.problems += [f"plugins.{name}.{problem}" for problem in error.problems]
        return INVALID_OPTIONS
    except BaseException as error:  # any error of a plugin is recorded as its status
        if comes_from_outside(error):
            raise
        return f"{type(error).__name__}: {error}"
    return None


def make_options(path: str, factory: Any, table: Mapping[str, Any], reader: FillingReader) -> Any:
    """Return the options of a plugin, of its attrs class `Options`; None when it has none.

    Errors are problems of *reader*, and the defaults replace the invalid options.

    Raises:
        PluginError: if the options have no such class, or are invalid and have no defaults.
    """
    options_class = getattr(factory, "Options", None)
    if options_class is None:
        if table:
            reader.problems.append(f"{path}: expected no options, got {sorted(table)}")
        return None
    if not attrs.has(options_class):
        raise PluginError(f"expected Options to be a class of attrs, got {options_class!r}")
    options = reader.read(table, options_class, path)
    if not reader.problems:
        return options
    try:
        return options_class()
    except TypeError:  # an option without a default is missing
        raise PluginError("; ".join(reader.explained())) from None


def make_plugin(factory: Any, options: Any) -> Any:
    """Return the plugin object of an entry point: a module, or an instance of a class with the options."""
    if options is not None:
        return factory(options)
    return factory() if inspect.isclass(factory) else factory


def _notify_loaded(composition: Composition, *, is_isolated: bool) -> None:
    """Call `loaded` of every plugin.

    When *is_isolated*, a plugin that raises is removed, with the reason in its status. The error is a problem when
    the configuration has a table of the plugin.
    """
    for name, loaded in list(composition.loaded.items()):
        try:
            composition.notify_loaded(loaded)
        except Exception as error:
            if not is_isolated:
                raise
            log.exception("a plugin raised an error", extra={"plugin": name, "hook": "loaded"})
            composition.remove(name, f"hook 'loaded': {type(error).__name__}: {error}")
            composition.problems += unloaded({*composition.config.tables} & {name}, composition.refused.values())


def _register_and_subscribe(composition: Composition) -> None:
    """Register the configured events, and parse the sockets of the configured subscriptions."""
    config, problems = composition.config, composition.problems
    declared = composition.declared
    problems += contradictions(config.events, declared)
    hints = misspelt_events(config, declared, composition.references, composition.patterns)
    composition.hints += config.placed(hints)
    for index, event in enumerate(config.events):
        if event is not None:  # else the problems have its error already
            try:
                composition.draft.register_event(event.name, event.declared)
            except ValueError as error:
                problems.append(f"events[{index}].name: {error}")
    first: dict[str, tuple[int, Address]] = {}
    for index, lease in enumerate(config.subscriptions):
        if lease is not None:
            problems += _subscribe(composition, index, lease, first)
    problems += _contradictions(config.subscriptions)
    for index, options in enumerate(config.policies):
        if options is not None:
            problems += _policy_problems(composition, f"policies[{index}]", options, None)


def _subscribe(
    composition: Composition, index: int, lease: SubscriptionOptions, first: dict[str, tuple[int, Address]]
) -> Iterator[str]:
    """Draft a configured subscription; yield its problems. *first* has the place and address of each socket."""
    draft, path = composition.draft, f"subscriptions[{index}]"
    try:
        draft.register_event(lease.event)
        address = draft.subscribe_event(lease.event, lease.socket, lease.expire_s, policy=lease.of(KEYS))
    except (SocketError, PluginError) as error:
        yield f"{path}.socket: {error}"
    except ValueError as error:
        yield f"{path}.event: {error}"
    else:
        place, known = first.setdefault(address.socket.canonical, (index, address))
        if known.text != address.text and known.socket != address.socket:
            yield f"{path}.socket: {_DIFFERENT.format(place)}"
        yield from _policy_problems(composition, path, lease, draft.event(lease.event))


def _contradictions(subscriptions: Sequence[SubscriptionOptions | None]) -> Iterator[str]:
    """Yield a problem for each key of a subscriber that two tables with one socket set differently."""
    first: dict[tuple[str, str], tuple[int, Any]] = {}
    for index, lease in enumerate(subscriptions):
        if lease is None:
            continue
        for key, value in lease.of(OF_SUBSCRIBERS).keys.items():
            place, known = first.setdefault((lease.socket, key), (index, value))
            if known != value:
                expected = f"expected {known!r}, as subscriptions[{place}] has for the same socket"
                yield f"subscriptions[{index}].{key}: {expected}, got {value!r}"


def _policy_problems(composition: Composition, path: str, options: Policy, event: Channel | None) -> Iterator[str]:
    try:
        composition.manager.check_policy(options.of(KEYS), event)
    except PluginError as error:
        yield f"{path}: {error}"
    except ValueError as error:
        yield f"{path}.{error}"
