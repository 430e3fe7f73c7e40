"""The events of a running gateway as lines of text."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from evframe_wire.encoding import encode_value
from evframe_wire.patterns import compile_pattern
from evframe_wire.reading import MAX_TEXT_DEPTH, read
from evframe_wire.visible import visible, visible_json

from evframe.command_line import say
from evframe_client import ReceivedEvent, Subscription


def lines(subscription: Subscription, *, as_json: bool) -> Iterator[str]:
    """Yield a line for each event: its name and parameters, or its JSON-RPC notification as it was on the wire."""
    for event in subscription:
        yield _as_json(event) if as_json else f"{visible(event.name)} {_json_text(event.params)}"


def unmatched(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return those of *patterns* that match none of *names*."""
    known = tuple(names)
    return [pattern for pattern in patterns if not any(map(compile_pattern(pattern).match, known))]


def _as_json(event: ReceivedEvent) -> str:
    text = event.payload.decode("utf-8", "surrogateescape")
    return text if text.isprintable() else _json_text(read(event.payload))  # which may have raw newlines


def _json_text(value: Any) -> str:
    return visible_json(encode_value(value, MAX_TEXT_DEPTH).decode("utf-8", "surrogateescape"))


class Notes(logging.Handler):
    """Prints what the client logs about the gateway on standard error: that it is away, or back."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print *record* with its problem."""
        problem = getattr(record, "problem", None)
        say(record.getMessage() if problem is None else f"{record.getMessage()}: {problem}", err=True)
