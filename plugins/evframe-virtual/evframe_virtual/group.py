"""The members of one subscriber, and which of them gets an event."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, Final
from weakref import ref

from evframe import Event
from evframe.plugin import Address, Member, PluginContext, Queue
from evframe_virtual.handing import HandOver
from evframe_virtual.member_queue import Handed, keep

_FULL: Final = "queue_full"
_NOT_ITS_FAULT: Final = frozenset({_FULL, "too_large"})  # it is behind, or the event is to blame
_PROBE_LIMIT_S: Final = 5.0


class Group(ABC):
    """Hands each event to members, as its policy says."""

    is_kept = False
    """Whether the events are kept on disk."""

    @abstractmethod
    def put(self, event: Event, settled: Handed, returned: Callable[[], None]) -> None:
        """Deliver *event*, then call one of two functions.

        Args:
            event: to be delivered.
            settled: called with None when it is delivered, or with the reason why it has failed for good.
            returned: called when no member can take it now.
        """

    @property
    def has_healthy(self) -> bool:
        """Whether there is a member to deliver to."""
        return True

    @abstractmethod
    def hold_until(self, over: asyncio.Future[None]) -> None:
        """Return every event until *over* is done, the end of a batch with an event that was returned."""

    async def revive(self) -> bool:
        """Return whether there is one, after asking all of them if need be."""
        return True

    @abstractmethod
    async def ask(self) -> bool:
        """Ask all members whether they can be reached; return whether one can."""

    @abstractmethod
    def wait(self, failover_timeout_s: float) -> None:
        """Leave members that have failed, or do from now on, alone for so long."""

    @abstractmethod
    def describe(self) -> list[dict[str, Any]]:
        """Return the state of every member, for listings."""

    @abstractmethod
    def close(self) -> None:
        """Let the members go."""


class ParallelGroup(Group):
    """Every member gets every event, each at its own pace.

    Args:
        context: of the plugin.
        addresses: of the members.
        is_kept: whether the events are; the pace of the slowest member is a bound for the others then.
    """

    def __init__(self, context: PluginContext, addresses: tuple[Address, ...], *, is_kept: bool) -> None:
        self._context = context
        self._members = [context.roster.open_member(address) for address in addresses]
        self.is_kept = is_kept
        for member in self._members if is_kept else ():
            keep(member)

    def put(self, event: Event, settled: Handed, returned: Callable[[], None]) -> None:  # noqa: ARG002 each waits itself
        """Deliver to all; the event is delivered when all of them have it."""
        settled.wait_for(len(self._members))
        for member in self._members:
            member.put(event, settled)

    def hold_until(self, over: asyncio.Future[None]) -> None:
        """Do nothing: no event is returned."""

    async def ask(self) -> bool:
        """Ask all members."""
        return any(await asyncio.gather(*(member.ask() for member in self._members)))

    def wait(self, failover_timeout_s: float) -> None:
        """Do nothing: each member tries again by itself."""

    def describe(self) -> list[dict[str, Any]]:
        """Return the counters of every member."""
        return [
            {**_counted(member), "state": "away" if member.subscriber.attempts else "healthy"}
            for member in self._members
        ]

    def close(self) -> None:
        """Let the members go."""
        for member in self._members:
            self._context.roster.close_member(member)


class Attempt:
    """The attempts to deliver one event to the members, one after the other.

    It is what the present member calls with the outcome of the event.
    """

    __slots__ = ("candidate", "event", "number", "reason", "returned", "settled", "tried")

    def __init__(self, number: int, event: Event, settled: Handed, returned: Callable[[], None]) -> None:
        self.number = number
        self.event = event
        self.settled = settled
        self.returned = returned
        self.tried: set[Candidate] = set()
        self.reason: str | None = None  # why the last member that was tried has failed it
        self.candidate: Candidate | None = None

    @property
    def id(self) -> str | None:
        """What names the event."""
        return self.settled.id

    def send(self, candidate: Candidate) -> None:
        """Give the event to a member."""
        self.candidate = candidate
        candidate.member.put(self.event, self)

    def __call__(self, reason: str | None) -> None:
        """Take the outcome at the present member."""
        assert self.candidate is not None
        self.candidate.finish(self, reason)


class Candidate:
    """A member that may have failed.

    The events that it fails wait until its last batch under way is over. They are then handed over,
    with all that it has not begun, in the order of raising; what is raised meanwhile waits behind them.

    Args:
        context: of the plugin.
        address: of the member.
        group: is notified that it has failed, and takes what is handed over.
        is_kept: whether the events of the group are.
    """

    def __init__(self, context: PluginContext, address: Address, group: ChoosingGroup, *, is_kept: bool) -> None:
        self._is_kept = is_kept
        self.is_disabled = False
        self.failed_at: float | None = None
        self.probe_at = 0.0
        self._failed: deque[Attempt] = deque()
        self._taken_back: deque[Queue] = deque()
        self.member = context.roster.open_member(address, self._away)
        if is_kept:
            keep(self.member)
        self._group = ref(group)  # which has the candidate

    @property
    def is_healthy(self) -> bool:
        """Whether it gets events."""
        return self.failed_at is None and not self.is_disabled

    def has_room_for(self, event: Event) -> bool:
        """Return whether it would queue *event* without a loss."""
        return self.member.subscriber.has_room_for(event)

    def _away(self, _: str) -> None:
        self.fail()

    def finish(self, attempt: Attempt, reason: str | None) -> None:
        """Handle the outcome of an event: another member gets what this one has failed."""
        group = self._group()
        if reason is None or group is None or self.member.has_ended:
            attempt.settled(reason)
            return
        attempt.tried.add(self)
        attempt.reason = reason
        if reason in _NOT_ITS_FAULT:
            if reason == _FULL:  # with `drop_oldest`, another full member would drop an event, and so on
                attempt.tried.update(each for each in group.candidates if not each.has_room_for(attempt.event))
            group.send(attempt)
        else:
            self._failed.append(attempt)
            self.member.withdraw()

    def fail(self) -> None:
        """Give it no more events until it is probed; those that it has not delivered go to others."""
        group = self._group()
        if self.failed_at is None and group is not None:
            self.failed_at = time.monotonic()
            group.watch(self)
        self._hand_over()

    def disable(self) -> None:
        """Give it no more events until somebody enables it; those that it has not begun go to others."""
        self.is_disabled = True
        self._hand_over()

    def _hand_over(self) -> None:
        group = self._group()
        if group is not None:  # else it has ended, and nothing waits
            queue = self.member.take_back()
            if self._is_kept:
                keep(self.member)
            if len(queue):
                self._taken_back.append(queue)
            group.handing.add(self)

    def take(self, most: int) -> list[Attempt]:
        """Return at most *most* of the events that are to be handed over; an empty list when none is left."""
        attempts = [self._failed.popleft() for _ in range(min(most, len(self._failed)))]
        while self._taken_back and len(attempts) < most:
            _, dones = self._taken_back[0].take(most - len(attempts), 0)
            attempts.extend(done for done in dones.values() if isinstance(done, Attempt))
            if not len(self._taken_back[0]):
                self._taken_back.popleft()
        now = time.monotonic()
        for attempt in attempts:
            attempt.event = attempt.event.handed_over(now)
        return attempts

    async def probe(self, *, has_turn: bool = False) -> None:
        """Ask whether it is back, unless it is disabled."""
        if self.failed_at is None or self.is_disabled:
            return
        if await self.member.probe(_PROBE_LIMIT_S, has_turn=has_turn):
            self.failed_at = None
            group = self._group()
            if group is not None:
                group.back_at = time.monotonic()

    def describe(self, now: float) -> dict[str, Any]:
        """Return its state, for listings."""
        failed = "healthy" if self.failed_at is None else "failed"
        state: dict[str, Any] = {**_counted(self.member), "state": "disabled" if self.is_disabled else failed}
        if self.failed_at is not None and not self.is_disabled:
            state["failed_for_s"] = round(now - self.failed_at, 3)
            state["next_probe_s"] = round(max(0.0, self.probe_at - now), 3)
        return state


class ChoosingGroup(Group):
    """One member gets each event; when that fails, another one does.

    A member that has failed is probed with an empty batch, never with an event, every
    *failover_timeout_s*. While none is healthy, events are returned.
    """

    def __init__(
        self, context: PluginContext, addresses: tuple[Address, ...], failover_timeout_s: float, *, is_kept: bool
    ) -> None:
        self._context = context
        self.is_kept = is_kept
        self._failover_timeout_s = failover_timeout_s
        self.candidates = [Candidate(context, address, self, is_kept=is_kept) for address in addresses]
        self._probes: dict[Candidate, asyncio.Task[Any]] = {}
        self._asked: set[asyncio.Task[Any]] = set()
        self._numbers = count()
        self.handing = HandOver(self.send)
        """What members that have failed, or were disabled, have left."""
        self._holding: set[asyncio.Future[None]] = set()
        self.back_at = 0.0
        """When a member that had failed was back last."""

    @abstractmethod
    def choose(self, tried: set[Candidate]) -> Candidate | None:
        """Return a healthy member that is not in *tried*, or None."""

    def put(self, event: Event, settled: Handed, returned: Callable[[], None]) -> None:
        """Deliver to the member that is chosen."""
        if event.raised_at < self.back_at:  # and may have waited for that, which is not to be held against it
            event = event.handed_over(self.back_at)
        attempt = Attempt(next(self._numbers), event, settled, returned)
        if self.handing.is_active:
            self.handing.put(attempt)
        else:
            self.send(attempt)

    def send(self, attempt: Attempt) -> None:
        """Give an event to the member that is chosen now; it does not overtake one that was returned before."""
        if self._holding:
            attempt.returned()
            return
        chosen = self.choose(attempt.tried)
        if chosen is not None:
            attempt.send(chosen)
        elif attempt.tried and all(each.is_disabled or each in attempt.tried for each in self.candidates):
            attempt.settled(attempt.reason)  # every member was tried
        else:
            attempt.returned()

    def hold_until(self, over: asyncio.Future[None]) -> None:
        """Return every event until *over* is done, because the events of that batch wait for the next attempt."""
        self._holding.add(over)
        over.add_done_callback(self._holding.discard)

    def watch(self, candidate: Candidate) -> None:
        """Probe a member that has failed until it is back; an earlier call for the member ends."""
        before = self._probes.get(candidate)
        if before is not None:
            before.cancel()
        probe = self._probes[candidate] = self._context.spawn(self._watch(candidate))

        def over(probe: asyncio.Task[Any]) -> None:
            if self._probes.get(candidate) is probe:
                del self._probes[candidate]

        probe.add_done_callback(over)

    def wait(self, failover_timeout_s: float) -> None:
        """Leave members that have failed, or do from now on, alone for so long."""
        self._failover_timeout_s = failover_timeout_s
        for candidate in self.candidates:
            if not candidate.is_healthy:
                self.watch(candidate)

    async def _watch(self, candidate: Candidate) -> None:
        """Probe a member until it is back."""
        while not candidate.is_healthy and not candidate.is_disabled:
            candidate.probe_at = time.monotonic() + self._failover_timeout_s
            await candidate.member.turn(self._failover_timeout_s)
            await candidate.probe(has_turn=True)

    def find(self, canonical: str) -> Candidate | None:
        """Return the member with a socket, or None."""
        return next((each for each in self.candidates if each.member.subscriber.socket.canonical == canonical), None)

    def enable(self, candidate: Candidate) -> None:
        """Let a member have events again; one that had failed is asked first whether it is back."""
        if candidate.is_disabled:
            candidate.is_disabled = False
            if candidate.failed_at is not None:
                self.watch(candidate)
        asked = self._context.spawn(candidate.probe())
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)

    @property
    def has_healthy(self) -> bool:
        """Whether a member is healthy."""
        return any(candidate.is_healthy for candidate in self.candidates)

    async def revive(self) -> bool:
        """Ask all members if none is healthy; return whether one is now."""
        if not self.has_healthy:
            await asyncio.gather(*(candidate.probe() for candidate in self.candidates))
        return self.has_healthy

    async def ask(self) -> bool:
        """Ask the healthy members too: one that cannot be reached has failed."""
        asked = [each.member.ask() if each.is_healthy else each.probe() for each in self.candidates]
        await asyncio.gather(*asked)
        return self.has_healthy

    def describe(self) -> list[dict[str, Any]]:
        """Return the state of every member."""
        now = time.monotonic()
        return [candidate.describe(now) for candidate in self.candidates]

    def close(self) -> None:
        """Let the members go."""
        for probe in (*self._probes.values(), *self._asked):
            probe.cancel()
        self.handing.close()
        for candidate in self.candidates:
            self._context.roster.close_member(candidate.member)


class FailoverGroup(ChoosingGroup):
    """The first healthy member."""

    def choose(self, tried: set[Candidate]) -> Candidate | None:
        """Return the first."""
        return next((each for each in self.candidates if each.is_healthy and each not in tried), None)


class RoundRobinGroup(ChoosingGroup):
    """One healthy member after the other; of these, the one with the least before it."""

    _next = 0

    def choose(self, tried: set[Candidate]) -> Candidate | None:
        """Return the one whose turn it is, unless it is further behind than another."""
        turn = self.candidates[self._next :] + self.candidates[: self._next]
        chosen = min(
            (each for each in turn if each.is_healthy and each not in tried),
            key=lambda each: each.member.depth,
            default=None,
        )
        if chosen is not None:
            self._next = (self.candidates.index(chosen) + 1) % len(self.candidates)
        return chosen


def _counted(member: Member) -> dict[str, Any]:
    counters = member.counters
    return {
        "socket": counters.socket,
        "delivered": counters.delivered,
        "failed": counters.failed,
        "handed_over": member.handed_over,
        "depth": counters.depth,
    }
