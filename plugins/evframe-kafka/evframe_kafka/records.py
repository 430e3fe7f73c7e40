"""Events as batches of records, each for one partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any

import attrs
from aiokafka.partitioner import DefaultPartitioner

from evframe import Event
from evframe_kafka.address import KafkaSocket

Headers = list[tuple[str, bytes]]


@attrs.define
class Packed:
    """A batch of records for one partition, and the indexes of their events."""

    topic: str
    partition: int
    records: Any
    indexes: Sequence[int]
    acknowledged: bool = False


class Packer:
    """Packs the events of everybody who shares a producer.

    Args:
        record_bytes: how large the value of a record may be.
    """

    def __init__(self, record_bytes: int) -> None:
        self._record_bytes = record_bytes
        self._choose = DefaultPartitioner()
        self._rotation = count()

    def pack(
        self, target: KafkaSocket, events: Sequence[Event], partitions: list[int], create_batch: Callable[[], Any]
    ) -> tuple[list[Packed], list[int]]:
        """Return the records of *events* in batches, and the indexes of those that are too large.

        What has no partition by its socket or its key goes to each in turn, a batch of records at a time.

        Args:
            target: where the events go.
            events: in their order.
            partitions: those of the topic.
            create_batch: returns an empty batch of the library.
        """
        headers = [(name, value.encode()) for name, value in target.headers.items()]
        packed: list[Packed] = []
        too_large: list[int] = []
        for partition, indexes, keys in self._divide(target, events, partitions):
            values = [events[index].payload for index in indexes]
            for records, own in self._batches(create_batch, indexes, keys, values, headers):
                if records is None:
                    too_large += own
                    continue
                place = partitions[next(self._rotation) % len(partitions)] if partition is None else partition
                packed.append(Packed(target.topic, place, records, own))
        return packed, too_large

    def _divide(
        self, target: KafkaSocket, events: Sequence[Event], partitions: list[int]
    ) -> Iterable[tuple[int | None, Sequence[int], list[bytes | None] | None]]:
        """Yield each partition, or None, with the indexes of its events and their keys; None for no keys."""
        if target.key is None:
            return [(target.partition, range(len(events)), None)]
        divided: dict[int | None, tuple[list[int], list[bytes | None]]] = {}
        for index, event in enumerate(events):
            key = _key(event.get(target.key))
            partition = target.partition
            if partition is None and key is not None:
                partition = int(self._choose(key, partitions, partitions))
            indexes, keys = divided.setdefault(partition, ([], []))
            indexes.append(index)
            keys.append(key)
        return [(partition, indexes, keys) for partition, (indexes, keys) in divided.items()]

    def _batches(
        self,
        create_batch: Callable[[], Any],
        indexes: Sequence[int],
        keys: list[bytes | None] | None,
        values: list[bytes],
        headers: Headers,
    ) -> Iterator[tuple[Any, Sequence[int]]]:
        """Yield each batch with the indexes of its events; None with that of one that is too large."""
        now = int(time.time() * 1000)
        start = 0
        while start < len(values):
            taken, batch = 1, None
            # What is larger than a batch fits in none but as its first record, so that the others need no look.
            if len(values[start]) <= self._record_bytes:
                batch = create_batch()
                taken = _fill(batch, now, repeat(None) if keys is None else keys[start:], values[start:], headers)
            yield batch, indexes[start : start + taken]
            start += taken


def _fill(batch: Any, now: int, keys: Iterable[bytes | None], values: list[bytes], headers: Headers) -> int:
    """Append records until *batch* is full; return how many it has taken, at least one.

    `BatchBuilder.append` costs twice what the compiled builder behind it does, for what is the same for all of
    them; what it counts is set here at the end.
    """
    append = batch._builder.append  # noqa: SLF001
    taken = 0
    for key, value in zip(keys, values, strict=False):
        if append(taken, now, key, value, headers) is None:
            break
        taken += 1
    batch._relative_offset = taken  # noqa: SLF001
    return taken


def _key(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode("utf-8", "surrogateescape")
