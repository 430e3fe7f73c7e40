"""Sessions: leases on the resources of a destination, counted until they are released."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from evframe.plugin import check_timeout
from evframe_load_balancer.balancing import choose
from evframe_load_balancer.destinations import Destination


class Session:
    """Made by `Sessions.start`; leave its ``with`` block or call `release` to end it."""

    def __init__(self, sessions: Sessions, group: int, resources: Sequence[str], flags: str) -> None:
        self._sessions = sessions
        self.group = group
        self.resources = resources if isinstance(resources, str) else tuple(dict.fromkeys(resources))
        self.flags = flags
        self.tried: list[Destination] = []
        """The destinations that it had so far."""
        self.has_end = False
        """Whether its time is watched."""
        self.released = False
        """Whether it counts no more: it was released, or its time is over."""

    @property
    def destination(self) -> Destination:
        """Where it is now, or was last."""
        return self.tried[-1]

    def next(self, *, disable: bool = False) -> Destination:
        """Move to the next best destination that it has not had, and return it.

        Args:
            disable: whether the one that it leaves is taken out of use until a probe is good.

        Raises:
            NotAvailable: if there is none; the session stays where it is, disabled or not.
            ValueError: if it is released.
        """
        return self._sessions.move(self, disable=disable)

    def release(self) -> None:
        """End it; once is enough, more does no harm."""
        self._sessions.end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Sessions:
    """Counts sessions; two that begin at the same time never get the same place.

    Args:
        destinations: returns those of a group.
        disable: takes a destination out of use.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        destinations: Callable[[int], list[Destination]],
        disable: Callable[[Destination], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._destinations = destinations
        self._disable = disable
        self._clock = clock
        self._mutex = threading.RLock()
        self._numbers = itertools.count()
        self._ends: list[tuple[float, int, Session]] = []
        self._released = 0  # of those in `_ends`

    def start(self, group: int, resources: Sequence[str], flags: str, expire_s: float | None) -> Session:
        """Begin a session; see `LoadBalancer.start_session`."""
        if expire_s is not None and not expire_s > 0:
            raise ValueError(f"expire_s: expected more than 0 seconds, got {expire_s!r}")
        check_timeout("expire_s", expire_s)
        with self._mutex:
            self.expire()
            session = Session(self, group, resources, flags)
            self._place(session)
            if expire_s is not None:
                session.has_end = True
                heapq.heappush(self._ends, (self._clock() + expire_s, next(self._numbers), session))
            return session

    def move(self, session: Session, *, disable: bool) -> Destination:
        """Move a session; see `Session.next`."""
        with self._mutex:
            self.expire()
            if session.released:
                raise ValueError("session: expected one that is not released")
            before = session.destination
            if disable:
                self._disable(before)
            self._place(session)
            before.count(session.resources, -1)
            return session.destination

    def _place(self, session: Session) -> None:
        tried = {each.id for each in session.tried}
        found = choose(self._destinations(session.group), session.resources, session.flags, tried=tried)
        found.count(session.resources, 1)
        session.tried.append(found)

    def end(self, session: Session) -> None:
        """End a session."""
        with self._mutex:
            if not session.released:
                session.released = True
                session.destination.count(session.resources, -1)
                self._released += session.has_end
                if self._released * 2 > len(self._ends):
                    self._ends = [entry for entry in self._ends if not entry[2].released]
                    heapq.heapify(self._ends)
                    self._released = 0

    def expire(self) -> None:
        """End the sessions whose time is over."""
        with self._mutex:
            while self._ends and self._ends[0][0] <= self._clock():
                _, _, session = heapq.heappop(self._ends)
                self._released -= session.released
                session.has_end = False
                self.end(session)
