"""What the members of the consumer group say of themselves: all of them need the same subscriptions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, NamedTuple

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from aiokafka.protocol.admin import DescribeGroupsRequest
from orjson import dumps, loads

from evframe_fleet.options import Options

_UNDER_WAY: Final = ("PreparingRebalance", "CompletingRebalance")
Send = Callable[[DescribeGroupsRequest], Awaitable[Any]]


class Described(NamedTuple):
    """A member of the group, in the order of who continues where two leases topics meet."""

    is_new: bool
    """Whether it has had no partition yet."""
    leases_topic: str
    """The one that it reads and writes."""


class Assignor(RoundRobinPartitionAssignor):  # type: ignore[misc] # the library has no types
    """Divides partitions as the library does, and has the group know which leases topic this member has.

    Args:
        leases_topic: of this member.
    """

    def __init__(self, leases_topic: str) -> None:
        self._leases_topic = leases_topic
        self.is_new = True
        """See `Described`; the group gets it whenever it divides the partitions."""

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """Return what the group gets: earlier releases ignore the part behind the topics."""
        own = Described(self.is_new, self._leases_topic)
        return ConsumerProtocolMemberMetadata(self.version, list(topics), dumps(own._asdict()))


async def members_of(options: Options, send: Send) -> list[Described] | None:
    """Return the members with the events topic of the fleet, as far as they say so; None during a rebalance.

    Args:
        options: of the fleet.
        send: sends a request to the coordinator of the group.

    Raises:
        KafkaError: if the coordinator does not answer.
    """
    answer = await send(DescribeGroupsRequest([options.group_id]))
    code, _, state, _, _, members, *_ = answer.groups[0]
    if state in _UNDER_WAY:
        return None
    found = []
    for _, _, _, metadata, *_ in () if code else members:  # a login may be permitted to join, and not to look
        with suppress(ValueError, TypeError, KeyError):  # of an earlier release, or no gateway at all
            described = ConsumerProtocolMemberMetadata.decode(metadata)
            if options.events_topic in described.subscription:
                own = loads(described.user_data)
                found.append(Described(bool(own["is_new"]), str(own["leases_topic"])))
    return sorted(found)
