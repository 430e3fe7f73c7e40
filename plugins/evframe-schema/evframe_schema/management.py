"""Management commands as requests and answers of AsyncAPI."""

from __future__ import annotations

from typing import Any, Final

from evframe.plugin import Command

MANAGEMENT: Final = "management"
_ID: Final = {"type": ["integer", "string", "null"]}


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
