"""The two topics of the fleet: made where they are missing, and refused where their settings lose events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    InvalidReplicationFactorError,
    PolicyViolationError,
    TopicAlreadyExistsError,
    for_code,
)
from evframe_kafka_clients.consuming import for_a_producer
from evframe_kafka_clients.places import Places
from evframe_kafka_clients.starting import closing_connections

from evframe.plugin import LogLimiter
from evframe_fleet.group import members_of
from evframe_fleet.options import Options

_LEAST_LAG_MS: Final = 60_000  # what is written over is read by every gateway that is not away for longer
_LOOK_S: Final = 0.1
_REPLICAS: Final = (InvalidReplicationFactorError, PolicyViolationError)
log = logging.getLogger("evframe.fleet")
_limiter = LogLimiter()


class TopicError(Exception):
    """A topic or a group that the fleet cannot use; the text says which, what is expected, and what it has."""

    @classmethod
    def of_session(cls, options: Options) -> TopicError:
        """Return the error of a gateway whose sessions the brokers refuse."""
        expected = "expected group.min.session.timeout.ms to group.max.session.timeout.ms of the brokers"
        return cls(f"session_timeout_ms: {expected}, got {options.session_timeout_ms}")

    @classmethod
    def of_leases(cls, options: Options, other: str) -> TopicError:
        """Return the error of a gateway with another leases topic than those that deliver the events."""
        expected = f"expected the leases_topic of the members that have it, {other!r}"
        return cls(f"topic {options.events_topic!r}: {expected}, got {options.leases_topic!r}")


class Topics:
    """Looks at the topics, and makes those that are missing.

    Args:
        options: of the fleet.
        places: where the brokers are.
    """

    def __init__(self, options: Options, places: Places) -> None:
        self._options = options
        self._places = places
        least = max(1, options.replication_factor - 1)
        common = {"min.insync.replicas": str(least), "max.message.bytes": str(options.frame_bytes + 65_536)}
        leases = {"min.compaction.lag.ms": str(_LEAST_LAG_MS), "delete.retention.ms": "86400000"}
        events = {"retention.ms": str(options.retention_s * 1000)}
        topics = (
            (options.leases_topic, 1, {"cleanup.policy": "compact", **leases}),
            (options.events_topic, options.partitions, {"cleanup.policy": "delete", **events}),
        )
        self._wanted = {
            name: NewTopic(name, partitions, options.replication_factor, topic_configs={**common, **separate})
            for name, partitions, separate in topics
        }

    async def prepare(self, made: Mapping[str, Any], limit_s: float) -> None:
        """Make the topics that are missing, and check the others.

        Args:
            made: the options of the library.
            limit_s: how long each request may take, in seconds.

        Raises:
            TopicError: if a topic cannot be made, or has settings with which events or leases are lost.
            KafkaError: if the cluster does not answer as expected.
            TimeoutError: if a topic is neither listed nor can be made.
        """
        admin = AIOKafkaAdminClient(**for_a_producer(made), request_timeout_ms=int(limit_s * 1000))
        self._places.watch(admin._client)  # noqa: SLF001 the library has no other name for it
        try:
            with closing_connections():
                await admin.start()
            async with asyncio.timeout(limit_s):
                await self._check_leases_topic(admin)
                while not await self._are_there(admin):  # noqa: ASYNC110 nothing says when brokers list a topic
                    await asyncio.sleep(_LOOK_S)
        finally:
            await admin.close()

    async def _check_leases_topic(self, admin: AIOKafkaAdminClient) -> None:
        """Fail when members of the group have another one, before anything of this gateway is written."""
        try:
            coordinator = await admin.find_coordinator(self._options.group_id)
        except (CoordinatorNotAvailableError, GroupAuthorizationFailedError):
            return  # a cluster where no group has met yet, or that does not permit it: the group is asked again
        send = partial(admin._send_request, node_id=coordinator)  # noqa: SLF001 the library decodes less
        for each in await members_of(self._options, send) or ():
            if each.leases_topic != self._options.leases_topic:
                raise TopicError.of_leases(self._options, each.leases_topic)

    async def _are_there(self, admin: AIOKafkaAdminClient) -> bool:
        """Make what is missing, and check the rest; return whether all of it was checked.

        Another gateway, or a person, may have made a topic that the brokers do not list yet.
        """
        found = {topic["topic"]: topic for topic in await admin.describe_topics()}
        missing = [topic for name, topic in self._wanted.items() if name not in found]
        if missing and not await self._make(admin, missing):
            return False
        for name in self._wanted.keys() & found.keys():
            await self._check(admin, name, len(found[name]["partitions"]))
        return True

    async def _make(self, admin: AIOKafkaAdminClient, missing: list[NewTopic]) -> bool:
        """Make topics, and return whether none of them was there."""
        answer = await admin.create_topics(missing)
        for name, code, *text in answer.topic_errors:
            error = for_code(code)
            if code and error is not TopicAlreadyExistsError:
                reason = next(filter(None, text), "") or error.__name__
                hint = f" (replication_factor is {self._options.replication_factor})" if error in _REPLICAS else ""
                raise TopicError(f"topic {name!r}: expected a cluster that makes it, got {reason}{hint}")
        return not any(code for _, code, *_ in answer.topic_errors)

    async def _check(self, admin: AIOKafkaAdminClient, name: str, partitions: int) -> None:
        wanted = self._wanted[name]
        if name == self._options.leases_topic and partitions != 1:
            raise TopicError(f"topic {name!r}: expected 1 partition, because leases need one order, got {partitions}")
        if name == self._options.events_topic and partitions != self._options.partitions:
            raise TopicError(f"topic {name!r}: expected {wanted.num_partitions} partitions, got {partitions}")
        kept = await self._configuration(admin, name)
        policy = wanted.topic_configs["cleanup.policy"]
        if kept.get("cleanup.policy", policy) != policy:
            raise TopicError(f"topic {name!r}: expected cleanup.policy={policy}, got {kept['cleanup.policy']}")
        if policy == "compact" and int(kept.get("min.compaction.lag.ms", _LEAST_LAG_MS)) < _LEAST_LAG_MS:
            lag = kept["min.compaction.lag.ms"]
            raise TopicError(f"topic {name!r}: expected min.compaction.lag.ms of {_LEAST_LAG_MS} or more, got {lag}")
        most = int(kept.get("max.message.bytes", self._options.frame_bytes))
        if most < self._options.frame_bytes:
            raise TopicError(
                f"topic {name!r}: expected max.message.bytes of frame_bytes, {self._options.frame_bytes}, or more,"
                f" got {most}"
            )
        if policy == "delete":
            self._look_at_retention(name, kept)

    def _look_at_retention(self, name: str, kept: Mapping[str, str]) -> None:
        """Warn when the brokers delete events sooner than the option says; a person may want that."""
        expected_ms, size = self._options.retention_s * 1000, int(kept.get("retention.bytes", -1))
        kept_ms = int(kept.get("retention.ms", -1))
        if not (0 <= kept_ms < expected_ms or size >= 0):
            return
        repeated = _limiter.due(name)
        if repeated is not None:
            got = {"retention.ms": kept_ms, "retention.bytes": size}
            extra = {"topic": name, "retention_s": self._options.retention_s, "got": got, "repeated": repeated}
            log.warning("the topic of the events keeps them for less than retention_s", extra=extra)

    async def _configuration(self, admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
        """Return the settings of a topic; none where the login may not read them."""
        found: dict[str, str] = {}
        for answer in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)]):
            for code, _, _, _, entries in answer.resources:
                if not code:
                    found |= {entry[0]: entry[1] for entry in entries}
        return found
