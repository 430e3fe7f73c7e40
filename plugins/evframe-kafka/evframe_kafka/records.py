"""Events as batches of records, each for one partition."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, Final

import attrs
from aiokafka.partitioner import DefaultPartitioner

from evframe_kafka.contents import Contents
from evframe_kafka.routes import Headers

_MANY: Final = 1000  # batches that a topic takes before larger ones are tried
_MOST_LIMITS: Final = 1000  # topics whose limits are kept


@attrs.define
class Packed:
    """A batch of records for one partition, and the indexes of their events."""

    topic: str
    partition: int
    records: Any
    indexes: Sequence[int]


class Packer:
    """Packs the events of all subscribers that share a producer.

    Args:
        record_bytes: how large the value of a record may be.
    """

    def __init__(self, record_bytes: int) -> None:
        self._record_bytes = record_bytes
        self._limits: dict[str, _Limit] = {}  # of topics that have refused a batch
        self._choose = DefaultPartitioner()
        self._rotation = count()

    def pack(
        self,
        contents: Contents,
        topic: str,
        indexes: Sequence[int],
        partitions: list[int],
        create_batch: Callable[[], Any],
    ) -> tuple[list[Packed], list[int]]:
        """Return the records of events in batches, and the indexes of those that are too large.

        What has no partition by its socket or its key goes to each in turn, a batch of records at a time.

        Args:
            contents: has the events.
            topic: where they go.
            indexes: those of the events, in their order.
            partitions: those of the topic.
            create_batch: returns an empty batch of the library.
        """
        packed: list[Packed] = []
        too_large: list[int] = []
        for partition, taken, keys in self._divide(contents, indexes, partitions):
            for records, own in self._batches(contents, topic, create_batch, taken, keys):
                if records is None:
                    too_large += own
                    continue
                place = partitions[next(self._rotation) % len(partitions)] if partition is None else partition
                packed.append(Packed(topic, place, records, own))
        return packed, too_large

    def split(self, contents: Contents, packed: Packed, create_batch: Callable[[], Any]) -> list[Packed]:
        """Return the records of a batch that was refused in smaller ones; the topic gets no larger ones for a while."""
        size = sum(map(len, contents.values(packed.indexes)))
        limit = self._limits.setdefault(packed.topic, _Limit(size))
        limit.refused(size)
        if len(self._limits) > _MOST_LIMITS:
            del self._limits[next(iter(self._limits))]
        middle = len(packed.indexes) // 2
        return [
            Packed(packed.topic, packed.partition, records, taken)
            for indexes in (packed.indexes[:middle], packed.indexes[middle:])
            for records, taken in self._batches(contents, packed.topic, create_batch, indexes, contents.keys(indexes))
        ]

    def taken(self, packed: Packed) -> None:
        """Count a batch that the brokers have taken; after many of them a topic gets larger ones again."""
        limit = self._limits.get(packed.topic)
        if limit is not None:
            limit.taken()

    def _divide(
        self, contents: Contents, indexes: Sequence[int], partitions: list[int]
    ) -> Iterable[tuple[int | None, Sequence[int], list[bytes | None] | None]]:
        """Yield each partition, or None, with the indexes of its events and their keys; None for no keys."""
        fixed, all_keys = contents.target.partition, contents.keys(indexes)
        if all_keys is None:
            return [(fixed, indexes, None)]
        divided: dict[int | None, tuple[list[int], list[bytes | None]]] = {}
        for index, key in zip(indexes, all_keys, strict=True):
            partition = fixed
            if partition is None and key is not None:
                partition = int(self._choose(key, partitions, partitions))
            own, keys = divided.setdefault(partition, ([], []))
            own.append(index)
            keys.append(key)
        return [(partition, own, keys) for partition, (own, keys) in divided.items()]

    def _batches(
        self,
        contents: Contents,
        topic: str,
        create_batch: Callable[[], Any],
        indexes: Sequence[int],
        keys: list[bytes | None] | None,
    ) -> Iterator[tuple[Any, Sequence[int]]]:
        """Yield each batch with the indexes of its events; None with that of one that is too large."""
        values, headers, same = contents.values(indexes), contents.headers(indexes), contents.same_headers()
        now = int(time.time() * 1000)
        limit = self._limits.get(topic)
        start = 0
        while start < len(values):
            taken, batch = 1, None
            # What is larger than a batch fits in none but as its first record, so that the others need no look.
            if len(values[start]) <= self._record_bytes:
                batch = create_batch()
                end = len(values) if limit is None else limit.end(values, start)
                own = repeat(None) if keys is None else keys[start:]
                if headers is None:
                    taken = _fill(batch, now, own, values[start:end], same)
                else:
                    taken = _fill_each(batch, now, zip(own, values[start:end], headers[start:], strict=False))
                batch._relative_offset = taken  # noqa: SLF001
            yield batch, indexes[start : start + taken]
            start += taken


@attrs.define
class _Limit:
    """How many bytes of values a batch for a topic may have; the brokers do not announce their limit."""

    most_bytes: int
    accepted: int = 0

    def refused(self, size: int) -> None:
        self.most_bytes, self.accepted = min(self.most_bytes, size // 2), 0

    def taken(self) -> None:
        self.accepted += 1
        if self.accepted >= _MANY:
            self.most_bytes, self.accepted = 2 * self.most_bytes, 0

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
    them; what it counts is set at the end.
    """
    append = batch._builder.append  # noqa: SLF001
    taken = 0
    for key, value in zip(keys, values, strict=False):
        if append(taken, now, key, value, headers) is None:
            break
        taken += 1
    return taken


def _fill_each(batch: Any, now: int, records: Iterable[tuple[bytes | None, bytes, Headers]]) -> int:
    """Append records that have headers until *batch* is full; return how many it has taken, at least one."""
    append = batch._builder.append  # noqa: SLF001
    taken = 0
    for key, value, headers in records:
        if append(taken, now, key, value, headers) is None:
            break
        taken += 1
    return taken
