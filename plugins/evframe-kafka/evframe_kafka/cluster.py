"""The producer of a cluster, and the batches of records that go to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer, errors
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from evframe_kafka_clients.logins import without_tokens
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import start
from evframe_kafka_clients.tls import FILES, with_tls
from evframe_kafka_clients.tokens import tokens_of

from evframe import Unavailable
from evframe.plugin import Age, LogLimiter, Resolver, without_tracebacks
from evframe_kafka.address import KafkaSocket
from evframe_kafka.contents import Contents
from evframe_kafka.metadata import UNKNOWN, reasons_of
from evframe_kafka.options import Options
from evframe_kafka.producing import Producing
from evframe_kafka.records import Packed, Packer
from evframe_kafka.settings import Beyond, settings_of

_T = TypeVar("_T")
log = logging.getLogger("evframe.kafka")
_GRACE_S: Final = 5.0  # for the case that the library forgets its time limit
_CHECK_S: Final = 1.0
_MOST_TOPICS: Final = 10_000  # the library keeps something of each topic that an idempotent producer has sent to
# A producer that has left a gap in the numbers of its batches gets no further one through.
_SPENT: Final = (
    errors.OutOfOrderSequenceNumber,
    errors.ProducerFenced,
    errors.InvalidProducerEpoch,
    errors.InvalidProducerIdMapping,
    errors.UnknownProducerId,
)


class Cluster:
    """Starts its producer when it is needed; subscribers with the same properties share it.

    The library looks only for brokers that it knows. When none of these can be reached, the producer is exchanged
    for another one, which begins with the brokers of the socket.
    """

    def __init__(self, target: KafkaSocket, options: Options, resolver: Resolver, networks_beyond: Beyond) -> None:
        self._options = options
        settings = settings_of(target, options)
        self._settings = without_tokens(settings)
        self._tokens = tokens_of(settings, options.connect_timeout_ms / 1000)
        if self._tokens is not None:
            self._settings["sasl_oauth_token_provider"] = self._tokens
        self._limit_s = self._settings["request_timeout_ms"] / 1000
        by_name, networks = "ssl" in _protocol(self._settings), partial(networks_beyond, target.endpoints)
        self._places = Places(target.endpoints, resolver, by_name=by_name, networks=networks)
        # The library has the time limit, unless it is idempotent; then ours alone holds.
        self._check_s = self._limit_s  # another producer would send again what the brokers have
        if not self._settings["enable_idempotence"]:
            self._limit_s += _GRACE_S
            self._check_s = _CHECK_S
        self._producing: Producing | None = None
        self._age = Age()
        self._packer = Packer(self._settings["max_request_size"])
        self._starting = asyncio.Lock()
        self._limiter = LogLimiter()
        self._ends: set[asyncio.Task[None]] = set()
        self.users: dict[str, Collection[str]] = {}
        """The topics that subscribers send to, by their sockets."""

    async def _open(self) -> Producing:
        """Return the producer, started.

        Raises:
            Unavailable: if no broker can be reached.
        """
        async with self._starting:
            if self._producing is None:
                self._producing = await self._start()
                self._age.begins(self._options.max_connection_age_s, self.retire)
            return self._producing

    async def _start(self) -> Producing:
        servers = await self._places.servers()
        try:
            producer = AIOKafkaProducer(bootstrap_servers=servers, **with_tls(self._settings))
        except OSError as error:
            self._log_files(error)
            raise Unavailable("no_certificates") from None
        producing = Producing(producer, self._places, self._end)
        try:
            await start(producer, self._places, self._options.connect_timeout_ms / 1000)
        except (KafkaError, OSError) as error:
            without_tracebacks(error)
            problem = self._places.problem(producer.client) or (self._tokens and self._tokens.problem)
            await producing.close()
            if problem is None and isinstance(error, TimeoutError):
                problem = "connect_timeout"
            try:
                reason = problem or await self._places.connection_problem() or "no_metadata"
            finally:
                self._forget()
            raise Unavailable(reason) from None
        except BaseException:  # the interface is left meanwhile
            await producing.close()
            raise
        problem = self._places.problem(producer.client)
        if problem is not None:
            await producing.close()
            raise Unavailable(problem)
        return producing

    def _log_files(self, error: OSError) -> None:
        repeated = self._limiter.due(str(error))
        if repeated is not None:
            files = [self._settings[name] for name in FILES if name in self._settings]
            extra = {"files": files, "problem": str(error), "repeated": repeated}
            log.warning("certificates cannot be used", extra=extra)

    def retire(self) -> None:
        """Use another producer from now on; what is under way with this one is still acknowledged."""
        producing = self._take()
        if producing is not None:
            producing.retire()

    def _take(self) -> Producing | None:
        """Return the producer, which is not used from now on."""
        producing, self._producing = self._producing, None
        self._age.ends()
        return producing

    def moved(self, host: str) -> None:
        """Begin anew when *host* is one of the brokers to begin with, and has other addresses."""
        if any(host == each for each, _ in self._places.endpoints):
            self.retire()

    def _end(self, producing: Producing) -> None:
        task = asyncio.get_running_loop().create_task(producing.close())
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def probe(self, topic: str | None) -> None:
        """Check that a broker answers now, and has *topic*; None for no topic.

        Raises:
            Unavailable: if none does.
        """
        producing = await self._open()
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                is_reached = await producing.reaches_a_broker()
        except TimeoutError as error:
            without_tracebacks(error)
            is_reached = False
        if not is_reached:
            reason = await self._places.connection_problem() or "timeout"
            self._give_up(producing)
            raise Unavailable(reason)
        if topic is not None:
            await self._partitions(producing, topic)

    def _give_up(self, producing: Producing) -> None:
        """Begin anew with the brokers of the socket, unless that is done already."""
        if self._producing is producing:
            self._forget()
            self.retire()

    def _forget(self) -> None:
        """Look the brokers up again for the next producer, and get it another token: they may have refused this one."""
        self._places.forget()
        if self._tokens is not None:
            self._tokens.failed()

    async def reasons_of(self, topics: Sequence[str]) -> dict[str, str | None]:
        """Return why each of *topics* takes no record; None for one that exists.

        Raises:
            Unavailable: if no broker answers.
        """
        if not topics:
            return {}
        producing = await self._open()
        return await self._request(producing, reasons_of(producing.producer.client, topics))

    def knows(self, topic: str) -> bool:
        """Return whether the producer knows the partitions of *topic*."""
        return self._producing is not None and self._producing.knows(topic)

    async def learn(self, topics: Sequence[str]) -> None:
        """Have the producer know the partitions of *topics*, which are among those of `users`, and of no others.

        Raises:
            Unavailable: if no broker can be reached.
        """
        producing = await self._open()
        if self._settings["enable_idempotence"] and producing.learned > _MOST_TOPICS:
            self.retire()
            producing = await self._open()
        if not all(map(producing.knows, topics)):
            await self._request(producing, producing.learn(set().union(*self.users.values())))

    async def _request(self, producing: Producing, question: Coroutine[Any, Any, _T]) -> _T:
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                return await question
        except (KafkaError, OSError) as error:
            without_tracebacks(error)
            await self._check_reachable(producing)
            raise Unavailable("no_metadata") from None

    async def pack(self, contents: Contents, topic: str, indexes: Sequence[int]) -> tuple[list[Packed], list[int]]:
        """Return the records of events in batches, and the indexes of those that are too large.

        Raises:
            Unavailable: if no broker can be reached, or none names the partitions of the topic.
        """
        producing = await self._open()
        partitions = await self._partitions(producing, topic)
        return self._packer.pack(contents, topic, indexes, partitions, producing.producer.create_batch)

    async def split(self, contents: Contents, packed: Packed) -> list[Packed]:
        """Return a batch of records that was refused as two or more smaller ones."""
        producing = await self._open()
        return self._packer.split(contents, packed, producing.producer.create_batch)

    async def _partitions(self, producing: Producing, topic: str) -> list[int]:
        try:
            async with asyncio.timeout(self._options.connect_timeout_ms / 1000):
                return sorted(await producing.producer.partitions_for(topic))
        except UnknownTopicOrPartitionError as error:
            without_tracebacks(error)
            raise Unavailable(UNKNOWN) from None
        except (KafkaError, OSError) as error:
            without_tracebacks(error)
            await self._check_reachable(producing)
            # The library asks again, until the time is over, for a topic that the brokers do not know.
            is_unknown = isinstance(error, TimeoutError) and self._producing is producing
            raise Unavailable(UNKNOWN if is_unknown else "no_metadata") from None

    async def _check_reachable(self, producing: Producing) -> None:
        """Give the producer up when none of the brokers that it knows answers."""
        try:
            async with asyncio.timeout(_CHECK_S):
                if await producing.reaches_a_broker():
                    return
        except TimeoutError as error:
            without_tracebacks(error)
        self._give_up(producing)

    async def refresh(self) -> None:
        """Have the brokers say again what partitions there are; the library asks every five minutes."""
        await self._check_reachable(await self._open())

    async def send(self, packed: Packed) -> KafkaError | None:
        """Send one batch of records and wait until it is acknowledged; return the error with which brokers refuse it.

        Raises:
            Unavailable: if they do not acknowledge it in time.
            AssertionError: if the topic has no such partition.
        """
        producing = await self._open()
        try:
            error = await producing.send(packed, self._limit_s, self._check_s)
        except Unavailable:
            self._give_up(producing)
            raise
        if error is None:
            self._packer.taken(packed)
        elif isinstance(error, _SPENT):
            self._give_up(producing)
        elif error.retriable:
            await self._check_reachable(producing)
        elif self._settings["enable_idempotence"] and self._producing is producing:
            self.retire()
        return error

    async def close(self) -> None:
        """End the producer within its bound."""
        producing = self._take()
        if producing is not None:
            await producing.close()
        self._places.close()
        await asyncio.gather(*self._ends)


def _protocol(settings: dict[str, Any]) -> str:
    return str(settings.get("security_protocol", "PLAINTEXT")).lower()
