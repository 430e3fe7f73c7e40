"""What delivers to a group that is a member of another one."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from evframe import Batch, Socket
from evframe.plugin import Limits

_LIMITS: Final = Limits(in_flight=sys.maxsize, reads_params=True)


@attrs.frozen
class GroupCarrier:
    """The transport of a group within a group, as the core sees it: each of its members has a queue."""

    deliver: Callable[[Socket, Batch], Awaitable[None] | bool | None]
    unsubscribed: Callable[..., Any]
    limits: Limits = _LIMITS
