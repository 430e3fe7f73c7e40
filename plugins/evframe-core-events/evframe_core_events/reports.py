"""The commands of the module status_report: what each part says of its own health."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import attrs

from evframe.management.commands import Command, CommandError, text_param
from evframe.status import MAIN, Identifier, StatusGroup, StatusRegistry

ALL: Final = "all"


@attrs.frozen
class StatusCommands:
    """The commands on one registry."""

    _registry: Callable[[], StatusRegistry]

    def commands(self) -> Iterator[Command]:
        """Yield the commands."""
        groups = ((), ("group",))
        yield Command(
            "status_report:get_status",
            (("group",), ("group", "identifier")),
            self._get_status,
            "gets the status of a group's identifier, main without one; all for the whole group",
            aliases=("sr_get_status",),
        )
        yield Command(
            "status_report:list_status",
            groups,
            lambda params: self._list(params, _status),
            "lists the status of the identifiers of all groups, or of one",
            aliases=("sr_list_status",),
        )
        yield Command(
            "status_report:list_reports",
            (*groups, ("group", "identifier")),
            self._list_reports,
            "lists the reports of the identifiers of all groups, of one, or of one identifier",
            aliases=("sr_list_reports",),
        )
        yield Command(
            "status_report:list_identifiers",
            groups,
            self._list_identifiers,
            "lists the identifiers of all groups, or of one",
            aliases=("sr_list_identifiers",),
        )

    def _get_status(self, params: Mapping[str, Any]) -> dict[str, Any]:
        group = self._group(params)
        if "identifier" in params and text_param(params, "identifier").casefold() == ALL:
            return _answer(group.aggregated, "aggregated")
        found = self._identifier(group, params)
        return _answer(found.status, found.details)

    def _list(self, params: Mapping[str, Any], about: Callable[[Identifier], dict[str, Any]]) -> Any:
        """Return what *about* says of the identifiers: an object for a group, an array of them for all."""
        groups = [self._group(params)] if "group" in params else [*self._registry()]
        listed = [{"Name": group.name, "Identifiers": [about(each) for each in group]} for group in groups]
        return listed[0] if "group" in params else listed

    def _list_reports(self, params: Mapping[str, Any]) -> Any:
        if "identifier" in params:
            return _reports(self._identifier(self._group(params), params))
        return self._list(params, _reports)

    def _list_identifiers(self, params: Mapping[str, Any]) -> Any:
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
            raise CommandError(404, "Identifier not found")
        return found


def _answer(status: int, details: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"Readiness": status > 0, "Status": status}
    if details is not None:
        answer["Details"] = details
    return answer


def _status(identifier: Identifier) -> dict[str, Any]:
    return {"Name": identifier.name, **_answer(identifier.status, identifier.details)}


def _reports(identifier: Identifier) -> dict[str, Any]:
    reports = [
        {"Timestamp": int(report.at), "Date": time.ctime(report.at), "Log": report.text}
        for report in identifier.reports
    ]
    return {"Name": identifier.name, "Reports": reports}
