"""How a member of the fleet is set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from evframe_shards.outgoing import Room

if TYPE_CHECKING:
    from evframe import EventDefinition


@attrs.frozen(kw_only=True)
class Settings:
    """What a member needs to know; all members have the same number of partitions."""

    name: str
    """Of this process: no other process has it, nor an earlier one."""
    partitions: int = 64
    """How many the events topic has."""
    session_s: float = 6.0
    """After how many seconds without contact the group excludes a member."""
    margin_s: float = 1.0
    """By how many seconds earlier a member that has no contact begins no batch any more."""
    every_s: float = 0.5
    """How many seconds are between two rounds of positions."""
    grace_s: float = 5.0
    """How many seconds a lease lives on after its time: more than the clocks of the gateways differ."""
    unheld_s: float = 60.0
    """How many seconds a lease of a configuration lives on, when no gateway that lives has it."""
    revoke_s: float = 2.0
    """How many seconds batches under way have, when a partition is given up."""
    known_s: float = 5.0
    """How many seconds a frame waits at most for the leases that its writer knew."""
    near_frames: int = 1000
    """How far below the front a new owner begins to read, for subscribers with separate positions; what is below that
    is read again beside it."""
    max_bytes: int = 900_000
    """How large a frame may be."""
    room: Room = attrs.field(factory=Room)
    """How much may wait to be acknowledged."""
    on_room: Callable[[], object] = lambda: None
    """Called when there is room again after an event has found none."""
    is_local: Callable[[EventDefinition], bool] | None = None
    """Returns whether events of a definition do not leave the process; None for no such events."""
    about: Mapping[str, Any] = attrs.field(factory=dict)
    """What this gateway says of itself to the others, such as its host."""
