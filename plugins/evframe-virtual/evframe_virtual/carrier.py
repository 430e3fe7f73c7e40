"""What delivers to a group that is a member of another one."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

from evframe import Batch, Socket


@attrs.frozen
class GroupCarrier:
    """The transport of a group within a group, as the core sees it: each of its members has a queue."""

    deliver: Callable[[Socket, Batch], Awaitable[None] | bool | None]
    unsubscribed: Callable[..., Any]
    batch_events: int = 1024
    in_flight: int = sys.maxsize
    in_flight_batches: int = sys.maxsize
    at_once: bool = False
    gathers: bool = False
    reads_params: bool = True
