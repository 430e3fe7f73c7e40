"""The front's side of the protocol with one worker: what is sent to it, and what its outcomes mean."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import attrs
from evframe_shards.frames import SAME, Frame

from evframe_workers import messages
from evframe_workers.kept import KeptLedger
from evframe_workers.ledger import Ledger
from evframe_workers.naming import names_message
from evframe_workers.pairs import Pair, merged, without_dropped
from evframe_workers.subscribed import Subscribed, targets_message

if TYPE_CHECKING:
    from evframe_shards.frames import Target

    from evframe import Event
    from evframe.plugin import Done

log = logging.getLogger("evframe.workers")
GATHER_S: Final = 0.004
"""How long events may wait for others after a frame, unless an outcome is waited for: a frame takes as long as some
hundred deliveries."""
MAX_DELIVERIES: Final = 4096
MAX_BYTES: Final = 1 << 18
"""Bounds of a frame, in which a single event may be larger."""


class Front(Protocol):
    """Takes what comes from a worker."""

    def delivered(self, ledger: Ledger, count: int, dones: Sequence[Done]) -> None:
        """Count delivered events."""

    def failed(self, ledger: Ledger, events: Sequence[Event], dones: Sequence[Done], reason: str) -> None:
        """Count events that have failed for good."""

    def found(self, ledger: Ledger, away: str | None, *, is_reached: bool) -> None:
        """Keep why a peer cannot be reached."""

    def changed(self, ledger: Ledger, reason: str | None, event: Event | None) -> None:
        """Report that deliveries begin to fail, or work again."""

    def take_other(self, kind: bytes, content: bytes) -> None:
        """Take a message that is not about events."""

    def settled(self) -> None:
        """Note that outcomes came."""


class Link:
    """One worker as the front knows it, whether it runs or not; it does no I/O.

    What is sent stays in order: a subscriber comes before its events, and its end after them. While no worker is
    attached, events wait in their ledgers alone.

    Args:
        front: takes what comes.
        schedule: calls a function after so many seconds.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        front: Front,
        schedule: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.targets: dict[int, tuple[Ledger, Subscribed]] = {}
        """The subscribers by their numbers."""
        self._kept: dict[int, KeptLedger] = {}  # of these
        self._front = front
        self._schedule = schedule
        self._clock = clock
        self._write: Callable[[bytes], None] | None = None
        self._outgoing: deque[bytes | Pair] = deque()
        self._messages = 0  # among these
        self._dropped = 0  # events that may be among these and were given up
        self.most_dropped = 1024
        """How many events that were given up may wait, or as many as others."""
        self._last: Pair | None = None  # the pair at the end of what goes out
        self._is_scheduled = False
        self._is_paused = False
        self._is_under_way = False  # a frame: the next one grows meanwhile
        self._hurries = False
        self._sent_at = -math.inf  # the last frame
        self._number = 0

    # What goes out

    @property
    def is_attached(self) -> bool:
        """Whether a worker takes messages."""
        return self._write is not None

    def add(self, event: Event, number: int) -> None:
        """Send *event* to the target *number*, whose ledger has it."""
        last = self._last
        if last is not None and last[0] is event:
            last[1].append(number)
        elif self._write is not None:
            self._last = pair = (event, [number])
            self._outgoing.append(pair)
            if not self._is_scheduled:
                self._plan()

    def send(self, message: bytes) -> None:
        """Send a message behind the events that were added before; it is lost when no worker is attached."""
        if self._write is not None:
            self._last = None
            self._outgoing.append(message)
            self._messages += 1
            self._plan()

    def send_first(self, message: bytes) -> None:
        """Send a message before what waits."""
        if self._write is not None:
            self._outgoing.appendleft(message)
            self._messages += 1
            self._plan()

    def take_other(self, kind: bytes, content: bytes) -> None:
        """Take a message that is not about events."""
        self._front.take_other(kind, content)

    def show(self, ledger: Ledger, subscribed: Subscribed) -> None:
        """Have the worker deliver to a subscriber in this way from now on."""
        known = self.targets.get(ledger.number)
        if known is None or known[1] != subscribed:
            self.targets[ledger.number] = ledger, subscribed
            if isinstance(ledger, KeptLedger):
                self._kept[ledger.number] = ledger
            self.send(targets_message((ledger.number, subscribed)))

    def forget(self, ledger: Ledger) -> None:
        """Drop a subscriber that was released, or is delivered in another way."""
        number = ledger.number
        known = self.targets.pop(number, None)
        self._kept.pop(number, None)
        if known is not None:
            if known[1].is_wanted:
                self.send(targets_message((number, attrs.evolve(known[1], is_wanted=False))))
            self.send(messages.json_message(messages.TARGETS, [[number, None]]))

    def dropped(self, count: int) -> None:
        """Forget events that were given up before they were sent, now and then: a worker that hangs takes none."""
        self._dropped += count
        if self._dropped > max(self.most_dropped, len(self._outgoing) // 2):
            self._dropped, self._last = 0, None
            ledgers = {number: ledger for number, (ledger, _) in self.targets.items()}
            self._outgoing = deque(without_dropped(self._outgoing, ledgers))

    def hurry(self) -> None:
        """Send at once what was added: its outcome is waited for."""
        if not self._hurries and self._write is not None:
            self._hurries = True
            self._schedule(0.0, self.flush)

    def _plan(self, after_s: float = 0.0) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(after_s, self._flush_planned)

    def _flush_planned(self) -> None:
        self._is_scheduled = False
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the worker takes it."""
        write, outgoing = self._write, self._outgoing
        while write is not None and outgoing and not self._is_paused:
            first = outgoing[0]
            if isinstance(first, bytes):
                outgoing.popleft()
                self._messages -= 1
                write(first)
            elif self._messages:  # behind these events, no more of which come: waiting makes no frame larger
                self._send_frame(write)
            elif self._is_under_way:
                break
            elif not self._hurries and (early_s := self._sent_at + GATHER_S - self._clock()) > 0:
                self._plan(early_s)
                break
            else:
                self._send_frame(write)
        if not outgoing:
            self._last = None
            self._hurries = False

    def _send_frame(self, write: Callable[[bytes], None]) -> None:
        self._is_under_way, self._sent_at = True, self._clock()
        frame = self._next_frame()
        if self._kept:
            write(names_message(frame.targets, self._kept))
        write(messages.packed(messages.FRAME, frame.encode(0.0, is_numbered=True)))

    def _next_frame(self) -> Frame:
        events: list[Event] = []
        targets: list[Target] = []
        outgoing = self._outgoing
        deliveries = size = 0
        last: list[int] = []
        while outgoing and deliveries < MAX_DELIVERIES and size < MAX_BYTES:
            pair = outgoing[0]
            if isinstance(pair, bytes):
                break
            del outgoing[0]
            events.append(pair[0])
            numbers = pair[1]
            targets.append(SAME if numbers == last else numbers)
            last = numbers
            deliveries += len(numbers)
            size += len(pair[0].payload)
            if pair is self._last:
                self._last = None
        self._number += 1
        return Frame("", 0, self._number, 0, (), events, targets)

    def pause(self) -> None:
        """Send nothing: the worker does not read."""
        self._is_paused = True

    def resume(self) -> None:
        """Send again."""
        self._is_paused = False
        self._plan()

    # Workers that come and go

    def attach(self, write: Callable[[bytes], None]) -> None:
        """Have a new worker deliver: it gets all subscribers, then their events that have no outcome."""
        self.detach()
        self._write = write
        shown = list(self.targets.items())
        if shown:
            self.send(targets_message(*((number, attrs.evolve(each, is_wanted=True)) for number, (_, each) in shown)))
            self._outgoing += merged({number: ledger.renumber() for number, (ledger, _) in shown})
            ended = [(number, each) for number, (_, each) in shown if not each.is_wanted]
            if ended:
                self.send(targets_message(*ended))
        self._plan()

    def detach(self) -> None:
        """Note that the worker has ended."""
        self._write = self._last = None
        self._outgoing.clear()
        self._messages = 0
        self._is_under_way = self._hurries = self._is_paused = False

    # What comes in

    def receive(self, kind: bytes, content: bytes) -> None:
        """Take a message of the attached worker."""
        if kind == messages.OUTCOMES:
            taken, outcomes = messages.read_json(content)
            if taken:
                self._is_under_way = False
            for number, start, end, reason in outcomes:
                self._settle(number, start, end, reason)
            self._front.settled()
            if self._outgoing:
                self._plan()
        elif kind == messages.STATES:
            for number, away, is_reached in messages.read_json(content):
                if number in self.targets:
                    self._front.found(self.targets[number][0], away, is_reached=is_reached)
        elif kind == messages.CHANGED:
            number, reason, name = messages.read_json(content)
            if number in self.targets:
                ledger = self.targets[number][0]
                self._front.changed(ledger, reason, None if name is None else ledger.first_of(name))
        else:
            self._front.take_other(kind, content)

    def _settle(self, number: int, start: int, end: int, reason: str | None) -> None:
        known = self.targets.get(number)
        if known is None:
            return  # a subscriber that the front has released
        ledger = known[0]
        if reason == "shutdown":
            return  # the worker ends, and not the event: the front, the next worker, or the next process has it
        events, dones = ledger.settled(start, end)
        if not events:
            return  # the front has given them up
        if reason is None:
            self._front.delivered(ledger, len(events), dones)
        else:
            self._front.failed(ledger, events, dones, reason)
        ledger.rest()
