"""Leaves out of a document what the installed plugins refuse, so that what stays passes ``evframe check``."""

from __future__ import annotations

import re
from typing import Final

import attrs

from evframe import Config, ConfigError, EventInterface, SocketError
from evframe.plugin import parse_config
from evframe_import_opensips.document import Document, Entry, to_toml
from evframe_import_opensips.findings import Findings
from evframe_import_opensips.modules import SCHEMES
from evframe_import_opensips.tokens import Place

_OPTION: Final = re.compile(r"plugins\.(?P<plugin>[\w-]+)[.:] *(?P<reason>.*)", re.DOTALL)
_TABLE: Final = re.compile(r"(?P<list>\w+)\[(?P<index>\d+)\](?P<reason>.*)", re.DOTALL)
_ITEM: Final = re.compile(r"(?P<kind>events|subscriptions)\[(?P<index>\d+)\]\.\w+: (?P<reason>.*)", re.DOTALL)


def leave_out_refused(document: Document, findings: Findings, script: Place) -> None:
    """Take what the installed plugins refuse out of *document*, and say so.

    What belongs to a plugin that is not installed stays; so do event routes, whose callables
    need not be here.
    """
    check = _Check(document, findings)
    while problems := check.problems():
        if not check.leave_out(problems):
            for problem in problems:
                findings.leave_out(script, "evframe check", problem)
            break
    for name in sorted(document.packages - check.installed):
        findings.note(script, f"evframe-{name}", "not installed here, so that its part is not checked")


class _Check:
    def __init__(self, document: Document, findings: Findings) -> None:
        self._document = document
        self._findings = findings
        self.installed = {status.name for status in EventInterface().plugin_status if status.problem is None}

    def problems(self) -> list[str]:
        """Return what the configuration as it is now is refused for."""
        try:
            EventInterface(self._config())
        except ConfigError as error:
            return error.problems
        return []

    def leave_out(self, problems: list[str]) -> bool:
        """Leave out what *problems* name; return whether that was anything."""
        # The sockets of a plugin whose options are refused have no plugin: they come later.
        refused = [self._refuse_option(problem) for problem in problems]
        if not any(refused):
            items = {"events": self._events, "subscriptions": self._subscriptions}
            refused = [self._refuse_item(problem, items) for problem in problems]
        return any(refused)

    @property
    def _events(self) -> list[Entry]:
        return [entry for entry in self._document.events.values() if entry.refused is None]

    @property
    def _subscriptions(self) -> list[Entry]:
        used = [entry for entry in self._document.subscriptions if entry.refused is None]
        return [entry for entry in used if self._has_plugin(entry.values["socket"])]

    def _config(self) -> Config:
        """Return what can be checked."""
        config = parse_config(to_toml(self._document, "", Findings()))
        plugins = {name: table for name, table in config.plugins.items() if name in self.installed}
        subscriptions = [each for each in config.subscriptions if self._has_plugin(each.socket)]
        return attrs.evolve(config, places={}, plugins=plugins, subscriptions=subscriptions)

    def _has_plugin(self, socket: str) -> bool:
        return SCHEMES[socket.partition(":")[0]] in self.installed

    def _refuse_option(self, problem: str) -> bool:
        """Leave out the first option that *problem* names; return whether there is one."""
        found = _OPTION.fullmatch(problem)
        if found is None:
            return False
        if self._refuse_table(found["plugin"], found["reason"]):
            return True
        table = self._document.plugins.get(found["plugin"], {})
        for word in re.findall(r"\w+", found["reason"]):
            entry = table.get(word)
            if entry is not None and entry.refused is None:
                reason = re.sub(rf"^({word}: )+", "", found["reason"])
                self._refuse(entry, f"plugins.{found['plugin']}.{word}", reason)
                return True
        return False

    def _refuse_table(self, plugin: str, problem: str) -> bool:
        """Leave out the table that *problem* names, one of a list of *plugin*; return whether there is one."""
        found = _TABLE.match(problem)
        entries = self._document.tables.get(plugin, {}).get(found["list"], []) if found else []
        used = [entry for entry in entries if entry.refused is None]
        if found is None or int(found["index"]) >= len(used):
            return False
        # What was got may be an address with its password.
        reason = found["reason"].lstrip(".: ").partition(", got ")[0]
        self._refuse(used[int(found["index"])], f"plugins.{plugin}.{found['list']}", reason)
        return True

    def _refuse_item(self, problem: str, items: dict[str, list[Entry]]) -> bool:
        """Leave out the event or the subscription that *problem* names; return whether there is one."""
        found = _ITEM.fullmatch(problem)
        if found is None:
            return False
        entry = items[found["kind"]][int(found["index"])]
        name, socket = next(iter(entry.values.values())), entry.values.get("socket", "")
        reason = found["reason"].removeprefix(str(SocketError(socket, "")))
        if "@" in socket:  # what was got may be its password
            reason = reason.partition(", got ")[0]
        if entry.refused is None:  # there may be several problems
            self._refuse(entry, f'{"subscribe_event" if socket else "event"} "{name}"', reason)
        return True

    def _refuse(self, entry: Entry, what: str, reason: str) -> None:
        entry.refused = reason
        self._findings.leave_out(entry.place, what, reason)
