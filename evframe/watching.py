"""The events of a running gateway as lines of text."""

from __future__ import annotations

import json
from collections.abc import Iterator

from evframe.client import ReceivedEvent, Subscription


def lines(subscription: Subscription, *, as_json: bool) -> Iterator[str]:
    """Yield a line for each event: its name and parameters, or its JSON-RPC notification as it was on the wire."""
    for event in subscription:
        yield event.payload.decode("utf-8", "backslashreplace") if as_json else _readable(event)


def _readable(event: ReceivedEvent) -> str:
    text = f"{event.name} {json.dumps(event.params, ensure_ascii=False)}"
    return text.encode("utf-8", "backslashreplace").decode()  # bytes that are not UTF-8
