"""The problems of the plugins that a configuration names, and the contradictions between plugins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import filter as filter_names

from evframe_declarations import Declaration, Parameter

from evframe.config import Config, EventOptions
from evframe.config.hints import did_you_mean, how_to_install, nearest, published
from evframe.plugins.manager import DISABLED, INVALID_OPTIONS, PluginStatus

Declared = Mapping[str, Mapping[str, Declaration | None]]
"""The events of each plugin, by the plugin's name."""


def missing_plugins(names: Iterable[str], installed: Iterable[str]) -> Iterator[str]:
    """Yield a problem for each of the configured *names* that is not installed."""
    installed = list(installed)
    for name in names:
        if name not in installed:
            hint = f", {how_to_install(name)}" if name in published().plugins else did_you_mean(name, installed)
            yield f"plugins.{name}: no such plugin is installed{hint}"


def unusable_places(config: Config, installed: Iterable[str]) -> Iterator[str]:
    """Yield a problem for each option outside of its plugin's table that has no effect, or is set twice."""
    installed = list(installed)
    for place in config.places:
        plugin, option = published().places[place]
        if plugin not in installed:
            yield f"{place}: the plugin {plugin!r} is not installed, {how_to_install(plugin)}"
        elif option in config.plugins.get(plugin, {}):
            yield f"{place}: expected it once, got plugins.{plugin}.{option} too"


def unknown_disabled(names: Sequence[str], installed: Iterable[str]) -> Iterator[str]:
    """Yield a problem for each of the *names* in `plugins.disable` that is not installed."""
    installed = list(installed)
    for index, name in enumerate(names):
        if name not in installed:
            yield (
                f"plugins.disable[{index}]: expected an installed plugin, got {name!r}{did_you_mean(name, installed)}"
            )


def unloaded(names: Iterable[str], statuses: Iterable[PluginStatus]) -> Iterator[str]:
    """Yield a problem for each of the configured *names* whose plugin is installed and cannot be loaded."""
    for status in statuses:
        if status.name in names and status.problem not in {None, DISABLED, INVALID_OPTIONS}:
            yield f"plugins.{status.name}: expected a plugin that can be loaded, got {status.problem}"


def clashes(statuses: Iterable[PluginStatus], declared: Declared) -> Iterator[str]:
    """Yield a problem for each scheme, and each event, that two plugins have.

    A declaration that is not enforced describes events from elsewhere, and clashes with no other declaration.
    """
    schemes: dict[str, str] = {}
    events: dict[str, str] = {}
    for status in statuses:
        if status.problem is not None:
            continue
        for scheme in status.schemes:
            owner = schemes.setdefault(scheme, status.name)
            if owner != status.name:
                yield _clash(status.name, "scheme", scheme, owner)
        for event, declaration in declared.get(status.name, {}).items():
            if declaration is not None and declaration.enforced:
                owner = events.setdefault(event, status.name)
                if owner != status.name:
                    yield _clash(status.name, "event", event, owner)


def _clash(plugin: str, kind: str, name: str, owner: str) -> str:
    expected = f"expected no {kind} of another plugin, got {name!r}, which {owner!r} has"
    return f"plugins.{plugin}: {expected}; disable one of them"


def contradictions(events: Sequence[EventOptions | None], declared: Declared) -> Iterator[str]:
    """Yield a problem for each of the configured *events* whose parameters differ from a plugin's declaration."""
    for index, event in enumerate(events):
        if event is None or event.declared is None:
            continue
        for plugin, declarations in declared.items():
            declaration = declarations.get(event.name)
            if declaration is not None and _kinds(declaration.params) != _kinds(event.declared):
                yield (
                    f"events[{index}].params: expected {_text(declaration.params)}, as the plugin {plugin!r} declares"
                    f" {event.name!r}, or no params, got {_text(event.declared)}"
                )


def _kinds(params: Mapping[str, Parameter]) -> list[tuple[str, type, bool]]:
    return [(name, parameter.type, parameter.optional) for name, parameter in params.items()]


def _text(params: Mapping[str, Parameter]) -> str:
    kinds = (f"{name} {kind.__name__}{'?' if optional else ''}" for name, kind, optional in _kinds(params))
    return f"({', '.join(kinds)})"


def why_no_scheme(scheme: str, schemes: Iterable[str], statuses: Iterable[PluginStatus]) -> str:
    """Return the end of a sentence about an unknown *scheme*: the package to install, or the scheme that was meant."""
    plugin = published().schemes.get(scheme)
    if plugin is None:
        # The schemes of other packages are known once their plugins are loaded.
        others = [each for each in statuses if each.problem is not None and each.name not in published().plugins]
        unknown = "".join(f"; the plugin {each.name!r} is not loaded: {each.problem}" for each in others)
        return f"which no loaded plugin has{did_you_mean(scheme, schemes)}{unknown}"
    status = next((status for status in statuses if status.name == plugin), None)
    if status is None:
        return f"which no loaded plugin has, {how_to_install(plugin)}"
    return f"whose plugin {plugin!r} is not loaded: {status.problem}"


def misspelt_events(
    config: Config, declared: Declared, references: Mapping[str, str], patterns: Mapping[str, str]
) -> Iterator[str]:
    """Yield a hint for each name in *config* that is no declared event and resembles one.

    A subscription, or an option of a plugin that refers to an event, may name any event: this is no error.

    Args:
        config: the configuration.
        declared: the events of the plugins.
        references: the events that options of plugins name, by the paths of the options.
        patterns: the patterns of event names in options of plugins, by the paths of the options.
    """
    known = {event.name for event in config.events if event is not None}
    for events in declared.values():
        known |= {name for name, declaration in events.items() if declaration or name not in references.values()}
    named = {f"subscriptions[{index}].event": lease.event for index, lease in enumerate(config.subscriptions) if lease}
    yield from _misspelt({**named, **references, **patterns}, known)


def _misspelt(named: Mapping[str, str], known: set[str]) -> Iterator[str]:
    for path, name in named.items():
        meant = nearest(name, known)
        if meant is not None and not filter_names(known, name):
            yield f"{path}: expected a declared event, got {name!r}, did you mean {meant!r}"
