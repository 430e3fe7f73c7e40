"""The pages that look at live events: each has what waits to be sent to it, up to a bound."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from evframe_timing import Bucket

from evframe.plugin import Feed, Limits
from evframe_web.encoding import encoded

if TYPE_CHECKING:
    from evframe import Batch, Event, Socket
    from evframe.plugin import PluginContext, Subscriber

MOST_BYTES: Final = 256 << 10
"""How many bytes may wait for a page; what finds no room takes the place of the oldest."""
PIECE_BYTES: Final = 16 << 10
"""How many bytes are sent at once, unless one event has more."""
BODY_BYTES: Final = 16 << 10
"""How many bytes of the parameters of an event are sent."""
OWN: Final = "listen"
"""The scheme of subscribers in this process, by which pages look, too."""
_BREAKS: Final = bytes.maketrans(b"\r\n", b"  ")  # outside of texts, which have them escaped


def frame_of(event: Event, now: float, wall: float) -> bytes:
    """Return what a page gets of an event: a line about it, then its parameters as they are in JSON.

    Args:
        event: the event.
        now: the time on the monotonic clock, in seconds.
        wall: the same moment as Unix time.
    """
    about: dict[str, object] = {"at": round(wall - (now - event.raised_at), 3), "name": event.name}
    body = event.body
    if body is not None and len(body) > BODY_BYTES:
        about["bytes"] = len(body)
        body = body[:BODY_BYTES]
    head = b"event: raised\ndata: " + encoded(about)
    return head + b"\n\n" if body is None else head + b"\ndata: " + body.translate(_BREAKS) + b"\n\n"


class Viewer:
    """One page. What it is too slow for is dropped, the oldest first, and counted; nothing waits for it."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._gap = {"lost": 0, "skipped": 0}
        self.lost = 0
        """How many events were dropped because the page was too slow."""
        self.is_closed = False
        """Whether the page gets nothing more."""

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait."""
        return self._bytes

    def put(self, frames: Sequence[bytes], skipped: int) -> int:
        """Have *frames* sent, and the number of further events that are not; return how many were dropped."""
        self._gap["skipped"] += skipped
        lost = 0
        for frame in frames:
            self._waiting.append(frame)
            self._bytes += len(frame)
            while self._bytes > MOST_BYTES and len(self._waiting) > 1:
                self._bytes -= len(self._waiting.popleft())
                lost += 1
        self._gap["lost"] += lost
        self.lost += lost
        self._filled.set()
        return lost

    async def take(self) -> bytes:
        """Return the next piece, at once or when something comes; nothing when the viewer is closed."""
        while not (self._waiting or any(self._gap.values()) or self.is_closed):
            self._filled.clear()
            await self._filled.wait()
        if self.is_closed:
            return b""
        taken = []
        size = 0
        if any(self._gap.values()):
            taken.append(b"event: gap\ndata: " + encoded(self._gap) + b"\n\n")
            self._gap = dict.fromkeys(self._gap, 0)
        while self._waiting and (not taken or size + len(self._waiting[0]) <= PIECE_BYTES):
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._bytes -= size
        return b"".join(taken)

    def close(self) -> None:
        """Send nothing more; what waits is dropped."""
        self.is_closed = True
        self._waiting.clear()
        self._bytes = 0
        self._filled.set()


class Watch(Feed):
    """The events of one pattern, for all pages that look at them. It takes each batch at once, and loses none.

    Args:
        rate: how many events a second are sent to each page.
        on_lost: called with the numbers of events that pages were too slow for, and that were not sent.
    """

    limits = Limits()

    def __init__(self, rate: int, on_lost: Callable[[int, int], None]) -> None:
        super().__init__()
        self._bucket = Bucket(rate, rate, time.monotonic())
        self._on_lost = on_lost
        self.viewers: list[Viewer] = []

    def deliver(self, _: Socket, batch: Batch) -> bool:
        """Send the first events of a batch to each page, as many as the rate has room for, and count the others."""
        now = time.monotonic()
        events = batch.events[: self._bucket.available(now)]
        self._bucket.spend(len(events))
        wall = time.time()
        frames = [frame_of(event, now, wall) for event in events]
        skipped = len(batch.events) - len(frames)
        lost = sum(viewer.put(frames, skipped) for viewer in self.viewers)
        if lost or skipped:
            self._on_lost(lost, skipped)
        return True


class Own:
    """What pages cause by looking, which they do not show: subscribers, and the outcomes of those that have ended."""

    def __init__(self) -> None:
        self.subscribers: set[Subscriber] = set()
        """By which pages look, until they are released."""
        self.ended: Counter[tuple[str, str | None]] = Counter()
        """How many events have an outcome, by scheme and reason, None for what was delivered."""

    def release(self, subscriber: Subscriber) -> None:
        """Add the outcomes of a subscriber that is released, if it is one of these."""
        if subscriber in self.subscribers:
            self.subscribers.discard(subscriber)
            self.ended[OWN, None] += subscriber.delivered
            for reason, count in (subscriber.reasons or {}).items():
                self.ended[OWN, reason] += count


class Viewers:
    """The pages that look, and what they look at; without one, no event is listened for.

    Args:
        context: of the plugin.
        own: has the subscribers by which they look.
        rate: returns how many events a second a page gets at most.
    """

    def __init__(self, context: PluginContext, own: Own, rate: Callable[[], int]) -> None:
        self._context = context
        self._own = own
        self._rate = rate
        self._watches: dict[str, Watch] = {}
        self.lost = 0
        """How many events pages were too slow for."""
        self.skipped = 0
        """How many events were not sent to pages, because there were too many."""

    def __len__(self) -> int:
        return sum(len(watch.viewers) for watch in self._watches.values())

    @property
    def waiting_bytes(self) -> int:
        """How many bytes wait for all pages together."""
        return sum(viewer.waiting_bytes for watch in self._watches.values() for viewer in watch.viewers)

    def open(self, pattern: str) -> Viewer:
        """Return a viewer of the events whose name matches *pattern*."""
        viewer = Viewer()
        if pattern not in self._watches:
            watch = self._watches[pattern] = Watch(self._rate(), self._count)
            self._own.subscribers.add(self._context.roster.consumers.open(pattern, watch))
        self._watches[pattern].viewers.append(viewer)
        return viewer

    def _count(self, lost: int, skipped: int) -> None:
        self.lost += lost
        self.skipped += skipped

    def close(self, pattern: str, viewer: Viewer) -> None:
        """Close a viewer, and listen no more when it was the last one of its pattern."""
        viewer.close()
        watch = self._watches[pattern]
        watch.viewers.remove(viewer)
        if not watch.viewers:
            del self._watches[pattern]
            watch.close()

    def close_all(self) -> None:
        """Close all viewers; what sends to them calls `close` then."""
        for watch in self._watches.values():
            for viewer in watch.viewers:
                viewer.close()
