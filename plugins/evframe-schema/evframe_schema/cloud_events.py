"""The messages of events that are sent as CloudEvents."""

from __future__ import annotations

from typing import Any, Final

from evframe_cloudevents import Envelope, Formats, Mode, envelope_of

import evframe

_TEXT: Final = {"type": "string", "minLength": 1}
_KINDS: Final = {
    "structured": "application/cloudevents+json",
    "batch": "application/cloudevents-batch+json",
    "binary": "application/json",
}
_IN_HEADERS: Final = (
    "A CloudEvent in the binary mode: the attributes are in headers, which the binding of the protocol names."
)


def mode_of(interface: evframe.EventInterface, canonical: str) -> Mode | None:
    """Return how CloudEvents are sent to a subscriber; None where it gets notifications of JSON-RPC."""
    scheme = canonical.partition(":")[0]
    for _, plugin in interface.plugins.list_name_plugin():
        formats = getattr(plugin, "formats", None)
        if isinstance(formats, Formats) and scheme in getattr(plugin, "schemes", ()):
            return formats.mode_of(canonical)
    return None


def envelope(interface: evframe.EventInterface) -> Envelope:
    """Return what has the attributes of CloudEvents."""
    return envelope_of(interface) or Envelope()


def cloud_event(mode: Mode, type_: str, notification: dict[str, Any]) -> dict[str, Any]:
    """Return the message of an event, without its name.

    Args:
        mode: how it is sent.
        type_: the attribute `type`.
        notification: the schema of the event as a notification.
    """
    params = notification["properties"]["params"]
    is_needed = "params" in notification["required"]
    if mode == "binary":
        return {"contentType": _KINDS[mode], "description": f"{_IN_HEADERS} The type is {type_}.", "payload": params}
    schema = {
        "title": notification["title"],
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "type": {"const": type_},
            "source": _TEXT,
            "id": _TEXT,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "data": params,
        },
        "required": ["specversion", "type", "source", "id", *(["data"] if is_needed else [])],
    }
    payload = {"type": "array", "items": schema} if mode == "batch" else schema
    return {"contentType": _KINDS[mode], "payload": payload}
