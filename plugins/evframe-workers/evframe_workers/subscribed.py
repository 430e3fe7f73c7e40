"""What a worker has to know of subscribers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from evframe_workers import messages


@attrs.frozen
class Subscribed:
    """What a worker has to know of a subscriber.

    Args:
        text: the socket as it was subscribed, with its secrets.
        is_configured: whether the text may have references to secrets.
        policy: the keys of its policy that the worker follows.
        is_wanted: whether it has leases; without them, the worker delivers what was raised before.
    """

    text: str = attrs.field(repr=False)
    is_configured: bool
    policy: Mapping[str, Any]
    is_wanted: bool = True


def targets_message(*shown: tuple[int, Subscribed]) -> bytes:
    """Return the message about subscribers, each with its number."""
    rows = [[number, each.text, each.is_configured, dict(each.policy), each.is_wanted] for number, each in shown]
    return messages.json_message(messages.TARGETS, rows)
