"""What the fleet is doing: its health, which member owns what, how much waits, and which partitions cannot be had."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from evframe_shards.hashing import shard_of
from evframe_shards.lane import INDEX_BITS
from evframe_wire.keys import canonical_of, key_of

from evframe.plugin import LogLimiter, PluginContext, StatisticGroup
from evframe_fleet.options import Options

if TYPE_CHECKING:
    from evframe_fleet.broker import Broker
    from evframe_fleet.member import Member
    from evframe_fleet.sharing import Sharing

log = logging.getLogger("evframe.fleet")
GROUP: Final = "fleet"
BROKERS: Final = "brokers"
PARTITIONS: Final = "partitions"
_MOST_BEHIND: Final = 1000


class Status:
    """The health and the figures of a member.

    Args:
        options: of the fleet.
        context: of the plugin.
        sharing: what it has observed.
        machine: the member.
        broker: its connection.
    """

    def __init__(
        self, options: Options, context: PluginContext, sharing: Sharing, machine: Member, broker: Broker
    ) -> None:
        self._options = options
        self._sharing = sharing
        self._machine = machine
        self._broker = broker
        self._group = context.status.group(GROUP)
        self._group.add(BROKERS, status=-1, details="connecting", reports=10)
        self._group.add(PARTITIONS, status=-1, details="none of them is known yet")
        self._limiter = LogLimiter()
        self._problem: str | None = "connecting"

    def report(self, problem: str | None) -> None:
        """Show why the cluster cannot be used; None when it can."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            self._group.set_status(1, "connected", BROKERS)
            log.info(
                "the fleet is connected",
                extra={"brokers": self._options.brokers, "member": self._machine.settings.name},
            )
            return
        self._group.set_status(-1, problem, BROKERS)
        extra = {"brokers": self._options.brokers, "problem": problem}
        self._limiter.log(problem, log.warning, "the fleet is not connected", **extra)

    def look(self) -> None:
        """Show whether each partition can be had, and what is wrong with other gateways; call this every second."""
        parts = {"no member has": self.without_owner, "no broker leads": self.without_leader}
        problem = "; ".join(f"{what} {_ranges(numbers)}" for what, numbers in parts.items() if numbers)
        self._group.set_status(-1 if problem else 1, problem or "all of them have owners", PARTITIONS)
        namesakes = self._machine.presence.namesakes
        if namesakes:
            message = "other gateways have the same name; give each one its own"
            self._limiter.log("name", log.warning, message, gateway=self._options.name, members=namesakes)
        ahead_s = {name: round(by, 1) for name, by in self._machine.presence.ahead_s.items()}
        if ahead_s:
            message = "the clocks of gateways differ, and subscriptions end too early or too late"
            self._limiter.log("clock", log.warning, message, ahead_s=ahead_s)

    @property
    def without_owner(self) -> list[int]:
        """The partitions that no living member owns: their events wait."""
        return [number for number in range(self._options.partitions) if self._owner(number) is None]

    @property
    def without_leader(self) -> list[int]:
        """The partitions that no broker leads: nothing can be written to them, or read."""
        connection = self._broker.connection
        return [] if connection is None else connection.writer.without_leader

    def _owner(self, number: int) -> str | None:
        """Return the name of the member that has claimed a partition, and lives."""
        owner = self._machine.table.owners.get(number)
        return owner[1] if owner is not None and self._machine.presence.is_alive(owner[1]) else None

    def statistics(self) -> list[StatisticGroup]:
        """Return the counters and the gauges."""
        table = self._machine.table
        sharing = self._sharing
        counters = {f"lost_{reason}": sharing.losses[reason] for reason in ("unsubscribed", "damaged", "retention")}
        counters |= {"refused_leases": sharing.refused, "damaged_records": sharing.damages}
        gauges = {
            "members": sum(map(self._machine.presence.is_alive, table.members)),
            "leases": len(table.leases),
            "owned_partitions": len(self._machine.partitions),
            "partitions_without_owner": len(self.without_owner),
            "partitions_without_leader": len(self.without_leader),
            "subscribers_behind": sum(map(len, table.behind)),
            "lag_frames": self._lag(),
            "unacknowledged_bytes": self._machine.settings.room.taken,
        }
        return [StatisticGroup(GROUP, counters, gauges)]

    def _lag(self) -> int:
        """Return how many frames of this gateway are not settled, as far as the library knows."""
        connection, partitions = self._broker.connection, self._machine.partitions
        if connection is None:
            return 0
        ends = {number: connection.membership.end_of(number) for number in partitions}
        return sum(max(0, end - partitions[number].offset) for number, end in ends.items() if end)

    def described(self, canonical: str) -> dict[str, Any]:
        """Return who delivers to a subscriber, and whether it is behind: its state is known there alone."""
        number = shard_of(canonical, self._options.partitions)
        is_behind = key_of(canonical) in self._machine.table.behind[number]
        return {"Owner": self._owner(number), **({"Behind": True} if is_behind else {})}

    async def listed(self) -> dict[str, Any]:
        """Return the listing, for people and programs."""
        connection, table = self._broker.connection, self._machine.table
        ends = {} if connection is None else await connection.tail.ends()
        members = [
            {
                "name": name,
                "host": each.get("host"),
                "pid": each.get("pid"),
                "is_alive": self._machine.presence.is_alive(name),
                "partitions": [number for number in range(self._options.partitions) if self._owner(number) == name],
                "seen_s": round(self._machine.presence.silent_s(name), 1),
            }
            for name, each in sorted(table.members.items())
        ]
        return {
            "Name": self._machine.settings.name,
            "State": self._problem or "connected",
            "Leases": len(table.leases),
            "Members": members,
            "Partitions": list(self._partitions(ends)),
            "Behind": list(self._behind(ends)),
            "WithoutOwner": self.without_owner,
            "WithoutLeader": self.without_leader,
            "Lost": dict(self._sharing.losses),
            "RefusedLeases": self._sharing.refused,
            "DamagedRecords": self._sharing.damages,
        }

    def _partitions(self, ends: dict[int, int]) -> Iterator[dict[str, Any]]:
        for number in range(self._options.partitions):
            front = self._machine.table.fronts.get(number, 0) >> INDEX_BITS
            lag = max(0, ends[number] - front) if number in ends else None
            yield {"partition": number, "owner": self._owner(number), "lag_frames": lag}

    def _behind(self, ends: dict[int, int]) -> Iterator[dict[str, Any]]:
        left = _MOST_BEHIND
        for number, each in enumerate(self._machine.table.behind):
            for key, place in list(each.items())[:left]:
                left -= 1
                lag = max(0, ends[number] - (place >> INDEX_BITS)) if number in ends else None
                yield {"socket": canonical_of(key), "partition": number, "lag_frames": lag}


def _ranges(numbers: list[int]) -> str:
    """Return numbers as text, such as ``0-3, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)
