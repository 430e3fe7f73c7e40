"""Topics, consumed for as long as the interface works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from evframe_ingest import SETTLE_S, ConnectingConsumer
from evframe_kafka_clients.consuming import is_encrypted
from evframe_kafka_clients.places import Places

from evframe import Unavailable
from evframe.plugin import HostAddress, comes_from_outside
from evframe_kafka_consumer.counts import Counts
from evframe_kafka_consumer.options import ConnectionOptions

if TYPE_CHECKING:
    from evframe_kafka_clients.access import Access

    from evframe_kafka_consumer.member import Member
    from evframe_kafka_consumer.records import Records

_LOOK_S: Final = 5.0
_MOVED_S: Final = 15.0


class TopicConsumer(ConnectingConsumer[ConnectionOptions]):
    """Joins a group, and consumes as one of its members."""

    plugin = "kafka-consumer"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        by_name = is_encrypted(self.options.properties)
        self._places = Places(self.options.endpoints, self._resolver, by_name=by_name)
        self._access: Access | None = None  # from the first connection with these options on
        self.counts = Counts()
        self._records: Records | None = None  # from the first connection on
        self._has_moved = self._has_joined = False
        self._member: Member | None = None
        self._committer: asyncio.Task[None] | None = None

    async def _get_access(self) -> Access:
        library = await self._library.get()
        if self._access is None:
            self._access = library.Access(self.options, self._places)
        return self._access

    async def _made(self) -> dict[str, Any]:
        return await (await self._get_access()).settings()

    async def _consume(self) -> str:
        library = await self._library.get()
        if self._records is None:
            self._records = library.Records(self.options, self.intake, self.counts, self._made)
        try:
            await self._take_part(library, self._records)
        except BaseException as error:  # whatever the library makes of what the brokers do, cancellations too
            if comes_from_outside(error):
                raise
            access = await self._get_access()
            access.failed()
            return await access.reason_of(error, was_used=self._has_joined)
        return "closed"

    async def _take_part(self, library: Any, records: Records) -> None:
        """Consume as one member of the group, until the library cannot continue."""
        self._has_moved = self._has_joined = False
        member: Member = library.Member(self.options, records, self._places, await self._made())
        self._member = member
        await member.join()
        self._has_joined = True
        self._availability.begins()
        self._committer = asyncio.create_task(self._commit(library, member))
        fetcher = asyncio.create_task(_fetch(member))
        try:
            await asyncio.wait((fetcher, self._committer), return_when=asyncio.FIRST_COMPLETED)
            for task in (fetcher, self._committer):
                if task.done():
                    task.result()
        finally:
            fetcher.cancel()
            await asyncio.wait((fetcher,))

    async def _commit(self, library: Any, member: Member) -> None:
        """Commit again and again how far this member is, and check that the group can be reached.

        Raises:
            KafkaConnectionError: if none of the brokers that the library knows has answered for long. It looks for no
                others, so that they may be elsewhere.
            Unavailable: if the brokers to begin with have other addresses.
        """
        answered_at = time.monotonic()
        while not self._has_moved:
            await self._sleep(self.options.commit_interval_ms / 1000)
            try:
                answered = await member.commit()
                is_due = time.monotonic() >= answered_at + _LOOK_S or not self._availability.consumed
                if not answered and is_due:
                    await member.check_reachable()
                    answered = True
            except Exception as error:  # noqa: BLE001 as above; it is tried again
                access = await self._get_access()
                self._availability.ends(await access.reason_of(error, was_used=self._has_joined))
                if time.monotonic() >= answered_at + _MOVED_S:
                    self._places.forget()
                    raise library.KafkaConnectionError from None
                continue
            if answered:
                answered_at = time.monotonic()
                if not self._availability.consumed:
                    self._availability.begins()
        raise Unavailable("moved")

    def adopt(self, options: ConnectionOptions) -> None:
        """Use the secrets of *options* for the next connection."""
        super().adopt(options)
        self._access = None

    def moved(self, host: str, _: Sequence[HostAddress]) -> None:
        """Join again when *host* is one of the brokers to begin with, and has other addresses."""
        self._has_moved = self._has_moved or any(host == each for each, _ in self._places.endpoints)

    async def _leave(self) -> None:
        committer, self._committer = self._committer, None
        member, self._member = self._member, None
        if committer is not None:
            committer.cancel()
            await asyncio.wait([committer])
        if member is not None:
            await member.leave()

    async def stop(self) -> None:
        """Commit what has its outcome by now, and leave the group: the rest comes again."""
        if self._records is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    while self.counts.waiting.total():
                        self._records.settled.clear()
                        await self._records.settled.wait()
            await self._leave()
            await self._records.close()
        self._places.close()

    def listed(self) -> dict[str, Any]:
        """Return the state and the counters, for people and programs."""
        counts, member = self.counts, self._member
        return {
            "name": self.options.name,
            "brokers": self.options.brokers,
            "group": self.options.group_id,
            "state": self._availability.details,
            "partitions": [f"{topic}/{number}" for topic, number in sorted(member.partitions)] if member else [],
            "received": counts.received,
            "raised": self.intake.raised,
            "refused": dict(self.intake.refused),
            "waiting": counts.waiting.total(),
            "retried": counts.retried,
            "dead_letters": counts.dead_letters,
            "dead_letters_refused": dict(counts.refused_dead_letters),
        }


async def _fetch(member: Member) -> None:
    while True:
        await member.fetch()
