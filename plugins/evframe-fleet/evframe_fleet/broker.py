"""Kafka, as the machine of a member uses it, with a connection or without; importing this imports no library."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from evframe_kafka_clients.consuming import is_encrypted
from evframe_kafka_clients.places import Places
from evframe_wire.backoff import delay_s

from evframe.plugin import LateModule, Resolver, comes_from_outside
from evframe_fleet.options import Options

if TYPE_CHECKING:
    from evframe_fleet.connection import Connection
    from evframe_fleet.log import Put, Reread
    from evframe_fleet.member import Member

log = logging.getLogger("evframe.fleet")


class Broker:
    """The `Log` of a machine: connects to the cluster, and again when that ends.

    Without a connection, nothing is acknowledged, and each call fails in the next turn of the loop.

    Args:
        options: of the fleet.
        resolver: looks up the names of brokers.
        report: called with why the cluster cannot be used, and with None when it can and this gateway is a member.
        get_ready: awaited when all leases were read for the first time, before this gateway takes part.
        soon: calls a function in the next turn of the loop; before there is one, when it begins.
    """

    def __init__(
        self,
        options: Options,
        resolver: Resolver,
        report: Callable[[str | None], None],
        get_ready: Callable[[], Awaitable[None]],
        soon: Callable[[Callable[[], None]], object],
    ) -> None:
        self._options = options
        self._resolver = resolver
        self._report = report
        self._get_ready = get_ready
        self._soon = soon
        self._places = Places(options.endpoints, resolver, by_name=is_encrypted(options.properties))
        self._library = LateModule("evframe_fleet.connection")
        self.connection: Connection | None = None
        """The present one."""
        self.is_connected = asyncio.Event()
        """Whether this gateway has ever read all leases."""
        self._is_taking_part = False
        self._next_lease = 0

    # As the machine uses it

    def put_lease(self, key: str, value: bytes | None, done: Put) -> None:
        """Write a record of the leases topic; see `Log.put_lease`."""
        self._ask(lambda connection: connection.writer.put_lease(key, value, done), partial(done, None))

    def put_frame(self, partition: int, value: bytes, done: Put) -> None:
        """Write a frame; see `Log.put_frame`."""
        self._ask(lambda connection: connection.writer.put_frame(partition, value, done), partial(done, None))

    def commit(self, offsets: Mapping[int, int], done: Callable[[bool], None]) -> None:
        """Commit offsets; see `Log.commit`."""
        self._ask(lambda connection: connection.membership.commit(offsets, done), partial(done, False))

    def read_from(self, partition: int, offset: int) -> None:
        """Begin to pass frames; see `Log.read_from`."""
        if self.connection is not None:
            self.connection.membership.read_from(partition, offset)

    def pause(self, partition: int) -> None:
        """Pass no frame of *partition*; see `Log.pause`."""
        if self.connection is not None:
            self.connection.membership.pause(partition)

    def resume(self, partition: int) -> None:
        """Pass frames of *partition* again; see `Log.resume`."""
        if self.connection is not None:
            self.connection.membership.resume(partition)

    def read_again(self, partition: int, offset: int, end: int, done: Callable[[Reread | None], None]) -> None:
        """Read records again; see `Log.read_again`."""
        self._ask(lambda connection: connection.catch_up.read(partition, offset, end, done), partial(done, None))

    def _ask(self, call: Callable[[Connection], None], fail: Callable[[], None]) -> None:
        if self.connection is None:
            self._soon(fail)
        else:
            call(self.connection)

    # Connections

    async def run(self, machine: Member) -> None:
        """Be connected until this is cancelled.

        Args:
            machine: gets what is read.
        """
        for host, _ in self._places.endpoints:
            self._resolver.use(host)
        try:
            await self._run(machine)
        finally:
            for host, _ in self._places.endpoints:
                self._resolver.release(host)
            self._places.close()

    async def _run(self, machine: Member) -> None:
        library = await self._library.get()
        access = library.Access(self._options, self._places)
        attempt, cap_s = 0, self._options.retry_timeout_ms / 1000
        while True:
            begun, self._is_taking_part = time.monotonic(), False
            try:
                made = await access.settings()
                connection = library.Connection(self._options, self._places, made, machine, self._next_lease)
                self.connection = connection
                try:
                    await connection.run(self._on_leases, lambda: self._report(None))
                finally:
                    self.connection = None
                    await connection.close()
                    self._next_lease = connection.tail.next_offset
            except BaseException as error:  # whatever the library makes of what brokers do, cancellations too
                if comes_from_outside(error):
                    raise
                if not library.is_expected(error):
                    log.exception("the fleet has a fault")
                if isinstance(error, library.TopicError):
                    self._report(str(error))
                else:
                    access.failed()
                    self._report(await access.reason_of(error, was_used=self._is_taking_part))
            attempt = attempt + 1 if time.monotonic() - begun < cap_s else 1
            await asyncio.sleep(delay_s(attempt, cap_s))

    async def _on_leases(self) -> None:
        is_first = not self.is_connected.is_set()
        self._is_taking_part = True
        self.is_connected.set()
        if is_first:
            await self._get_ready()

    async def leave(self) -> None:
        """Hand over the partitions, and leave the group, within a bound; records are still written and read."""
        if self.connection is not None:
            await self.connection.leave()
