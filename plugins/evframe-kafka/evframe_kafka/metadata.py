"""The metadata of topics that events name: whether the brokers have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from aiokafka import errors
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata

UNKNOWN: Final = "unknown_topic"
"""The reason of an event whose topic the brokers do not have."""
_AT_ONCE: Final = 1000  # topics in a request
_REASONS: Final = {
    errors.NoError.errno: None,
    errors.TopicAuthorizationFailedError.errno: "access_refused",
    errors.InvalidTopicError.errno: "invalid_topic",
}


async def reasons_of(client: AIOKafkaClient, topics: Sequence[str]) -> dict[str, str | None]:
    """Return why each of *topics* takes no record; None for one that exists.

    The client does not keep the answer: it would keep each topic that it was asked for, ask for all of them again with
    every other one, and log those that do not exist.

    Raises:
        KafkaConnectionError: if no broker answers.
    """
    answer = _Answer()
    for start in range(0, len(topics), _AT_ONCE):
        if not await client._metadata_update(answer, topics[start : start + _AT_ONCE]):  # noqa: SLF001
            raise errors.KafkaConnectionError("no broker answers")
    return {topic: answer.reasons.get(topic, UNKNOWN) for topic in topics}


class _Answer(ClusterMetadata):  # type: ignore[misc]
    """Takes the answers in place of what the client knows."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, str | None] = {}

    def update_metadata(self, metadata: Any) -> None:
        """Record the reason of each topic."""
        for code, topic, *_ in metadata.topics:
            self.reasons[topic] = _REASONS.get(code, UNKNOWN)
