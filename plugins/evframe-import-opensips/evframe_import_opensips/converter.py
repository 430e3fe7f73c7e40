"""What each statement of a script becomes in a configuration."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection
from typing import Final

from evframe_import_opensips import consumed
from evframe_import_opensips.document import Document, Entry, value_text
from evframe_import_opensips.findings import Findings
from evframe_import_opensips.modules import FUNCTIONS, MODULES, PARAMETERS
from evframe_import_opensips.source_modules import SOURCE_MODULES
from evframe_import_opensips.statements import Call, EventRoute
from evframe_import_opensips.stubs import function_name
from evframe_import_opensips.subscribing import Subscriptions
from evframe_import_opensips.tokens import Place
from evframe_import_opensips.values import Convert, Value

CONVERTED: Final = frozenset({"raise_event", "subscribe_event"})
"""The functions that become something here."""
_BY_NAME: Final = {(each.module, each.name): each for each in PARAMETERS}
_OURS: Final = ("event_", "mi_")
_CORE: Final = "of events that OpenSIPS raises about itself; evframe-core-events raises them about evframe"


def _option(module: str, name: str) -> tuple[str, str, Convert]:
    """Return the plugin and the option of a parameter, and what converts to it; ValueError says why there is none."""
    if module not in MODULES:
        raise ValueError("no module of this name is known")
    plugin, parameter = MODULES[module].plugin, _BY_NAME.get((module, name))
    if parameter is None:
        raise ValueError("no parameter of this name is known")
    if plugin is None or parameter.option is None or parameter.convert is None:
        raise ValueError(parameter.note)
    return plugin, parameter.option, parameter.convert


def module_name(file: str) -> str:
    """Return the name of a module that is loaded from *file*."""
    return file.rpartition("/")[2].removesuffix(".so")


class Converter:
    """Adds what each statement becomes to a document.

    Args:
        findings: gets what is left out, and what is different.
        loaded: the modules that the script loads.
        routes_module: the Python module that will have a function for each event route.
    """

    def __init__(self, findings: Findings, loaded: Collection[str], routes_module: str | None) -> None:
        self._findings = findings
        self._loaded = loaded
        self._routes_module = routes_module
        self.document = Document()
        self._subscriptions = Subscriptions(self.document, findings)
        self._connections = consumed.Connections(self.document, findings)
        self._raised: set[str] = set()
        self.event_routes: dict[str, EventRoute] = {}

    def take(self, statement: Call | EventRoute) -> None:
        """Add what *statement* becomes."""
        if isinstance(statement, EventRoute):
            self._event_route(statement)
        elif statement.name == "loadmodule":
            self._load_module(statement.place, str(statement.arguments[0]))
        elif statement.name == "modparam":
            modules, name, value = statement.arguments
            for module in self._modules(str(modules)):
                self._set_parameter(statement.place, module, str(name), value)
        elif statement.name in CONVERTED:
            self._call(statement)
        elif statement.name in FUNCTIONS:
            self._findings.leave_out(statement.place, f"{statement.name}()", FUNCTIONS[statement.name])
        else:
            self._findings.leave_out(statement.place, statement.name, _CORE)

    def finish(self) -> None:
        """Add what is known when every statement was seen."""
        self._connections.finish()

    def drop_needless_events(self) -> None:
        """Take out the events that a subscription registers."""
        subscribed = {entry.values["event"] for entry in self.document.subscriptions if entry.refused is None}
        for name in subscribed - self._raised:
            self.document.events.pop(name, None)

    def _load_module(self, place: Place, file: str) -> None:
        name = module_name(file)
        what = f'loadmodule "{name}"'
        module = MODULES.get(name)
        if name in SOURCE_MODULES:
            package = f"evframe-{name.replace('_', '-')}"
            self._findings.note(place, what, f"{package} takes its place; evframe-opensips attaches a live OpenSIPS")
        elif module is None:
            if name.startswith(_OURS):
                self._findings.leave_out(place, what, "no module of this name is known")
        elif module.plugin is None:
            self._findings.leave_out(place, what, module.note)
        else:
            if module.note:
                self._findings.note(place, what, module.note)
            if name != "httpd":
                self.document.packages.add(module.plugin)
            for option, value in module.defaults.items():
                table = self.document.plugins.setdefault(module.plugin, {})
                table.setdefault(option, Entry(place, {option: value}))

    def _modules(self, text: str) -> list[str]:
        """Return the modules that a ``modparam`` is for; ``.*`` stands for any text in those that are loaded."""
        found: dict[str, None] = {}
        for part in text.split("|"):
            several = fnmatch.filter(self._loaded, part.replace(".*", "*")) if ".*" in part else [part]
            found |= dict.fromkeys(several)
        return list(found)

    def _set_parameter(self, place: Place, module: str, name: str, given: Value | None) -> None:
        if module not in MODULES and not module.startswith(_OURS):
            return
        try:
            if module == "httpd" and "mi_http" not in self._loaded:
                raise ValueError("nothing that has a plugin here listens with httpd")
            if given is None:
                raise ValueError("expected a number, or a text in quotation marks")
            if module != consumed.MODULE or not self._connections.set_parameter(place, name, given):
                self._set_option(place, *_option(module, name), given)
        except ValueError as error:
            self._findings.leave_out(place, f'modparam "{module}" "{name}"', str(error))

    def _set_option(self, place: Place, plugin: str, option: str, convert: Convert, given: Value) -> None:
        table = self.document.plugins.get(plugin, {})
        before = table.get(option)
        value = convert(given, before and before.values[option])
        value_text(value)
        self.document.packages.add(plugin)
        self.document.plugins[plugin] = table | {option: Entry(place, {option: value})}

    def _call(self, call: Call) -> None:
        event = call.arguments[0] if call.arguments else None
        if not isinstance(event, str):
            reason = "expected the name of an event, not what computes it"
            self._findings.leave_out(call.place, f"{call.name}()", reason)
        elif self._register(event, call.place):
            if call.name == "raise_event":
                self._raised.add(event)
            else:
                self._subscriptions.add(event, call)

    def _register(self, event: str, place: Place) -> bool:
        """Record an event; return whether its name can be written."""
        if event not in self.document.events:
            try:
                value_text(event)
            except ValueError as error:
                self._findings.leave_out(place, f'event "{event}"', str(error))
                return False
            self.document.events[event] = Entry(place, {"name": event})
        return True

    def _event_route(self, statement: EventRoute) -> None:
        route = statement.route
        name = route.name
        if not name:
            self._findings.leave_out(route.place, "event_route", "expected the name of an event in brackets")
        elif self._register(name, route.place):
            self._raised.add(name)
            self.event_routes[name] = statement
            self.document.packages.add("route")
            target = f"{self._routes_module or 'MODULE'}:{function_name(name, self.event_routes)}"
            entry = self.document.routes[name] = Entry(route.place, {name: target})
            if self._routes_module is None:
                entry.refused = "its body is script: write a Python callable, and name it here"
                self._findings.leave_out(route.place, str(route), entry.refused)
            else:
                self._findings.note(route.place, str(route), f"its body is script: write {target} in Python")
