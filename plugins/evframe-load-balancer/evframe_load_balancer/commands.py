"""The management commands: the names and answers of the original module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evframe import ConfigError
from evframe.plugin import Command, CommandError, int_param, invalid_params, text_param
from evframe_load_balancer.balancer import Balancer
from evframe_load_balancer.destinations import Destination


def load_balancer_commands(balancer: Balancer) -> Iterator[Command]:
    """Yield the ``load_balancer:`` commands."""
    own = _Commands(balancer)
    yield Command(
        "load_balancer:status",
        (("destination_id",), ("destination_id", "new_status")),
        own.status,
        "shows whether a destination is enabled, or enables (1) or disables (0) it",
        ("lb_status",),
    )
    yield Command("load_balancer:list", ((),), own.list, "lists the destinations and their load", ("lb_list",))
    yield Command("load_balancer:reload", ((),), own.reload, "reads the destinations again", ("lb_reload",))
    yield Command(
        "load_balancer:resize",
        (("destination_id", "res_name", "new_capacity"),),
        own.resize,
        "changes the capacity of a resource of a destination",
        ("lb_resize",),
    )


class _Commands:
    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer

    def status(self, params: Mapping[str, Any]) -> Any:
        found = self._destination(params)
        if "new_status" not in params:
            return {"enable": _yes(found.enabled)}
        status = int_param(params, "new_status")
        if status not in {0, 1}:
            raise invalid_params("Bad value for parameter 'new_status'")
        self._balancer.set_status(found, enabled=status == 1)
        return "OK"

    def list(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"Destinations": [_listed(each) for each in self._balancer.destinations]}

    def reload(self, _: Mapping[str, Any]) -> str:
        try:
            self._balancer.reload()
        except ConfigError as error:
            raise CommandError(500, "Failed to reload", "; ".join(error.problems)) from None
        return "OK"

    def resize(self, params: Mapping[str, Any]) -> str:
        found = self._destination(params)
        name = text_param(params, "res_name")
        capacity = int_param(params, "new_capacity")
        if capacity < 0:
            raise invalid_params("Bad value for parameter 'new_capacity'")
        try:
            self._balancer.resize(found, name, capacity)
        except LookupError:
            raise CommandError(404, "Resource not found") from None
        return "OK"

    def _destination(self, params: Mapping[str, Any]) -> Destination:
        found = self._balancer.find(int_param(params, "destination_id"))
        if found is None:
            raise CommandError(404, "Destination ID not found")
        return found


def _yes(enabled: bool) -> str:  # noqa: FBT001 its only argument
    return "yes" if enabled else "no"


def _listed(each: Destination) -> dict[str, Any]:
    listed: dict[str, Any] = {
        "uri": each.uri,
        "id": each.id,
        "group": each.group,
        "enabled": _yes(each.enabled),
        "auto-reenable": "off" if each.held else "on",
        "Resources": [
            {"name": name, "max": most, "load": each.load.get(name, 0)} for name, most in each.capacity.items()
        ],
    }
    if each.attrs:
        listed["attrs"] = each.attrs
    return listed
