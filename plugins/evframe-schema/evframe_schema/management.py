"""Management interfaces as servers of AsyncAPI, and commands as requests and answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
from evframe_options.describing import options_of
from evframe_options.installed import Installed

import evframe
from evframe.plugin import Command

MANAGEMENT: Final = "management"
_ID: Final = {"type": ["integer", "string", "null"]}
_BEARER: Final = {"type": "http", "scheme": "bearer"}
_BASIC: Final = {"type": "http", "scheme": "basic"}


@attrs.frozen
class ManagementServer:
    """Where a management interface listens."""

    name: str
    protocol: str
    host: str
    pathname: str = ""
    security: Mapping[str, Any] = attrs.field(factory=dict)
    """The schemes of which each request has to bring one, by name; never a secret itself."""

    def server(self) -> dict[str, Any]:
        """Return the Server Object."""
        found: dict[str, Any] = {"host": self.host, "protocol": self.protocol}
        found |= {"pathname": self.pathname} if self.pathname else {}
        found["description"] = f"The management interface `{self.name}`."
        if self.security:
            found["security"] = [{"$ref": f"#/components/securitySchemes/{key}"} for key in self.security]
        return found


def management_servers(config: evframe.Config | None, plugins: list[Installed]) -> Iterator[ManagementServer]:
    """Yield the management interfaces that a gateway with this configuration opens."""
    tables, disabled = ({}, []) if config is None else (config.plugins, config.disable)
    for plugin in plugins:
        make = _MAKERS.get(plugin.name)
        if make is None or plugin.options is None or plugin.name in disabled:
            continue
        options = {option.name: option.default for option in options_of(plugin.options)} | tables.get(plugin.name, {})
        made = make(options)
        if made is not None:
            yield attrs.evolve(made, name=plugin.name)


def _http(options: Mapping[str, Any]) -> ManagementServer:
    security = {}
    if options["token_file"] or options["token"]:
        security["token"] = _BEARER
    if options["auth_username"]:
        security["password"] = _BASIC
    protocol = "https" if options["tls_cert_file"] else "http"
    return ManagementServer("", protocol, options["bind"], options["path"], security)


def _datagram(options: Mapping[str, Any]) -> ManagementServer | None:
    name = options["socket_name"]
    if name is None:
        return None
    return ManagementServer("", "udp" if name.startswith("udp:") else "unix", name.removeprefix("udp:"))


def _fifo(options: Mapping[str, Any]) -> ManagementServer | None:
    return None if options["fifo_name"] is None else ManagementServer("", "fifo", options["fifo_name"])


_MAKERS: Final[Mapping[str, Any]] = {"mi-http": _http, "mi-datagram": _datagram, "mi-fifo": _fifo}


def request_schema(command: Command) -> dict[str, Any]:
    """Return the JSON Schema of the requests of a command."""
    forms: list[dict[str, Any]] = []
    for recipe in (*command.recipes, *command.named):
        names = dict.fromkeys([*recipe, *command.optional])
        form: dict[str, Any] = {"type": "object", "properties": {name: {} for name in names}}
        forms.append(form | ({"required": [*recipe]} if recipe else {}) | {"additionalProperties": False})
    sizes = sorted({len(recipe) for recipe in command.recipes})
    forms += [{"type": "array", "minItems": size, "maxItems": size} for size in sizes]
    is_needed = () not in command.recipes and () not in command.named
    return {
        "type": "object",
        "properties": {
            "jsonrpc": {"const": "2.0"},
            "method": {"enum": [*dict.fromkeys(command.names)]},
            "params": forms[0] if len(forms) == 1 else {"anyOf": forms},
            "id": _ID,
        },
        "required": ["jsonrpc", "method", *(["params"] if is_needed else [])],
    }


def answers() -> dict[str, Any]:
    """Return the messages with which a command is answered, by their keys."""
    head = {"jsonrpc": {"const": "2.0"}, "id": _ID}
    error = {
        "type": "object",
        "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": {}},
        "required": ["code", "message"],
    }
    made = {}
    for key, member, schema in (("result", "result", {}), ("error", "error", error)):
        payload = {"type": "object", "properties": head | {member: schema}, "required": ["jsonrpc", member, "id"]}
        made[f"answer.{key}"] = {"name": key, "title": key, "contentType": "application/json", "payload": payload}
    return made
