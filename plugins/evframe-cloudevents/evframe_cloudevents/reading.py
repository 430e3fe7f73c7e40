"""CloudEvents that come in: the event that one is, its parameters, and the context that it carries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import attrs
from evframe_wire.payload import Pairs
from evframe_wire.reading import read
from evframe_wire.visible import brief

from evframe_cloudevents.envelope import EXTENSION, VERSION

_REQUIRED: Final = ("id", "source", "type")
_STRUCTURED: Final = "application/cloudevents+json"
_OTHERS: Final = "application/cloudevents"
_LONGEST: Final = len("cloudEvents:")
_ENCODED: Final = "ce-"  # of HTTP and NATS, whose header values are encoded with percent signs
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
PREFIXES: Final = ("ce_", _ENCODED, "cloudevents:", "cloudevents_")
"""Those of the names of attributes in the headers of Kafka, HTTP and NATS, and AMQP, in small letters."""
_VERSION: Final = b'"specversion"'


class NotACloudEvent(ValueError):  # noqa: N818 it may be another message
    """Raised for what is no CloudEvent 1.0 with parameters of an event."""


@attrs.frozen(slots=True)
class Received:
    """A CloudEvent that came in."""

    type: str
    params: Any
    """The data: a dict, a list, `Pairs` when a name occurs twice, or None."""
    source: str
    id: str
    carried: Mapping[str, str] = attrs.field(factory=dict)
    """Its context, by the names of headers."""

    def name(self, type_prefix: str = "") -> str:
        """Return the name of its event: the type without *type_prefix*."""
        return self.type.removeprefix(type_prefix)


def read_message(
    content_type: str | None, headers: Mapping[str, Any] | None, body: bytes, prefixes: Sequence[str] = PREFIXES
) -> Received | None:
    """Return the CloudEvent that a message with headers is; None when it is none.

    Args:
        content_type: of the message.
        headers: of the message; values that are no text are ignored.
        body: of the message.
        prefixes: see `attributes_of`.

    Raises:
        NotACloudEvent: if it says that it is one, and cannot be read as one.
    """
    kind = _kind(content_type)
    if kind == _STRUCTURED:
        return read_structured(body)
    if kind.startswith(_OTHERS):
        raise NotACloudEvent(f"expected a CloudEvent in JSON, got {brief(kind)}")
    attributes = attributes_of(headers, prefixes)
    return read_binary(attributes, content_type, body) if "specversion" in attributes else None


def read_structured(body: bytes) -> Received:
    """Return the CloudEvent that a text in the JSON format is.

    Raises:
        NotACloudEvent: if it is none, or its data are no parameters.
    """
    try:
        value = read(body)
    except ValueError as error:
        raise NotACloudEvent(f"expected JSON: {error}") from None
    return read_object(value)


def read_body(body: bytes) -> Received | None:
    """Return the CloudEvent that a body without a content type is; None when it is no JSON that says that it is one.

    Raises:
        NotACloudEvent: if it says that it is one, and cannot be read as one.
    """
    if _VERSION not in body:
        return None
    try:
        value = read(body)
    except ValueError:
        return None
    return read_object(value) if is_cloud_event(value) else None


def is_cloud_event(value: Any) -> bool:
    """Return whether a JSON object says that it is a CloudEvent."""
    return isinstance(value, dict | Pairs) and "specversion" in (value if isinstance(value, dict) else dict(value))


def read_object(value: Any) -> Received:
    """Return the CloudEvent that a JSON object is; see `read_structured`."""
    if not isinstance(value, dict | Pairs):
        raise NotACloudEvent(f"expected a JSON object, got {type(value).__name__}")
    members: dict[Any, Any] = value if isinstance(value, dict) else dict(value)
    if "data_base64" in members:
        raise NotACloudEvent("expected data in JSON, got data_base64")
    _check_json(members.get("datacontenttype"))
    return _received(members, members.get("data"))


def read_binary(attributes: Mapping[str, Any], content_type: str | None, body: bytes) -> Received:
    """Return the CloudEvent of a message in the binary mode.

    Args:
        attributes: as `attributes_of` returns them.
        content_type: of the body; without one, that among the attributes counts.
        body: the data.

    Raises:
        NotACloudEvent: if an attribute is missing, or the data are no parameters.
    """
    if not body:
        return _received(attributes, None)
    _check_json(content_type or attributes.get("datacontenttype"))
    try:
        data = read(body)
    except ValueError as error:
        raise NotACloudEvent(f"expected data in JSON: {error}") from None
    return _received(attributes, data)


def attributes_of(headers: Mapping[str, Any] | None, prefixes: Sequence[str] = PREFIXES) -> dict[str, str]:
    """Return the attributes among *headers*, in the binary mode.

    Those of HTTP and NATS, which begin with ``ce-``, are decoded.

    Args:
        headers: of a message.
        prefixes: those that the names of attributes may have, in small letters; an empty one for MQTT, which has none.
    """
    found: dict[str, str] = {}
    for name, value in (headers or {}).items():
        lower = name[:_LONGEST].lower()
        for prefix in prefixes:
            if lower.startswith(prefix):
                text = _text(value)
                if text is not None:
                    found[name[len(prefix) :].lower()] = _decoded(text) if prefix == _ENCODED else text
    return found


def _decoded(text: str) -> str:
    """Return the attribute in the value of a header of HTTP; older senders put quotation marks around it."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
    return unquote(text)


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return value if isinstance(value, str) else None


def _received(attributes: Mapping[Any, Any], data: Any) -> Received:
    version = attributes.get("specversion")
    if version != VERSION:
        raise NotACloudEvent(f"expected specversion {VERSION}, got {brief(version)}")
    for name in _REQUIRED:
        if not isinstance(attributes.get(name), str) or not attributes[name]:
            raise NotACloudEvent(f"expected a text as the attribute {name}, got {brief(attributes.get(name))}")
    if data is not None and not isinstance(data, dict | list | Pairs):
        raise NotACloudEvent(f"expected parameters in an object or an array, got {type(data).__name__}")
    carried = {name: attributes[name] for name in EXTENSION if isinstance(attributes.get(name), str)}
    return Received(attributes["type"], data, attributes["source"], attributes["id"], carried)


def _check_json(content_type: Any) -> None:
    kind = _kind(content_type)
    if content_type and not kind.endswith(("/json", "+json")):
        raise NotACloudEvent(f"expected data of application/json, got {brief(content_type)}")


def _kind(content_type: Any) -> str:
    """Return a content type in small letters, without its parameters; empty for what is no text."""
    return content_type.partition(";")[0].strip().lower() if isinstance(content_type, str) else ""
