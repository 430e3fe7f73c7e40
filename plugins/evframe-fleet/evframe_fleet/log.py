"""What the machine of a member calls: no module that it consists of does any input or output.

A gateway of the fleet is a `Member`, the machine, between a `Log`, which is Kafka, and a `Gateway`, which is the
process with its subscribers. Every method is called on the loop's thread and returns at once. A function
that is passed as *done* is called once; the log and the gateway call it later, never within the call that it was
passed to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

if TYPE_CHECKING:
    from evframe_shards.leases import Lease

    from evframe import EventDefinition

Put = Callable[[int | None], None]
"""Called with the offset of a record that all replicas have; with None when it may or may not have been written."""


@attrs.frozen
class Reread:
    """Records of the events topic that were read again."""

    frames: Sequence[tuple[int, bytes | None]]
    """The offset and the value of each, ascending, without a gap but for records that the broker has deleted."""
    next_offset: int
    """Where the next call has to begin; beyond the last of the records."""
    first_offset: int
    """The lowest offset that the partition has."""


class Log(Protocol):
    """Two topics: records about leases and positions, compacted and in one partition, and partitions with frames."""

    def put_lease(self, key: str, value: bytes | None, done: Put) -> None:
        """Write a record of the leases topic; None for a tombstone. Records are written in the order of the calls."""

    def put_frame(self, partition: int, value: bytes, done: Put) -> None:
        """Write a frame. The next call for the partition follows when this one is done."""

    def commit(self, offsets: Mapping[int, int], done: Callable[[bool], None]) -> None:
        """Commit *offsets* by partition, with the present generation, also when nothing has changed.

        *done* gets whether the broker has accepted the commit, which proves that this process was a member when the
        method was called.
        """

    def read_from(self, partition: int, offset: int) -> None:
        """Begin to pass the frames of an assigned partition to `Member.frame_read`, from *offset* on.

        Nothing of a partition is passed before this call. When *offset* was deleted, the lowest one is the first.
        """

    def read_again(self, partition: int, offset: int, end: int, done: Callable[[Reread | None], None]) -> None:
        """Read some records from *offset* on and below *end*, beside what `read_from` passes; None for a failure."""

    def pause(self, partition: int) -> None:
        """Pass no frame of *partition* until `resume`."""

    def resume(self, partition: int) -> None:
        """Pass frames of *partition* again, from the next one on."""


class Gateway(Protocol):
    """The process, as far as the machine calls it."""

    def lease_read(self, lease: Lease) -> None:
        """Make or renew a lease that another gateway has made or renewed; never raises."""

    def lease_ended(self, event: str, key: str) -> Lease | None:
        """End a lease, if it is known; return the lease anew when the configuration of this process holds it.

        One that the configuration gives a time is ended when that time is over.
        """

    def holds(self, event: str, key: str) -> bool:
        """Return whether the configuration of this process holds a lease."""

    def definition_of(self, event: str) -> EventDefinition:
        """Return the definition of an event, which is registered if it is not known."""

    def damaged(self, offset: int, problem: str) -> None:
        """Observe a record of the leases topic that no gateway of this fleet has written, which changes nothing.

        Args:
            offset: of the record.
            problem: what is expected in its place.
        """

    def lost(self, partition: int, count: int, reason: str) -> None:
        """Observe that *count* events or frames are not delivered.

        Args:
            partition: of these.
            count: of events for subscribers that have ended (``unsubscribed``) or frames that cannot be read
                (``damaged``) or that were deleted before they were read (``retention``).
            reason: in a word.
        """
