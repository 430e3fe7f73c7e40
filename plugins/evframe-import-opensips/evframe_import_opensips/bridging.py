"""The configuration for those who keep OpenSIPS: this gateway subscribes to its events, and sends them on."""

from __future__ import annotations

import glob
import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from evframe_client.urls import DEFAULT_URL, parse_url, url_of

from evframe_import_opensips.converter import CONVERTED, Converter, module_name
from evframe_import_opensips.document import Entry
from evframe_import_opensips.findings import Findings
from evframe_import_opensips.statements import Call, EventRoute
from evframe_import_opensips.tokens import Place
from evframe_import_opensips.values import Value

PLUGIN: Final = "opensips"
_STAYING: Final = frozenset({"event_route", "event_routing"})  # event modules that send nothing from here
_MANAGEMENT: Final = {"mi_http": "mi-http", "mi_datagram": "mi-datagram", "mi_fifo": "mi-fifo"}
_EVERY_ADDRESS: Final = frozenset({"", "*", "0.0.0.0", "::"})  # noqa: S104 compared, not bound
_FIFO: Final = "/tmp/opensips_fifo"  # noqa: S108 the original's
_PORTS: Final = (8889, 8890)


class BridgeConverter(Converter):
    """Adds the subscriptions of a script, and the instance that their events come from.

    The event sources, the routes and the management interfaces stay in OpenSIPS.
    """

    def __init__(self, findings: Findings, loaded: Collection[str], routes_module: str | None) -> None:
        super().__init__(findings, loaded, routes_module)
        self._parameters: dict[tuple[str, str], Value] = {}
        self._loads: dict[str, Place] = {}

    def take(self, statement: Call | EventRoute) -> None:
        """Add what *statement* becomes, if it has to do with sending events."""
        if isinstance(statement, EventRoute) or statement.name not in {"loadmodule", "modparam", *CONVERTED}:
            return
        if statement.name == "loadmodule":
            name = module_name(str(statement.arguments[0]))
            self._loads[name] = statement.place
            if not name.startswith("event_") or name in _STAYING:
                return
        super().take(statement)

    def _set_parameter(self, place: Place, module: str, name: str, given: Value | None) -> None:
        if module.startswith("event_") and module not in _STAYING:
            super()._set_parameter(place, module, name, given)
        elif given is not None:
            self._parameters[module, name] = given

    def _call(self, call: Call) -> None:
        before = len(self.document.subscriptions)
        super()._call(call)
        for entry in self.document.subscriptions[before:]:
            if entry.refused is None:
                what = f'subscribe_event "{entry.values["event"]}"'
                self._findings.note(call.place, what, "take it out of the script; otherwise the subscriber gets two")

    def finish(self) -> None:
        """Add the instance, and where this gateway is managed."""
        names, self.document.events = list(self.document.events), {}
        place = next((self._loads[name] for name in _MANAGEMENT if name in self._loads), None)
        if place is None:
            place = next(iter(self._loads.values()), Place("-", 1))
            self._findings.leave_out(place, "the management interface", "expected mi_http, mi_datagram or mi_fifo")
        values: dict[str, object] = {"events": [glob.escape(name) for name in names]} if names else {}
        host = self._host()
        if host is not None:
            values["listen"] = host
        self.document.plugins[PLUGIN] = {name: Entry(place, {name: value}) for name, value in values.items()}
        instance = {"name": "opensips", "url": self._url(place), "transport": self._transport(place)}
        self.document.tables[PLUGIN] = {"instances": [Entry(place, instance)]}
        port = next(each for each in _PORTS if each != self._parameter("httpd", "port", 8888))
        self.document.plugins["mi-http"] = {"bind": Entry(place, {"bind": f"127.0.0.1:{port}"})}
        self.document.packages |= {PLUGIN, "mi-http"}

    def _parameter(self, module: str, name: str, otherwise: Value) -> Value:
        return self._parameters.get((module, name), otherwise)

    def _transport(self, place: Place) -> str:
        if "event_stream" in self._loads:
            return "tcp"
        if "event_datagram" not in self._loads:
            self._findings.leave_out(place, "the way of events", "expected event_stream or event_datagram to be loaded")
        return "udp"

    def _host(self) -> str | None:
        """Return the address of this host that an instance at another one than the loopback reaches; None for that."""
        host = self._http_host() if self._management() == "mi-http" else None
        return None if not host or ipaddress.ip_address(host).is_loopback else host

    def _http_host(self) -> str | None:
        """Return the address at which the instance answers HTTP; empty for every one of it, None for what is none."""
        host = str(self._parameter("httpd", "ip", "")).strip("[]")
        with suppress(OSError):
            host = socket.inet_ntoa(socket.inet_aton(host))  # the C library takes 0 and 127.1, too
        try:
            return "" if host in _EVERY_ADDRESS else str(ipaddress.ip_address(host))
        except ValueError:
            return None

    def _management(self) -> str | None:
        return next((plugin for name, plugin in _MANAGEMENT.items() if name in self._loads), None)

    def _url(self, place: Place) -> str:
        plugin = self._management()
        if plugin == "mi-http" and self._http_host() is None:
            self._findings.leave_out(place, "httpd ip", "expected an address, for which the url has 127.0.0.1")
        if plugin == "mi-http" and ("httpd", "auth_username") in self._parameters:
            self._findings.leave_out(place, "httpd auth_username", "write user:password@ into the url of the instance")
        found = plugin and url_of({plugin: self._options_of(plugin)})
        try:
            parse_url(str(found or ""))
        except ValueError:
            if plugin is not None:
                self._findings.leave_out(place, "the management interface", "expected an address that a URL can have")
            return DEFAULT_URL
        return str(found)

    def _options_of(self, plugin: str) -> dict[str, object]:
        """Return the options that a management interface of ours would have at the same place."""
        if plugin == "mi-datagram":
            name = self._parameters.get(("mi_datagram", "socket_name"))
            return {} if name is None else {"socket_name": str(name)}
        if plugin == "mi-fifo":
            found: dict[str, object] = {"fifo_name": str(self._parameter("mi_fifo", "fifo_name", _FIFO))}
            folder = self._parameters.get(("mi_fifo", "reply_dir"))
            return found if folder is None else found | {"reply_dir": str(folder)}
        host = self._http_host() or "127.0.0.1"
        host = f"[{host}]" if ":" in host else host
        return {
            "bind": f"{host}:{self._parameter('httpd', 'port', 8888)}",
            "path": f"/{str(self._parameter('mi_http', 'root', 'mi')).strip('/')}",
            "tls_cert_file": self._parameters.get(("httpd", "tls_cert_file")),
        }
