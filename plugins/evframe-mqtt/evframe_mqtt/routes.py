"""Topics and user properties with parameters of the event."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from evframe import Event
from evframe.plugin import UNFIT, Template, UnfitError, template_of

MOST_BYTES: Final = 65535
"""The longest text of MQTT."""
_UNFIT: Final = "\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
UNFIT_CHARACTERS: Final = re.compile(f"[{_UNFIT}]")
"""Characters that a server may refuse in a text, and ends the connection for."""
_SPECIAL: Final = re.compile(f"[{_UNFIT}+#/$%]")
Properties = Sequence[tuple[str, str]]


@attrs.frozen(eq=False)
class Route:
    """Where a message goes, and the user properties that it has, by the parameters of its event."""

    topic: str
    properties: Mapping[str, str]
    by_topic: Template | None
    by_property: Mapping[str, Template]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters."""
        templates = [*self.by_property.values(), *([] if self.by_topic is None else [self.by_topic])]
        return tuple(name for template in templates for name in template.parameters)

    def of(self, event: Event) -> tuple[str, Properties]:
        """Return the topic and the user properties of the message for *event*.

        Raises:
            UnfitError: if a parameter is missing, or what is made of it is empty or too long.
        """
        topic = self.topic if self.by_topic is None else self.by_topic.text_of(event)
        made = {name: template.text_of(event) for name, template in self.by_property.items()}
        if not topic or any(len(text.encode()) > MOST_BYTES for text in (topic, *made.values())):
            raise UnfitError(UNFIT)
        return topic, [*{**self.properties, **made}.items()]


def route_of(topic: str, properties: Mapping[str, str]) -> Route | None:
    """Return the route of a socket with parameters; None for one without.

    Raises:
        ValueError: if braces open and have no parameter.
    """
    found = {name: template_of(value, _text_value) for name, value in properties.items()}
    templates = {name: template for name, template in found.items() if template is not None}
    by_topic = template_of(topic, _level)
    return Route(topic, properties, by_topic, templates) if templates or by_topic is not None else None


def _level(value: str) -> str:
    """Return *value* as a part of one level of a topic: it opens no level, and is no wildcard."""
    return _SPECIAL.sub(_percent, value)


def _text_value(value: str) -> str:
    """Return *value* as a text of MQTT."""
    return UNFIT_CHARACTERS.sub(_percent, value)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogatepass"))
