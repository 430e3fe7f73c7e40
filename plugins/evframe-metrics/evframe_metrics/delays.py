"""How long deliveries take: a histogram for each transport, with one observation for each batch."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from evframe import Unavailable
from evframe_metrics.catalog import DELAY
from evframe_metrics.exposition import label, number

if TYPE_CHECKING:
    from evframe import Batch, Socket

BOUNDS_S: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
"""The upper bounds of the buckets."""


class Histogram:
    """Observations by their size."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        """How many are within each of the bounds and above the one before, then those above the last."""
        self.total_s = 0.0

    @property
    def count(self) -> int:
        """How many observations."""
        return sum(self.counts)


class Delays:
    """The histograms, by the scheme of the socket that a batch was for.

    Args:
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.by_transport: dict[str, Histogram] = {}

    def observe(self, socket: Socket, batch: Batch, error: BaseException | None, _seconds: float) -> None:
        """Take a batch that is over; one whose oldest event is tried again has no outcome yet.

        This is called for each batch, however many events it has: nothing of it is for each event.
        """
        events = batch.events
        if not events or (error is not None and _comes_back(batch, error)):
            return
        transport = socket.canonical.partition(":")[0]
        histogram = self.by_transport.get(transport)
        if histogram is None:
            histogram = self.by_transport[transport] = Histogram()
        age_s = self._clock() - events[0].raised_at
        histogram.counts[bisect_left(BOUNDS_S, age_s)] += 1
        histogram.total_s += age_s

    def lines(self) -> Iterator[str]:
        """Yield the samples."""
        name = DELAY.family
        for transport, histogram in self.by_transport.items():
            of = f'transport="{label(transport)}"'
            for bound, count in zip((*BOUNDS_S, float("inf")), accumulate(histogram.counts), strict=True):
                yield f'{name}_bucket{{{of},le="{number(bound)}"}} {count}\n'
            yield f"{name}_count{{{of}}} {histogram.count}\n{name}_sum{{{of}}} {number(histogram.total_s)}\n"


def _comes_back(batch: Batch, error: BaseException) -> bool:
    """Return whether the oldest event of a batch that failed as a whole is tried again."""
    return isinstance(error, Unavailable) and not error.done and 0 not in batch.failures and 0 not in batch.confirmed
