"""Writes leases and frames, acknowledged by all replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from evframe_kafka_clients.closing import end
from evframe_kafka_clients.consuming import for_a_producer
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import start

from evframe_fleet.options import Options
from evframe_fleet.records import written_key

if TYPE_CHECKING:
    from evframe_fleet.log import Put

GIVE_UP_S: Final = 15.0
"""After how long without an answer a connection is given up."""
_HEAD_BYTES: Final = 32_768


class Writer:
    """An idempotent producer: the library writes each record once and in order, or the connection fails.

    Args:
        options: of the fleet.
        places: where the brokers are.
        made: the options of the library.
    """

    def __init__(self, options: Options, places: Places, made: Mapping[str, Any]) -> None:
        self._options = options
        self._places = places
        self._producer = AIOKafkaProducer(
            **for_a_producer(made),
            acks="all",
            enable_idempotence=True,
            max_request_size=options.frame_bytes + _HEAD_BYTES,
            max_batch_size=options.frame_bytes,
            request_timeout_ms=options.connect_timeout_ms,
        )
        self._leases: asyncio.Queue[tuple[bytes, bytes | None, Put]] = asyncio.Queue()
        self._calls: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_open = False
        self.answered_at = time.monotonic()
        """When a broker has last acknowledged something."""

    async def start(self) -> None:
        """Find the cluster.

        Raises:
            KafkaError: if there is none.
            TimeoutError: if it does not answer in time.
        """
        await start(self._producer, self._places, self._options.connect_timeout_ms / 1000)
        self._is_open = True

    @property
    def without_leader(self) -> list[int]:
        """The partitions of the events topic that no broker leads, so that nothing can be written to them."""
        cluster, topic = self._producer.client.cluster, self._options.events_topic
        known = cluster.partitions_for_topic(topic) or set()
        return sorted(known - (cluster.available_partitions_for_topic(topic) or set()))

    def put_lease(self, key: str, value: bytes | None, done: Put) -> None:
        """Write a record of the leases topic; see `evframe_fleet.log.Log.put_lease`."""
        if self._is_open:
            self._leases.put_nowait((written_key(key, self._options.events_topic).encode(), value, done))
        else:
            asyncio.get_running_loop().call_soon(done, None)

    def put_frame(self, partition: int, value: bytes, done: Put) -> None:
        """Write a frame; see `evframe_fleet.log.Log.put_frame`."""
        if self._is_open:
            topic = self._options.events_topic
            self._call(self._acknowledge(self._producer.send_and_wait(topic, value, partition=partition), done))
        else:
            asyncio.get_running_loop().call_soon(done, None)

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _acknowledge(self, sent: Awaitable[Any], done: Put) -> None:
        offset: int | None = None
        try:
            async with asyncio.timeout(GIVE_UP_S):
                offset = (await sent).offset
            self.answered_at = time.monotonic()
        except (KafkaError, TimeoutError) as error:
            if not self._failed.done():  # the library does not know what was written
                self._failed.set_exception(KafkaConnectionError(f"a record was not acknowledged: {error!r}"))
        finally:
            done(offset)

    async def run(self) -> None:
        """Write the records of leases in their order, until something fails.

        Raises:
            KafkaError: if a record was not acknowledged.
            TimeoutError: if the library takes no record.
        """
        writing = asyncio.ensure_future(self._write_leases())
        try:
            await asyncio.gather(writing, self._failed)  # neither of them ends without an error
        finally:
            self._is_open = False
            writing.cancel()

    async def _write_leases(self) -> None:
        while True:
            key, value, done = await self._leases.get()
            try:
                async with asyncio.timeout(GIVE_UP_S):
                    sent = await self._producer.send(self._options.leases_topic, value, key=key, partition=0)
            except BaseException:
                asyncio.get_running_loop().call_soon(done, None)
                raise
            self._call(self._acknowledge(sent, done))

    async def stop(self) -> None:
        """End the producer; what is not acknowledged has failed."""
        self._is_open = False
        self._failed.cancel()
        while not self._leases.empty():
            self._leases.get_nowait()[2](None)
        await asyncio.sleep(0)  # a call that is cancelled before its first turn would have no outcome
        calls = list(self._calls)
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await end(self._producer)
