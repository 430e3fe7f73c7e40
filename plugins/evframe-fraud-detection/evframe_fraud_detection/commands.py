"""The management commands: the names and answers of the original module."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evframe import ConfigError
from evframe.plugin import Command, CommandError, text_param
from evframe_fraud_detection.detector import Detector


def fraud_commands(detector: Detector) -> Iterator[Command]:
    """Yield the ``fraud_detection:`` commands."""
    own = _Commands(detector)
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
    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def show_stats(self, params: Mapping[str, Any]) -> dict[str, Any]:
        user = text_param(params, "user")
        prefix = text_param(params, "prefix") if "prefix" in params else None
        found = self._detector.stats(user, prefix)
        if not found:
            raise CommandError(404, "User not found" if prefix is None else "User or prefix not found")
        return {"Stats": found}

    def reload(self, _: Mapping[str, Any]) -> str:
        try:
            self._detector.reload()
        except ConfigError as error:
            raise CommandError(500, "Rules not loaded", "; ".join(error.problems)) from None
        return "OK"
