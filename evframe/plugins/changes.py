"""The changes that a reload of the configuration has made."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Changes:
    """What a reload has changed."""

    core: list[str] = attrs.field(factory=list)
    """The options of the core whose values have changed."""
    reported: dict[str, list[str]] = attrs.field(factory=dict)
    """What plugins report in the hook `reloaded`, by a word for it."""
    plugins: list[str] = attrs.field(factory=list)
    """The plugins that were added, were removed, or have changed options."""
    events: list[str] = attrs.field(factory=list)
    """The events that are new or have another declaration; events that were removed from the file stay registered."""
    subscribed: list[str] = attrs.field(factory=list)
    """The subscriptions that are new or have another lease, as ``event socket``."""
    ended: list[str] = attrs.field(factory=list)
    """The subscriptions that were removed, including those that a plugin does not permit any more."""


def describe_changes(changes: Changes) -> dict[str, Any]:
    """Return *changes* for an answer or a log line, without what has not changed."""
    fields = attrs.asdict(changes)
    named = {"core": fields.pop("core"), **fields.pop("reported"), **fields}
    return {name: names for name, names in named.items() if names}
