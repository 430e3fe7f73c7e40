"""What a reload of the configuration has changed."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Changes:
    """What a reload has changed."""

    core: list[str] = attrs.field(factory=list)
    """The options of the core that have other values."""
    management: list[str] = attrs.field(factory=list)
    """The rules of run-time clients that are others; those of a single interface have its name before them."""
    plugins: list[str] = attrs.field(factory=list)
    """The plugins that came, went, or have other options."""
    events: list[str] = attrs.field(factory=list)
    """The events that are new or declared otherwise; those that went from the configuration stay registered."""
    subscribed: list[str] = attrs.field(factory=list)
    """The subscriptions that are new or have another lease, as ``event socket``."""
    ended: list[str] = attrs.field(factory=list)
    """The subscriptions that went, with those of clients that the policy does not permit any more."""


def describe_changes(changes: Changes) -> dict[str, Any]:
    """Return *changes* for an answer or a log line, without what has not changed."""
    return {name: names for name, names in attrs.asdict(changes).items() if names}
