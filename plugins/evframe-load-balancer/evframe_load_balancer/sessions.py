"""Sessions: leases on the resources of a destination, counted until they are released."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from evframe.plugin import Schedule, check_timeout
from evframe_load_balancer.balancing import choose
from evframe_load_balancer.destinations import Destination

_PARTS: Final = 16  # of a second: a session ends at the end of the part in which its time is over


class Session:
    """Made by `Sessions.start`; leave its ``with`` block or call `release` to end it."""

    def __init__(self, sessions: Sessions, group: int, resources: Sequence[str], flags: str) -> None:
        self._sessions = sessions
        self.group = group
        self.resources = resources if isinstance(resources, str) else tuple(dict.fromkeys(resources))
        self.flags = flags
        self.tried: list[Destination] = []
        """The destinations that it had so far."""
        self.ends_at: float | None = None
        """When its time is over; None where that is not watched."""
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
        self._ends: Schedule[Session] = Schedule(_PARTS)

    def start(self, group: int, resources: Sequence[str], flags: str, expire_s: float | None) -> Session:
        """Begin a session; see `Balancer.start_session`."""
        if expire_s is not None and not expire_s > 0:
            raise ValueError(f"expire_s: expected more than 0 seconds, got {expire_s!r}")
        check_timeout("expire_s", expire_s)
        with self._mutex:
            self.expire()
            session = Session(self, group, resources, flags)
            self._place(session)
            if expire_s is not None:
                session.ends_at = self._clock() + expire_s
                self._ends.add(session, session.ends_at)
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
                if session.ends_at is not None:
                    self._ends.remove(session, session.ends_at)

    def expire(self) -> None:
        """End the sessions whose time is over."""
        with self._mutex:
            while (session := self._ends.pop(self._clock())) is not None:
                session.ends_at = None
                self.end(session)
