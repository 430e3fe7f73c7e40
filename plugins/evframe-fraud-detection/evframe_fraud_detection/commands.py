"""The management commands: the names and answers of the original module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evframe import ConfigError
from evframe.plugin import Command, CommandError, text_param

if TYPE_CHECKING:
    from evframe_fraud_detection.plugin import FraudDetection


def fraud_commands(plugin: FraudDetection) -> Iterator[Command]:
    """Yield the ``fraud_detection:`` commands."""
    own = _Commands(plugin)
    yield Command(
        "fraud_detection:show_stats",
        (("user",), ("user", "prefix")),
        own.show_stats,
        "shows the counters of a user, or the one for a prefix or a number",
        ("show_fraud_stats",),
    )
    yield Command(
        "fraud_detection:reload",
        ((),),
        own.reload,
        "reads the rules file again; when it has a problem, nothing changes",
        ("fraud_reload",),
    )


class _Commands:
    def __init__(self, plugin: FraudDetection) -> None:
        self._plugin = plugin

    def show_stats(self, params: Mapping[str, Any]) -> dict[str, Any]:
        user = text_param(params, "user")
        prefix = text_param(params, "prefix") if "prefix" in params else None
        found = self._plugin.stats(user, prefix)
        if not found:
            raise CommandError(404, "User not found" if prefix is None else "User or prefix not found")
        return {"Stats": found}

    def reload(self, _: Mapping[str, Any]) -> str:
        try:
            self._plugin.reload()
        except ConfigError as error:
            raise CommandError(500, "Rules not loaded", "; ".join(error.problems)) from None
        return "OK"
