"""Routing keys and headers with parameters of the event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from evframe import Event
from evframe.plugin import UNFIT, Template, UnfitError, template_of

_MOST_KEY: Final = 255  # bytes of a short string of AMQP
_MOST_HEADER: Final = 1024


@attrs.frozen(eq=False)
class Route:
    """Where a message goes, and the headers that it has, by the parameters of its event."""

    key: str
    headers: Mapping[str, str]
    by_key: Template | None
    by_header: Mapping[str, Template]

    @property
    def parameters(self) -> tuple[str, ...]:
        """The names of the parameters."""
        templates = [*self.by_header.values(), *([] if self.by_key is None else [self.by_key])]
        return tuple(name for template in templates for name in template.parameters)

    @property
    def widest(self) -> Mapping[str, str]:
        """Headers as long as those of an event may be."""
        return {**self.headers, **dict.fromkeys(self.by_header, "-" * _MOST_HEADER)}

    def of(self, event: Event) -> tuple[str, Mapping[str, str]]:
        """Return the routing key and the headers of the message for *event*.

        Raises:
            UnfitError: if a parameter is missing, or what is made of it is too long.
        """
        key = self.key if self.by_key is None else _fitting(self.by_key.text_of(event), _MOST_KEY)
        made = {name: _fitting(template.text_of(event), _MOST_HEADER) for name, template in self.by_header.items()}
        return key, {**self.headers, **made}


def route_of(key: str, headers: Mapping[str, str]) -> Route | None:
    """Return the route of a socket with parameters; None for one without.

    Raises:
        ValueError: if braces open and have no parameter.
    """
    found = {name: template_of(value) for name, value in headers.items()}
    templates = {name: template for name, template in found.items() if template is not None}
    by_key = template_of(key)
    return Route(key, headers, by_key, templates) if templates or by_key is not None else None


def _fitting(text: str, most: int) -> str:
    try:
        if len(text.encode()) <= most:
            return text
    except UnicodeEncodeError:
        pass
    raise UnfitError(UNFIT)
