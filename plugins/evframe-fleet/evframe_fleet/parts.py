"""What the parts of a member share."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from evframe_shards.queue import ShardQueue

    from evframe_fleet.log import Gateway, Log
    from evframe_fleet.settings import Settings
    from evframe_fleet.table import Table


@attrs.define(eq=False)
class Parts:
    """The two topics, the process, and what is known of them."""

    settings: Settings
    log: Log
    gateway: Gateway
    table: Table
    clock: Callable[[], float]
    wall: Callable[[], float]
    queues: dict[str, ShardQueue] = attrs.field(factory=dict)
    """By the names of the subscribers."""
    proof: float = -inf
    """When the last commit was sent that the broker has accepted: this process was a member then."""

    @property
    def may_begin(self) -> bool:
        """Whether no other member can own a partition of this one yet."""
        settings = self.settings
        return self.clock() < self.proof + settings.session_s - settings.margin_s
