"""The events that a subscriber was given within the last seconds, for `dedup_s`."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from evframe import Event

MAX_ENTRIES: Final = 65_536
MAX_OF_ALL: Final = 1_048_576
_DIGEST_BYTES: Final = 16


class Recent:
    """Remembers events by their names and parameters, and says which are repetitions.

    An event is one of another that was raised less than *seconds* before and was no repetition. The times are those of
    the raises, so that events that have waited for a peer are not all repetitions when it is back. The memory is
    bounded: *most* events, each a digest of its payload.

    Args:
        seconds: for how long events are remembered.
        most: how many are remembered.
    """

    __slots__ = ("_times", "most", "seconds")

    def __init__(self, seconds: float, most: int = MAX_ENTRIES) -> None:
        self.seconds = seconds
        self.most = most
        # Of the raises, by digest, the first taken first. Removing the first entries of a plain dict is quadratic.
        self._times: OrderedDict[bytes, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    def is_repetition(self, event: Event) -> bool:
        """Return whether *event* is one; else it is remembered."""
        times, at = self._times, event.raised_at
        key = blake2b(event.payload, digest_size=_DIGEST_BYTES).digest()
        before = times.get(key)
        if before is not None:
            if abs(at - before) < self.seconds:
                return True
            del times[key]  # added again below, so that the oldest stays first
        while times and (len(times) >= self.most or at - next(iter(times.values())) >= self.seconds):
            times.popitem(last=False)
        times[key] = at
        return False
