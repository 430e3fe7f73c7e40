"""The management commands: the names and answers of the original module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evframe import ConfigError
from evframe.plugin import Command, CommandError, int_param, text_param
from evframe_dispatcher.destinations import Destination
from evframe_dispatcher.options import DEFAULT
from evframe_dispatcher.selector import Selector
from evframe_dispatcher.state import WORDS


def dispatcher_commands(selector: Selector) -> Iterator[Command]:
    """Yield the ``dispatcher:`` commands."""
    own = _Commands(selector)
    yield Command(
        "dispatcher:list",
        ((), ("partition",), ("full",), ("full", "partition")),
        own.list,
        "lists the destinations and their states",
        ("ds_list",),
    )
    yield Command(
        "dispatcher:set_state",
        (("state", "group", "address"),),
        own.set_state,
        "sets a destination active (a), inactive (i) or probing (p)",
        ("ds_set_state",),
    )
    yield Command(
        "dispatcher:reload",
        ((), ("partition",), ("inherit_state",), ("partition", "inherit_state")),
        own.reload,
        "reads the destinations again",
        ("ds_reload",),
    )


class _Commands:
    def __init__(self, selector: Selector) -> None:
        self._selector = selector

    def list(self, params: Mapping[str, Any]) -> dict[str, Any]:
        full = "full" in params
        partitions = self._selector.partitions
        if "partition" in params:
            name = self._partition(params)
            partitions = {name: partitions[name]}
        return {
            "PARTITIONS": [
                {
                    "name": name,
                    "SETS": [
                        {"id": set_id, "Destinations": [_listed(each, full=full) for each in destinations]}
                        for set_id, destinations in sorted(sets.items())
                    ],
                }
                for name, sets in partitions.items()
            ]
        }

    def set_state(self, params: Mapping[str, Any]) -> str:
        state = WORDS.get(text_param(params, "state"))
        if state is None:
            raise CommandError(400, "Bad state value")
        partition, _, group = text_param(params, "group").rpartition(":")
        set_id = int_param({"group": group}, "group")
        found = self._selector.find(set_id, text_param(params, "address"), partition or DEFAULT)
        if found is None:
            raise CommandError(404, "Destination not found")
        self._selector.mark(found, state, "MI command")
        return "OK"

    def reload(self, params: Mapping[str, Any]) -> str:
        inherit = int_param(params, "inherit_state") if "inherit_state" in params else 1
        partition = text_param(params, "partition") if "partition" in params else None
        try:
            self._selector.reload(partition, inherit_state=inherit != 0)
        except ConfigError as error:
            raise CommandError(500, "Failed to reload", "; ".join(error.problems)) from None
        except LookupError:
            raise CommandError(404, "Partition not found") from None
        return "OK"

    def _partition(self, params: Mapping[str, Any]) -> str:
        name = text_param(params, "partition")
        if name not in self._selector.partitions:
            raise CommandError(404, "Partition not found")
        return name


def _listed(each: Destination, *, full: bool) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "URI": each.uri,
        "state": each.health.state.capitalize(),
        "first_hit_counter": each.chosen,
        "failover_hit_counter": each.failed_over,
    }
    if full:
        listed |= {"weight": each.weight, "priority": each.priority, "description": each.description}
    if each.attrs:
        listed["attrs"] = each.attrs
    return listed
