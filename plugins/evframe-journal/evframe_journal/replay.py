"""Replays: dead letters that are sent again, at a rate, each until its delivery is confirmed."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs
from evframe_timing import Bucket

from evframe import SocketError
from evframe.plugin import ForbiddenError
from evframe_journal.dead import DeadLetters, look
from evframe_journal.letters import Filter, Letter

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Address, Member
    from evframe_journal.dead import Reading
    from evframe_journal.frames import EventOf

MOST_RATE: Final = 100_000
_PAGE: Final = 256  # letters that are read at once
_UNDER_WAY: Final = 4096  # letters of one replay that wait for their outcome
_OF_PEER: Final = 256  # of one peer
_MEMBERS: Final = 64  # peers of one replay that stay open without a letter under way
_TICK_S: Final = 0.05
_OVER: Final = 16  # replays that are listed after their end


class Roster(Protocol):
    """Opens what letters are sent through; see `evframe.plugin.PluginContext.roster`."""

    def open_member(self, address: Address) -> Member:
        """Return a subscriber that the replay feeds."""

    def close_member(self, member: Member) -> None:
        """Close it."""


class Pace:
    """How many letters may be sent now.

    Args:
        rate: letters a second.
        clock: the monotonic clock, in seconds.
    """

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bucket = Bucket(rate, max(1.0, rate * _TICK_S), clock(), tokens=1)

    def take(self) -> bool:
        """Return whether another letter may be sent, which is counted."""
        if not self._bucket.available(self._clock()):
            return False
        self._bucket.spend(1)
        return True

    @property
    def wait_s(self) -> float:
        """After how many seconds it is worth to ask again."""
        return max(_TICK_S, self._bucket.seconds_until(1))


@attrs.define(eq=False)
class _Peer:
    """Where letters go."""

    member: Member
    under_way: int = 0

    @property
    def is_away(self) -> bool:
        return self.under_way > 0 and self.member.subscriber.away is not None

    def has_room_for(self, event: Event) -> bool:
        is_free = not self.member.depth or self.member.subscriber.queue.has_room_for(event)
        return is_free and self.under_way < _OF_PEER


@attrs.define(kw_only=True, eq=False)
class Replay:
    """One replay: its progress, and its work."""

    number: int
    wanted: Filter
    rate: int
    to: str | None
    """The canonical text of the socket that gets all letters; None when each goes to the socket that it failed at."""
    address_of: Callable[[str], Address]
    """Returns where the letters of a canonical socket go; SocketError or ForbiddenError when they cannot."""
    letters: DeadLetters
    reading: Reading
    roster: Roster
    event_of: EventOf
    clock: Callable[[], float] = time.monotonic
    delivered: int = attrs.field(default=0, init=False)
    failed: int = attrs.field(default=0, init=False)
    """How many have failed again."""
    left: int = attrs.field(default=0, init=False)
    """How many were not sent: another replay has them, or their socket cannot be used."""
    problem: str = attrs.field(default="", init=False)
    """Why a socket could not be used, or why the replay has ended early."""
    under_way: int = attrs.field(default=0, init=False)
    is_over: bool = attrs.field(default=False, init=False)
    _peers: dict[str, _Peer | None] = attrs.field(factory=dict, init=False)
    _is_closing: bool = attrs.field(default=False, init=False)

    async def run(self) -> None:
        """Send the letters, page by page; those of peers that are away when these are back."""
        try:
            pace = Pace(self.rate, self.clock)
            skipped = await self._pass(None, pace)
            while skipped:
                await self._wait_for_any(skipped)
                skipped = await self._pass(skipped, pace)
            while self.under_way:  # noqa: ASYNC110 an event would be set by each letter
                await asyncio.sleep(_TICK_S)
        except Exception as error:  # noqa: BLE001 the file of the journal has a problem, which the status shows too
            self.problem = str(error) or repr(error)
        finally:
            self._is_closing = self.is_over = True
            self._close(self._peers)

    async def _pass(self, first: Mapping[str, int] | None, pace: Pace) -> dict[str, int]:
        """Send each letter, and skip those for peers that are away, so that these delay no other peer.

        Args:
            first: by socket, the id of the first letter; None for all letters.
            pace: how fast.

        Returns the same for the next pass. All later letters of a socket are skipped, too, which keeps their order.
        """
        skipped: dict[str, int] = {}
        after: int | None = 0 if first is None else min(first.values()) - 1
        while after is not None:
            page = await look(self.reading, self.wanted, after, _PAGE, whole=True)
            after = page.next
            letters = [
                each for each in page.letters if first is None or each.id >= first.get(self._goal(each), math.inf)
            ]
            pending = deque(self._claim(letters))
            if first is None:
                self.left += len(letters) - len(pending)
            try:
                await self._send(pending, pace, skipped)
            finally:
                self.letters.claimed.difference_update(letter.id for letter in pending)
            self._close_idle()
        return skipped

    def _goal(self, letter: Letter) -> str:
        return self.to or letter.socket

    def _claim(self, letters: Iterable[Letter]) -> list[Letter]:
        """Return those that no other replay has; this one has them from now on."""
        found = [letter for letter in letters if letter.id not in self.letters.claimed]
        self.letters.claimed.update(letter.id for letter in found)
        return found

    async def _wait_for_any(self, skipped: Iterable[str]) -> None:
        """Return when a peer that was away is back."""
        while all((peer := self._peers.get(socket)) and peer.is_away for socket in skipped):  # noqa: ASYNC110 as above
            await asyncio.sleep(_TICK_S)

    async def _send(self, pending: deque[Letter], pace: Pace, skipped: dict[str, int]) -> None:
        """Send *pending* in order, as fast as the rate and the peers allow."""
        while pending:
            letter = pending[0]
            goal = self._goal(letter)
            peer = self._peer(goal)
            if peer is None or goal in skipped or peer.is_away:
                if peer is None:
                    self.left += 1
                else:
                    skipped.setdefault(goal, letter.id)
                self.letters.claimed.discard(pending.popleft().id)
                continue
            event = self.event_of(letter.payload, self.clock())
            if self.under_way >= _UNDER_WAY or not peer.has_room_for(event) or not pace.take():
                await asyncio.sleep(pace.wait_s)
                continue
            pending.popleft()
            self.under_way += 1
            peer.under_way += 1
            peer.member.put(event, partial(self._done, letter.id, peer))

    def _peer(self, socket: str) -> _Peer | None:
        if socket not in self._peers:
            try:
                self._peers[socket] = _Peer(self.roster.open_member(self.address_of(socket)))
            except (SocketError, ForbiddenError) as error:
                self._peers[socket] = None
                self.problem = str(error)
        return self._peers[socket]

    def _done(self, letter: int, peer: _Peer, reason: str | None) -> None:
        """Take the outcome of a letter."""
        self.under_way -= 1
        peer.under_way -= 1
        if reason is None:
            self.delivered += 1
            self.letters.remove(letter)
        elif self._is_closing or reason == "shutdown":
            self.letters.claimed.discard(letter)  # it stays as it is
        else:
            self.failed += 1
            self.letters.fail_again(letter, reason, f"in a replay to {self.to}" if self.to else "in a replay")

    def _close_idle(self) -> None:
        if len(self._peers) > _MEMBERS:
            self._close([socket for socket, peer in self._peers.items() if peer is None or not peer.under_way])

    def _close(self, sockets: Iterable[str]) -> None:
        for socket in list(sockets):
            peer = self._peers.pop(socket)
            if peer is not None:
                self.roster.close_member(peer.member)


class Replays:
    """The replays that run, and the last ones that are over."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self.all: dict[int, Replay] = {}
        """By number."""

    def start(self, spawn: Callable[[Any], asyncio.Task[Any]], **parts: Any) -> Replay:
        """Begin a replay.

        Args:
            spawn: runs the work as a task.
            parts: of the `Replay`.
        """
        replay = Replay(number=next(self._numbers), **parts)
        over = [number for number, each in self.all.items() if each.is_over]
        for number in over[: max(0, len(over) - _OVER + 1)]:
            del self.all[number]
        self.all[replay.number] = replay
        task = self._tasks[replay.number] = spawn(replay.run())
        task.add_done_callback(lambda _: self._tasks.pop(replay.number, None))
        return replay

    def stop(self, number: int) -> bool:
        """End a replay; return whether it has run. The letters that it has not delivered stay."""
        task = self._tasks.get(number)
        return task is not None and task.cancel()
