"""One connection to the cluster: its producer and its consumers, until the first of them fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaConnectionError, KafkaError
from evframe_kafka_clients.access import Access
from evframe_kafka_clients.places import Places

from evframe import Unavailable
from evframe_fleet.membership import Membership
from evframe_fleet.options import Options
from evframe_fleet.readers import CatchUp, Tail
from evframe_fleet.topics import TopicError, Topics
from evframe_fleet.writer import GIVE_UP_S, Writer

if TYPE_CHECKING:
    from evframe_fleet.member import Member

__all__ = ["Access", "Connection", "TopicError", "is_expected"]
_LEAVE_S: Final = 2.0


def is_expected(error: BaseException) -> bool:
    """Return whether *error* is of the cluster, of the way to it, or of what the library makes of these."""
    return isinstance(error, KafkaError | OSError | TimeoutError | TopicError | Unavailable | asyncio.CancelledError)


class Connection:
    """What reads and writes the topics.

    Args:
        options: of the fleet.
        places: where the brokers are.
        made: the options of the library.
        machine: gets what is read.
        next_lease: the first record of leases to read.
    """

    def __init__(
        self, options: Options, places: Places, made: Mapping[str, Any], machine: Member, next_lease: int
    ) -> None:
        self._options = options
        self._places = places
        self._made = made
        self._limit_s = options.connect_timeout_ms / 1000
        self._machine = machine
        self.writer = Writer(options, places, made)
        """Writes both topics."""
        self.tail = Tail(options, places, made, machine.lease_read, next_lease)
        """Reads the leases."""
        self.membership = Membership(options, places, made, machine)
        """Reads the events of the partitions that this gateway owns."""
        self.catch_up = CatchUp(options, places, made)
        """Reads events again."""

    async def run(self, get_ready: Callable[[], Awaitable[None]], on_member: Callable[[], object]) -> None:
        """Work until something fails.

        Args:
            get_ready: called when all leases are read; this gateway joins the group when it ends.
            on_member: called when the group has divided the partitions.

        Raises:
            TopicError: if a topic cannot be used.
            KafkaError: if the library cannot continue.
            TimeoutError: if the cluster does not answer in time.
        """
        async with asyncio.timeout(3 * self._limit_s):
            await Topics(self._options, self._places).prepare(self._made, self._limit_s)
        await self.writer.start()
        parts = (self.writer.run(), self.tail.run(), self._watch(), self._take_part(get_ready, on_member))
        work = [*map(asyncio.ensure_future, parts)]
        try:
            await asyncio.gather(*work)  # none of them ends without an error
        finally:
            for each in work:
                each.cancel()
            await asyncio.gather(*work, return_exceptions=True)

    async def _take_part(self, get_ready: Callable[[], Awaitable[None]], on_member: Callable[[], object]) -> None:
        """Join the group, once all leases are read."""
        await self.tail.wait_until_read()
        self._check_group(is_new=True)
        await get_ready()
        await asyncio.gather(self.catch_up.run(), self.membership.run(on_member))

    def _check_group(self, *, is_new: bool) -> None:
        """Fail when members of another group deliver; of groups that have begun at once, one continues."""
        other, own, topic = self._machine.other_group, self._options.group_id, self._options.events_topic
        if other is not None and (is_new or other < own):
            expected = f"expected the group_id of the members that have it, {other!r}"
            raise TopicError(f"topic {topic!r}: {expected}, got {own!r}")

    async def _watch(self) -> None:
        """Fail when the brokers have not answered for long: they may be elsewhere."""
        while True:
            self._check_group(is_new=False)
            answered_at = max(self.writer.answered_at, self.membership.answered_at)
            if time.monotonic() > answered_at + GIVE_UP_S:
                self._places.forget()
                raise KafkaConnectionError("no broker has answered for long")
            await asyncio.sleep(self._options.session_timeout_ms / 4000)

    async def leave(self) -> None:
        """Hand over the partitions, and leave the group, within a bound."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._options.hand_over_ms / 1000 + _LEAVE_S):
                await self.membership.stop()

    async def close(self) -> None:
        """End all parts; what was not acknowledged may have been written or not."""
        self.membership.lose()
        async with AsyncExitStack() as stack:  # which stops all of them, also when this is cancelled at one
            for each in (self.writer, self.tail, self.catch_up, self.membership):  # the last one first
                stack.push_async_callback(each.stop)
