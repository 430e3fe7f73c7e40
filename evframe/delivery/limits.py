"""What a transport can take, and what it needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs


def _at_least(smallest: int) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if type(value) is not int or value < smallest:
            raise ValueError(f"{attribute.name}: expected {smallest} or more, got {value!r}")

    return check


@attrs.frozen(kw_only=True)
class Limits:
    """What a transport can take and needs: the attribute `limits` of its plugin."""

    batch_events: int = attrs.field(default=1024, validator=_at_least(1))
    """How many events one batch may have."""
    in_flight: int = attrs.field(default=0, validator=_at_least(0))
    """How many events of a subscriber may be under way before the next batch waits for the one before;
    `evframe.plugin.Ordering` keeps its batches in order."""
    in_flight_batches: int = attrs.field(default=sys.maxsize, validator=_at_least(1))
    """How many batches of a subscriber may be under way."""
    gathers: bool = False
    """Whether events wait for others, for at most 2 ms after the subscriber's last batch has begun: a batch that is
    awaited takes as long as ten events or more. None waits after a pause, or when 512 wait, or when an outcome is
    waited for."""
    at_once: bool = False
    """Whether `deliver` is called within the raise for the first event of a turn of the loop, unless the turn before
    had many: it must make nothing but system calls that do not wait, and call no code of others."""
    reads_params: bool = False
    """Whether the parameters themselves are read: `event.params` costs nothing more then. Without it they are read from
    `event.payload` at the first use."""
    has_members: bool = False
    """Whether its sockets have members, parsed with `context.transports.parse`, whose references to secrets are their
    own."""
    percent_safe: str | None = None
    """The characters of a value that a percent-encoded socket has as they are; None for sockets that are not
    percent-encoded."""
    url_forms: Mapping[str, Sequence[str]] = attrs.field(factory=dict)
    """The forms of its sockets for URLs of other schemes, which an error suggests: with ``{rest}``, ``{authority}`` and
    ``{path}``, such as ``rabbitmq:{rest}`` for ``amqp``."""
