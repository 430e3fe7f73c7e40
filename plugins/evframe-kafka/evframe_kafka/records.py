"""Events as batches of records, each for one partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, Final

import attrs
from aiokafka.partitioner import DefaultPartitioner

from evframe import Event
from evframe.encoding import encode_value
from evframe_kafka.address import KafkaSocket

_MANY: Final = 1000  # batches that a topic takes before larger ones are tried
Headers = list[tuple[str, bytes]]


@attrs.define
class Packed:
    """A batch of records for one partition, and the indexes of their events."""

    topic: str
    partition: int
    records: Any
    indexes: Sequence[int]


class Packer:
    """Packs the events of everybody who shares a producer.

    Args:
        record_bytes: how large the value of a record may be.
    """

    def __init__(self, record_bytes: int) -> None:
        self._record_bytes = record_bytes
        self._limits: dict[str, _Limit] = {}  # of topics that have refused a batch
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
        packed: list[Packed] = []
        too_large: list[int] = []
        for partition, indexes, keys in self._divide(target, events, partitions):
            values = [events[index].payload for index in indexes]
            for records, own in self._batches(target, create_batch, indexes, keys, values):
                if records is None:
                    too_large += own
                    continue
                place = partitions[next(self._rotation) % len(partitions)] if partition is None else partition
                packed.append(Packed(target.topic, place, records, own))
        return packed, too_large

    def split(
        self, target: KafkaSocket, events: Sequence[Event], packed: Packed, create_batch: Callable[[], Any]
    ) -> list[Packed]:
        """Return the records of a batch that was refused in smaller ones; the topic gets no larger ones for a while."""
        values = [events[index].payload for index in packed.indexes]
        limit = self._limits.setdefault(packed.topic, _Limit(sum(map(len, values))))
        limit.refused(sum(map(len, values)))
        middle = len(values) // 2
        halves = ((packed.indexes[:middle], values[:middle]), (packed.indexes[middle:], values[middle:]))
        smaller = []
        for indexes, own in halves:
            keys = None if target.key is None else [_key(events[index].get(target.key)) for index in indexes]
            smaller += [
                Packed(packed.topic, packed.partition, records, taken)
                for records, taken in self._batches(target, create_batch, indexes, keys, own)
            ]
        return smaller

    def taken(self, packed: Packed) -> None:
        """Count a batch that the brokers have taken; after many of them a topic gets larger ones again."""
        limit = self._limits.get(packed.topic)
        if limit is not None:
            limit.taken()

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
        target: KafkaSocket,
        create_batch: Callable[[], Any],
        indexes: Sequence[int],
        keys: list[bytes | None] | None,
        values: list[bytes],
    ) -> Iterator[tuple[Any, Sequence[int]]]:
        """Yield each batch with the indexes of its events; None with that of one that is too large."""
        headers = [(name, value.encode()) for name, value in target.headers.items()]
        now = int(time.time() * 1000)
        limit = self._limits.get(target.topic)
        start = 0
        while start < len(values):
            taken, batch = 1, None
            # What is larger than a batch fits in none but as its first record, so that the others need no look.
            if len(values[start]) <= self._record_bytes:
                batch = create_batch()
                end = len(values) if limit is None else limit.end(values, start)
                taken = _fill(batch, now, repeat(None) if keys is None else keys[start:], values[start:end], headers)
            yield batch, indexes[start : start + taken]
            start += taken


@attrs.define
class _Limit:
    """How many bytes of values a batch for a topic may have, of which the brokers say nothing."""

    most_bytes: int
    took: int = 0

    def refused(self, size: int) -> None:
        self.most_bytes, self.took = min(self.most_bytes, size // 2), 0

    def taken(self) -> None:
        self.took += 1
        if self.took >= _MANY:
            self.most_bytes, self.took = 2 * self.most_bytes, 0

    def end(self, values: Sequence[bytes], start: int) -> int:
        """Return the index behind the last value of a batch that begins with the one at *start*."""
        size, end = len(values[start]), start + 1
        while end < len(values) and size + len(values[end]) <= self.most_bytes:
            size += len(values[end])
            end += 1
        return end


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
    try:
        return str(value).encode("utf-8", "surrogateescape")
    except ValueError:  # an integer with more digits than Python writes, or a value that has one
        return encode_value(value)
