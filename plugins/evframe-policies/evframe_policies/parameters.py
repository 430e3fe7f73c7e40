"""The parameters of an event as filters see them, and events with a part of their parameters."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from evframe import EventDefinition, Pairs

if TYPE_CHECKING:
    from evframe import Event


def named(event: Event) -> Mapping[str, Any]:
    """Return the parameters by name; those without names are `p1`, `p2` and so on, by their places."""
    params = event.params
    if isinstance(params, Mapping):
        return params
    found: dict[str, Any] = {}
    for place, (name, value) in enumerate(event.pairs, 1):
        found.setdefault(f"p{place}" if name is None else name, value)
    return found


def part_of(event: Event, names: Collection[str]) -> Event:
    """Return the event with those of its parameters that are in *names*, in the order of the event.

    A number is the place of a parameter, counted from 1, unless a parameter is called so.
    """
    chosen = [
        (name, value)
        for place, (name, value) in enumerate(event.pairs, 1)
        if name in names or (str(place) in names and not _has(event, str(place)))
    ]
    definition = event.definition
    if not chosen:
        return _carrying(definition.restored(definition.bare, event.raised_at), event)
    params: Any = dict(chosen) if isinstance(event.params, Mapping) else Pairs(chosen)
    if all(name is None for name, _ in chosen):
        params = [value for _, value in chosen]
    # Another definition, because the declaration of the event may require the parameters that are left out.
    part = EventDefinition(definition.id, definition.name).snapshot(params, event.raised_at)
    part.definition, part.depth = definition, event.depth
    return _carrying(part, event)


def _carrying(part: Event, event: Event) -> Event:
    return part if event.carried is None else part.carrying(event.carried)


def _has(event: Event, name: str) -> bool:
    params = event.params
    return name in params if isinstance(params, Mapping) else any(each == name for each, _ in event.pairs)
