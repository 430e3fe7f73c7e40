"""What a peer has acknowledged recently, and may not have read."""

from __future__ import annotations

import time
from collections import deque
from typing import Final

_MOST_BYTES: Final = 8 << 20  # more than the kernel of a peer holds unread
_STALL_S: Final = 0.1


class RecentlyAcknowledged:
    """Keeps bytes for a time, which does not run while the peer takes nothing of what waits for it.

    Args:
        last_s: for how long.
    """

    def __init__(self, last_s: float) -> None:
        self._last_s = last_s
        self._kept: deque[tuple[float, bytes, int]] = deque()
        self._bytes = 0
        self._acknowledged = 0
        self._taken_at = self._seen_at = time.monotonic()
        self._stalled_s = 0.0

    def __len__(self) -> int:
        return len(self._kept)

    def see(self, acknowledged: int, *, is_waiting: bool) -> None:
        """Have the time run, or not: so many bytes are *acknowledged* now, and others wait or none."""
        now = time.monotonic()
        if acknowledged != self._acknowledged or not is_waiting:
            self._taken_at = now
            self._acknowledged = acknowledged
        elif now - self._taken_at > _STALL_S:
            self._stalled_s += now - max(self._seen_at, self._taken_at)
        self._seen_at = now

    def _now(self) -> float:
        return time.monotonic() - self._stalled_s

    def keep(self, data: bytes, times: int = 0) -> None:
        """Keep *data*, which was sent again so many *times*, and forget what is too old or too much."""
        self._kept.append((self._now(), data, times))
        self._bytes += len(data)
        self.forget()

    def forget(self) -> None:
        """Forget what is too old or too much."""
        oldest = self._now() - self._last_s
        while self._kept and (self._kept[0][0] <= oldest or self._bytes > _MOST_BYTES):
            self._bytes -= len(self._kept.popleft()[1])

    def forget_copies(self, most: int) -> None:
        """Forget what was sent again *most* times."""
        self._kept = deque(each for each in self._kept if each[2] < most)
        self._bytes = sum(len(data) for _, data, _ in self._kept)

    def lasts(self) -> bool:
        """Return whether anything is kept that is not too old."""
        return bool(self._kept) and self._kept[-1][0] > self._now() - self._last_s

    def take(self, *, is_waiting: bool) -> list[tuple[bytes, int]]:
        """Return what is kept, in order, and keep nothing; what *waits* shows that the peer had stopped to read.

        Each comes with the number of times that it was sent again.
        """
        if not is_waiting:
            self.forget()
        taken = [(data, times) for _, data, times in self._kept]
        self._kept.clear()
        self._bytes = self._acknowledged = 0
        return taken
