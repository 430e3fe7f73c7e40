"""The configuration of a worker: that of the front, without what only the front does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from evframe.plugin import leaves

if TYPE_CHECKING:
    from evframe import Config, Socket
    from evframe.plugin import PluginStatus, Policy

NAME: Final = "workers"
_KINDS: Final = frozenset({"source", "management", "exporter"})
_OF_WORKERS: Final = frozenset({"tracing"})
OF_FRONT: Final = frozenset({"fleet", "journal", "mi", "route", "sse", "state", "systemd", "websocket"})
"""Plugins that only the front loads, beside those of some kinds."""
_OF_JOURNAL: Final = frozenset({"max_bytes", "when_full"})
_NOT_FOLLOWED: Final = frozenset({"keep", "dead_letter", "required", "where", "only", "sample"})


def config_of_worker(config: Config, statuses: Iterable[PluginStatus], front: Iterable[str]) -> Config:
    """Return the configuration of a worker.

    Args:
        config: of the front.
        statuses: of its plugins.
        front: further plugins that a worker does not load.
    """
    out = {*OF_FRONT, *front} | {each.name for each in statuses if each.kind in _KINDS - {*_OF_WORKERS}}
    out -= {NAME, *(_OF_WORKERS - {*front})}
    out |= {name for name in _OF_WORKERS if name not in config.plugins}
    installed = {each.name for each in statuses}
    tables = {name: table for name, table in config.plugins.items() if name not in out and name != NAME}
    return attrs.evolve(
        config,
        disable=sorted({*config.disable, *(out & installed)}),
        plugins=tables,
        places={},
        subscriptions=[],
        policies=[],
        source=None,
    )


def followed(policy: Policy, *, is_kept: bool = False) -> Mapping[str, Any]:
    """Return the keys of a policy that the worker follows; the front follows the others.

    Args:
        policy: of the subscriber.
        is_kept: whether the front has the events in its journal, which has the bounds.
    """
    keys = {name: value for name, value in policy.keys.items() if name not in _NOT_FOLLOWED}
    if is_kept:
        return {name: keys[name] for name in keys.keys() - _OF_JOURNAL} | {"keep": "disk"}
    if keys.get("when_full") == "dead_letter":
        keys["when_full"] = "drop_newest"
    return keys


def is_of_front(socket: Socket) -> bool:
    """Return whether a subscriber belongs to the process of the front: it has its callable or its connection."""
    return any(not getattr(leaf, "is_lasting", True) or leaf.canonical.startswith("route:") for leaf in leaves(socket))
