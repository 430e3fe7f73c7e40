"""The commands of the module status_report: the health that each part reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from evframe.plugin import MAIN, Command, CommandError, Identifier, StatusGroup, StatusRegistry, text_param

ALL: Final = "all"


@attrs.frozen
class StatusCommands:
    """The commands on one registry."""

    _registry: Callable[[], StatusRegistry]

    def commands(self) -> Iterator[Command]:
        """Yield the commands."""
        groups = ((), ("group",))
        yield Command(
            "status_report:get",
            (("group",), ("group", "identifier")),
            self._get,
            "gets the status of an identifier of group: of identifier, of main without one, all for the whole group",
            aliases=_former("get_status"),
        )
        yield Command(
            "status_report:status",
            groups,
            lambda params: self._list(params, _status),
            "lists the status of the identifiers of all groups, or of group",
            aliases=_former("list_status"),
        )
        yield Command(
            "status_report:reports",
            (*groups, ("group", "identifier")),
            self._reports,
            "lists the reports of the identifiers of all groups, or of group, or those of its identifier",
            aliases=_former("list_reports"),
        )
        yield Command(
            "status_report:identifiers",
            groups,
            self._identifiers,
            "lists the names of the identifiers of all groups, or of group",
            aliases=_former("list_identifiers"),
        )

    def _get(self, params: Mapping[str, Any]) -> dict[str, Any]:
        group = self._group(params)
        if "identifier" in params and text_param(params, "identifier").casefold() == ALL:
            return _answer(group.aggregated, "aggregated")
        found = self._identifier(group, params)
        return _answer(found.status, found.details)

    def _list(self, params: Mapping[str, Any], about: Callable[[Identifier], dict[str, Any]]) -> list[dict[str, Any]]:
        """Return *about* of each identifier of a group; without one, of those of each group."""
        if "group" in params:
            return [about(each) for each in self._group(params)]
        return [{"Name": group.name, "Identifiers": [about(each) for each in group]} for group in self._registry()]

    def _reports(self, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        if "identifier" in params:
            return _lines(self._identifier(self._group(params), params))
        return self._list(params, lambda each: {"Name": each.name, "Reports": _lines(each)})

    def _identifiers(self, params: Mapping[str, Any]) -> Any:
        groups = [self._group(params)] if "group" in params else [*self._registry()]
        listed = [{"Group": group.name, "Identifiers": [each.name for each in group]} for group in groups]
        return listed[0] if "group" in params else listed

    def _group(self, params: Mapping[str, Any]) -> StatusGroup:
        group = self._registry().find(text_param(params, "group"))
        if group is None:
            raise CommandError(404, "Group not found")
        return group

    @staticmethod
    def _identifier(group: StatusGroup, params: Mapping[str, Any]) -> Identifier:
        found = group.find(text_param(params, "identifier") if "identifier" in params else MAIN)
        if found is None:
            raise CommandError(404, "Identity not found")
        return found


def _former(name: str) -> tuple[str, ...]:
    """Return the names that a command has up to 3.6, and those that it had here before."""
    return f"sr_{name}", f"status_report:{name}", name


def _answer(status: int, details: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"Readiness": status > 0, "Status": status}
    if details is not None:
        answer["Details"] = details
    return answer


def _status(identifier: Identifier) -> dict[str, Any]:
    return {"Name": identifier.name, **_answer(identifier.status, identifier.details)}


def _lines(identifier: Identifier) -> list[dict[str, Any]]:
    return [
        {"Timestamp": int(report.at), "Date": time.ctime(report.at), "Log": report.text}
        for report in identifier.reports
    ]
