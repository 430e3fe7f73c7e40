"""How large a frame is, how long an event waits before it is written, and what a file has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from evframe_journal.frames import Frame
    from evframe_journal.letters import Changes


@attrs.frozen
class Bounds:
    """The bounds of all queues."""

    frame_events: int = 4_096
    """How many events a frame has at most."""
    store_after_s: float = 0.02
    """How many seconds an event may wait or be under way before it is written."""
    retry_s: float = 0.1
    """How many seconds after a failure the file is tried again; after each further one twice as many."""
    retry_most_s: float = 5.0
    """How many seconds are between two attempts at most."""
    orphan_keep_s: float = 86_400.0
    """For how many seconds after the file was read a subscriber may come for what the file has for it."""
    look_s: float = 2.0
    """After how many seconds without a commit it is looked whether the file is in its place."""


@attrs.frozen
class FileBounds:
    """How large the file may be."""

    max_bytes: int = 0
    """Of the file; 0 for any size."""
    min_free_bytes: int = 0
    """That are free in its file system after a commit."""


@attrs.frozen
class Kept:
    """What a file has for one subscriber."""

    low: int
    """The lowest position that is not settled."""
    tail: int
    """The position of the next event."""
    count: int
    """How many events are kept."""
    size: int = attrs.field(default=0, eq=False)
    """How many bytes their frames have."""
    has_letters: bool = False
    """Whether those that fail for good become dead letters."""


@attrs.frozen
class Commit:
    """What is written in one transaction."""

    frames: Sequence[Frame]
    lows: Mapping[str, int]
    """By subscriber, the lowest position that is not settled; frames below it are deleted."""
    letters: Changes | None = None
    """What changes in the table of dead letters."""
    has_letters: Mapping[str, bool] = attrs.field(factory=dict)
    """By subscriber that the file says otherwise of, whether its events become dead letters."""


@attrs.frozen
class Reading:
    """What was read for a subscriber."""

    frames: Sequence[Frame]
    end: int
    """The file has no other event below this position."""
    damaged: int = 0
    """How many events of damaged frames are lost; the frames are put aside."""
    lost: Sequence[int] = ()
    """The positions of these, as far as they are known; some may be settled."""


@attrs.frozen
class Mended:
    """A file that can be used again."""

    kept: Mapping[str, Kept]
    """What it has, by subscriber."""
    left: Mapping[str, int]
    """By subscriber, how many events it has from the position on that was asked for."""
    moved_to: str | None = None
    """Where the file is that was damaged or replaced; None when it is the same one, or gone."""
    is_new: bool = False
    """Whether the file is another one than before."""
    damaged: Mapping[str, int] = attrs.field(factory=dict)
    """By subscriber, how many events of the file before were in frames that are damaged."""
