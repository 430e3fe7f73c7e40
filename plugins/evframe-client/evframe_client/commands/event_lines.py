"""The events of a running gateway as lines of text."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import attrs
import click
from evframe_wire.encoding import encode_value
from evframe_wire.patterns import compile_pattern
from evframe_wire.reading import MAX_TEXT_DEPTH, read
from evframe_wire.visible import visible, visible_json

from evframe.command_line import say
from evframe_client import ReceivedEvent


@attrs.frozen(kw_only=True)
class EventLines:
    """Makes a line of each event.

    Args:
        as_json: whether the line is the JSON-RPC notification as it was on the wire, else name and parameters.
        utc: whether times are in UTC.
        has_time: whether the line begins with the time, or the JSON with a member for it, unless it has one.
        has_colours: whether the time and the name differ from the rest.
    """

    as_json: bool = False
    utc: bool = False
    has_time: bool = True
    has_colours: bool = False

    def line(self, event: ReceivedEvent) -> str:
        """Return the line of *event*."""
        at = datetime.fromtimestamp(event.at, UTC)
        at = at if self.utc else at.astimezone()
        if self.as_json:
            text = _as_json(event).lstrip()
            time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            return f'{{"time":"{time}",{text[1:]}' if self.has_time and not _has_time(event) else text
        name = visible(event.name)
        line = f"{self._styled(name, fg='cyan', bold=True)} {_json_text(event.params)}"
        if not self.has_time:
            return line
        time = at.replace(tzinfo=None).isoformat(" ", "milliseconds") + "Z" * self.utc
        return f"{self._styled(time, dim=True)} {line}"

    def _styled(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self.has_colours else text


def unmatched(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return those of *patterns* that match none of *names*."""
    known = tuple(names)
    return [pattern for pattern in patterns if not any(map(compile_pattern(pattern).match, known))]


def _has_time(event: ReceivedEvent) -> bool:
    """Return whether the JSON of an event has a time, as that of a CloudEvent has, in which a second would hide one."""
    return b'"time"' in event.payload and "time" in dict(read(event.payload))


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
