"""Topics, keys and headers with parameters of the event."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
from evframe_wire.encoding import encode_value

from evframe import Event
from evframe.plugin import UNFIT, Template, UnfitError, template_of

Headers = list[tuple[str, bytes]]
_MARKS: Final = re.compile(r"[a-zA-Z0-9._-]*")
_MOST: Final = 249  # characters of a topic's name


@attrs.frozen
class Made:
    """What the record of an event has beside its value, and the topic that it is for."""

    topic: str
    key: bytes | None
    headers: Headers


@attrs.frozen(eq=False)
class Route:
    """Makes topic, key and headers of the parameters of an event."""

    topic: str
    by_topic: Template | None
    key: str | None
    by_key: Template | None
    headers: tuple[tuple[str, bytes, Template | None], ...]
    """Names, with a value or what makes it."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters."""
        templates = (self.by_topic, self.by_key, *(template for _, _, template in self.headers))
        return tuple(name for template in templates if template is not None for name in template.parameters)

    def of(self, event: Event) -> Made:
        """Return topic, key and headers of the record for *event*.

        Raises:
            UnfitError: if a parameter is missing, or what is made of it is no topic.
        """
        topic = self.topic if self.by_topic is None else _topic(self.by_topic.text_of(event))
        if self.by_key is not None:
            key: bytes | None = _bytes(self.by_key.text_of(event))
        else:
            key = None if self.key is None else bytes_of(event.get(self.key))
        headers = [
            (name, value if template is None else _bytes(template.text_of(event)))
            for name, value, template in self.headers
        ]
        return Made(topic, key, headers)


def route_of(topic: str, key: str | None, headers: Mapping[str, str]) -> Route | None:
    """Return the route of a socket with parameters; None for one without.

    Raises:
        ValueError: if braces open and have no parameter, or no topic can be made.
    """
    by_topic = template_of(topic)
    by_key = None if key is None else template_of(key)
    by_header = tuple((name, value.encode(), template_of(value)) for name, value in headers.items())
    if by_topic is not None:
        _check(topic, by_topic)
    if by_topic is by_key is None and not any(template for _, _, template in by_header):
        return None
    return Route(topic, by_topic, key, by_key, by_header)


def _check(text: str, template: Template) -> None:
    around = template.filled(lambda _: "")
    if not template.parameters or not _MARKS.fullmatch(around) or len(around) > _MOST:
        raise ValueError(
            f"expected a topic of at most {_MOST} letters of ASCII, digits, '.', '_' and '-', with parameters in "
            f"braces, got {text!r}"
        )


def _topic(text: str) -> str:
    if _MARKS.fullmatch(text) and 0 < len(text) <= _MOST and text not in {".", ".."}:
        return text
    raise UnfitError(UNFIT)


def bytes_of(value: Any) -> bytes | None:
    """Return the key that the value of a parameter is."""
    if value is None or isinstance(value, bytes):
        return value
    try:
        return str(value).encode("utf-8", "surrogateescape")
    except ValueError:  # an integer with more digits than Python writes, or a value that has one
        return encode_value(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
