"""The JSON Schema of events: of the notifications that subscribers get."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from evframe import EventDefinition, Parameter

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_KINDS: Final = {str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object"}
_IN_ORDER: Final = "The values in the order of the parameters, when the event was raised without their names."


def events_schema(events: Iterable[EventDefinition]) -> dict[str, Any]:
    """Return one JSON Schema for the notifications of these events, each in ``$defs``."""
    found = {event.name: event_schema(event) for event in events}
    return {
        "$schema": DIALECT,
        "title": "Events",
        "anyOf": [{"$ref": f"#/$defs/{pointer(name)}"} for name in found],
        "$defs": found,
    }


def event_schema(event: EventDefinition) -> dict[str, Any]:
    """Return the JSON Schema of the notification of an event, without ``$schema``.

    It has no keyword whose meaning differs between draft 7, 2020-12 and AsyncAPI.
    """
    declaration = event.declaration
    schema: dict[str, Any] = {"title": event.name}
    if declaration is not None and declaration.summary:
        schema["description"] = declaration.summary
    properties: dict[str, Any] = {
        "id": {"description": "Where replies are asked for.", "type": ["integer", "string"]},
        "jsonrpc": {"const": "2.0"},
        "method": {"const": event.name},
    }
    required = ["jsonrpc", "method"]
    if declaration is None:
        properties["params"] = {"type": ["object", "array"]}
    elif declaration.params:
        properties["params"] = _params(declaration.params, is_closed=declaration.enforced)
        if declaration.enforced and any(not parameter.optional for parameter in declaration.params.values()):
            required.append("params")
    else:
        properties["params"] = {"type": ["object", "array"], "maxProperties": 0, "maxItems": 0}
    return schema | {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _params(params: Any, *, is_closed: bool) -> dict[str, Any]:
    """Return the schema of declared parameters; where the declaration only describes, others may come, and fewer."""
    by_name: dict[str, Any] = {
        "type": "object",
        "properties": {name: _parameter(parameter) for name, parameter in params.items()},
    }
    in_order: dict[str, Any] = {"description": _IN_ORDER, "type": "array"}
    if is_closed:
        required = [name for name, parameter in params.items() if not parameter.optional]
        last = max((index for index, parameter in enumerate(params.values(), 1) if not parameter.optional), default=0)
        by_name |= {"required": required, "additionalProperties": False}
        in_order |= {"minItems": last, "maxItems": len(params)}
    return {"anyOf": [by_name, in_order]}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    """Return the schema of a parameter; null fits every type."""
    schema: dict[str, Any] = {"description": parameter.summary} if parameter.summary else {}
    return schema | {"type": [_KINDS[parameter.type], "null"]}


def pointer(name: str) -> str:
    """Return *name* as a part of a JSON Pointer in a URI."""
    return quote(name.replace("~", "~0").replace("/", "~1"), safe="~")
