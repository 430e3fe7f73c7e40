"""A worker's side of the protocol: events are delivered, and the front gets one outcome of each."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from evframe_shards.frames import SAME, Frame

from evframe_workers import messages
from evframe_workers.mark import Mark

if TYPE_CHECKING:
    from evframe import Event, EventDefinition

log = logging.getLogger("evframe.workers")
REFUSED = "refused"
"""Why a peer is away whose socket the worker cannot use, as until a reload."""
Handle = TypeVar("Handle")
Done = Callable[[str | None], Any]
Row = list[Any]


class Engine(Protocol[Handle]):
    """Delivers events to subscribers."""

    def open(self, target: Target[Handle], text: str, policy: Mapping[str, Any], *, is_configured: bool) -> Handle:
        """Return what delivers to a socket, with these keys of a policy; *target* takes the outcomes.

        Raises:
            ValueError: if the socket or the policy cannot be used.
        """

    def follow(self, target: Target[Handle], text: str, policy: Mapping[str, Any], *, is_configured: bool) -> Handle:
        """Deliver to the same socket in another way; return what does so from now on.

        Raises:
            ValueError: as for `open`.
        """

    def end(self, handle: Handle) -> None:
        """Deliver what was put before, and nothing else."""

    def definition_of(self, name: str) -> EventDefinition:
        """Return the definition of an event, which is registered if it is not known."""

    def put(self, handle: Handle, event: Event, done: Done, name: str | None = None) -> None:
        """Deliver an event, and call *done* with its outcome; *name* is that of one which is kept."""

    def put_all(self, handle: Handle, events: Sequence[Event]) -> bool:
        """Deliver events, whose target has `counts` and takes the outcomes without callbacks.

        Return False, and deliver none, when they need callbacks: some find no room, or the handle is over.
        """


class Target(Generic[Handle]):
    """A subscriber: its events are counted as they come, which gives each its position."""

    __slots__ = (
        "counts",
        "deliveries",
        "end",
        "handle",
        "is_ended",
        "names",
        "reason",
        "row",
        "start",
        "tail",
        "waiting",
    )

    def __init__(self, row: Row, deliveries: Deliveries[Handle]) -> None:
        self.row = row
        self.deliveries = deliveries
        self.handle: Handle | None = None
        """What delivers; None when the socket cannot be used."""
        self.counts = False
        """Whether what delivers counts the positions, too: no event needs a callback."""
        self.is_ended = False
        self.tail = 0
        self.start = self.end = 0  # of the last outcomes, which are alike
        self.reason: str | None = None
        self.waiting: list[tuple[Event, Done, str | None]] = []  # for a handle
        self.names: deque[str | None] = deque()
        """Of the events that come next, if they are kept."""

    def settle_all(self, start: int, end: int, reason: str | None) -> None:
        """Keep the outcome of the events from position *start* to *end*."""
        if self.end == self.start:
            self.deliveries.note(self)
            self.start = start
        elif self.end != start or reason != self.reason:
            self.deliveries.outcomes.append([self.row[0], self.start, self.end, self.reason])
            self.start = start
        self.reason = reason
        self.end = end


class Deliveries(Generic[Handle]):
    """What a worker does with the messages of the front; it does no I/O itself.

    Args:
        engine: delivers.
        write: sends a message to the front.
        schedule: calls a function soon.
        mark: of the process.
    """

    def __init__(
        self,
        engine: Engine[Handle],
        write: Callable[[bytes], object],
        schedule: Callable[[Callable[[], None]], object],
        mark: Mark | None = None,
    ) -> None:
        self._mark = mark or Mark()
        self.targets: dict[int, Target[Handle]] = {}
        """The subscribers by their numbers."""
        self.outcomes: list[Row] = []
        """What the front gets next: the number of a subscriber, two positions, and the reason or None."""
        self._engine = engine
        self._write = write
        self._schedule = schedule
        self._noted: list[Target[Handle]] = []
        self._taken = 0  # frames
        self._is_scheduled = False

    def receive(self, kind: bytes, content: bytes) -> None:
        """Take a message about subscribers or events."""
        if kind == messages.FRAME:
            self._take(content)
        elif kind == messages.TARGETS:
            for row in messages.read_json(content):
                self._show(row)
        elif kind == messages.NAMES:
            for number, names in messages.read_json(content):
                self.targets[number].names.extend(names)
        else:
            raise ValueError(f"kind: expected that of a message to a worker, got {kind!r}")

    def _take(self, content: bytes) -> None:
        targets = self.targets
        frame = Frame.decode(content, self._engine.definition_of, 0.0)  # the monotonic clock is that of the machine
        start = 0
        chosen: Sequence[Target[Handle]] = ()
        for index, numbers in enumerate(frame.targets):
            if numbers != SAME:
                self._put(chosen, frame.events[start:index])
                start = index
                chosen = tuple(targets[number] for number in ((numbers,) if isinstance(numbers, int) else numbers))
        self._put(chosen, frame.events[start:])
        self._taken += 1
        self._plan()

    def _put(self, targets: Sequence[Target[Handle]], events: Sequence[Event]) -> None:
        """Have *events* delivered to each of *targets*."""
        engine = self._engine
        for target in targets:
            position = target.tail
            target.tail = position + len(events)
            handle = target.handle
            target.counts = target.counts and handle is not None and engine.put_all(handle, events)
            if target.counts:
                continue
            for event in events:
                done = partial(target.settle_all, position, position + 1)
                position += 1
                name = target.names.popleft() if target.names else None
                if handle is None:
                    target.waiting.append((event, done, name))
                else:
                    engine.put(handle, event, done, name)

    def _show(self, row: Row) -> None:
        number, text, *_ = row
        if text is None:
            self.targets.pop(number, None)
            return
        target = self.targets.get(number)
        if target is None:
            target = self.targets[number] = Target(row, self)
        target.row = row
        self._open(target)

    def open_refused(self) -> None:
        """Try again to open what could not be opened, after a reload."""
        for target in self.targets.values():
            if target.handle is None:
                self._open(target)

    def _open(self, target: Target[Handle]) -> None:
        _, text, is_configured, policy, is_wanted = target.row
        engine = self._engine
        if not is_wanted:
            if target.handle is not None and not target.is_ended:
                engine.end(target.handle)
            target.is_ended = True
            self._give_up(target)
            return
        try:
            if target.handle is None or target.is_ended:
                target.handle = engine.open(target, text, policy, is_configured=is_configured)
            else:
                target.handle = engine.follow(target, text, policy, is_configured=is_configured)
        except ValueError as error:
            log.error("a worker cannot deliver to a subscriber", extra={"problem": str(error)})  # noqa: TRY400 the problem says it
            return
        target.is_ended = False
        waiting, target.waiting = target.waiting, []
        for event, done, name in waiting:
            engine.put(target.handle, event, done, name)

    def _give_up(self, target: Target[Handle]) -> None:
        waiting, target.waiting = target.waiting, []
        for _, done, _ in waiting:
            done("unsubscribed")

    # What goes to the front

    def note(self, target: Target[Handle]) -> None:
        """Have the outcomes of *target* sent soon."""
        self._noted.append(target)
        if not self._is_scheduled:
            self._plan()

    def _plan(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._schedule(self.flush)

    def flush(self) -> None:
        """Send the outcomes that came since the last call."""
        self._is_scheduled = False
        outcomes, self.outcomes = self.outcomes, []
        noted, self._noted = self._noted, []
        for target in noted:
            self._mark.clear(target.row[0])
            outcomes.append([target.row[0], target.start, target.end, target.reason])
            target.start = target.end = 0
        taken, self._taken = self._taken, 0
        if taken or outcomes:
            self._write(messages.json_message(messages.OUTCOMES, [taken, outcomes]))
