"""The plugin: the Python interface of the sessions, their clock, their pings and their event."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

from evframe import hookimpl
from evframe.plugin import CommandTable, EventCollector, PluginContext, StatisticGroup, comes_from_outside
from evframe_dialog.commands import dialog_commands
from evframe_dialog.events import STATE_CHANGED, StateChanged
from evframe_dialog.options import Options as DialogOptions
from evframe_dialog.profiles import Profiles
from evframe_dialog.session import SIDES, Handling, Ping, Round, Session, Side, check_text
from evframe_dialog.sessions import Sessions
from evframe_dialog.states import State, Step

log = logging.getLogger("evframe.dialog")
_DEAD: Final = (408, 481)
_SLICE: Final = 500  # sessions whose timers are looked at in one turn of the loop


class Dialogs:
    """The plugin object, and the Python interface; every call belongs on the thread of the loop.

    Args:
        options: the table ``[plugins.dialog]``.
        clock: the monotonic clock of all timers, in seconds.
        first_serial: where the second half of the ids begins; anywhere without it.
    """

    kind = "source"
    Options = DialogOptions

    def __init__(
        self,
        options: DialogOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        first_serial: int | None = None,
    ) -> None:
        self.options = DialogOptions() if options is None else options
        """The table ``[plugins.dialog]``."""
        self._clock = clock
        self._context: PluginContext | None = None
        serial = secrets.randbits(31) if first_serial is None else first_serial
        self._sessions = Sessions(
            self.options, serial, clock, self._raise_change, self._start_ping, self._start_hang_up
        )

    def created(  # noqa: PLR0913 how a session begins and ends
        self,
        callid: str,
        *,
        from_tag: str = "",
        lifetime_s: float | None = None,
        pings: Iterable[Ping] = (),
        hang_up: Callable[[Session, Side], Awaitable[Any]] | None = None,
        on_timeout: Callable[[Session], float | None] | None = None,
        end_on_race_condition: bool = False,
    ) -> Session:
        """Record a new session and return it; no event is raised yet.

        Args:
            callid: what identifies it, together with *from_tag*.
            from_tag: the tag of its caller.
            lifetime_s: how long it lasts from its answer on; `default_timeout_s` without it.
            pings: the sides that are pinged while it is answered.
            hang_up: notifies a side that it is over, when it is ended from here; silent without it.
            on_timeout: called at the end of its lifetime; a number continues it for so many seconds.
            end_on_race_condition: whether it gets a short lifetime when it is answered after it was given up.

        Raises:
            ValueError: if there is such a session already, or a value does not fit.
        """
        check_text("callid", callid, empty=False)
        check_text("from_tag", from_tag)
        lifetime = self.options.default_timeout_s if lifetime_s is None else lifetime_s
        handling = Handling(lifetime, hang_up, on_timeout, end_on_race_condition, tuple(pings))
        return self._sessions.create(callid, from_tag, handling)

    def find(self, callid: str, from_tag: str | None = None) -> Session | None:
        """Return the session with a Call-ID, and with a tag unless it is None; None when there is none."""
        return self._sessions.find(callid, from_tag)

    def get(self, identity: str) -> Session | None:
        """Return the session with an id, in either of its two forms; None when there is none."""
        return self._sessions.get(identity)

    def end(self, session: Session, reason: str = "") -> None:
        """End a session from here; if it says how, both sides are notified before its state changes."""
        self._sessions.terminate(session, reason)

    def __iter__(self) -> Iterator[Session]:
        """Yield the sessions, the oldest first; none may come or go meanwhile."""
        return iter(self._sessions)

    def __len__(self) -> int:
        return len(self._sessions)

    def __bool__(self) -> bool:
        return True

    @property
    def profiles(self) -> Profiles:
        """The profiles."""
        return self._sessions.profiles

    def ends_at(self, session: Session) -> float | None:
        """Return the Unix time at which the lifetime of a session ends; None while it has none."""
        return self._sessions.ends_at(session)

    def counters(self) -> dict[str, int]:
        """Return how many sessions there are, and how all so far have ended."""
        return self._sessions.counters()

    def process_due(self) -> None:
        """Process everything that is due, as the timer does every second, a slice at a time."""
        while self._sessions.process_due(_SLICE):
            pass

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the event."""
        collector.add(StateChanged)

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Count the sessions, as the module of OpenSIPS does."""
        counts = self.counters()
        gauges = {name: counts.pop(name) for name in ("active_dialogs", "early_dialogs")}
        return [StatisticGroup("dialog", counts, gauges)]

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands."""
        for command in dialog_commands(self._sessions, self.options.list_limit):
            commands.add(command)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what raises the event."""
        self._context = context

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Start the timer."""
        context.status.group("dialog").add(details="sessions are kept in memory")
        context.spawn(self._run_timer())

    async def _run_timer(self) -> None:
        while True:
            await asyncio.sleep(1 - self._clock() % 1)  # timers are due at whole seconds
            while self._sessions.process_due(_SLICE):  # noqa: ASYNC110 it waits for nothing
                await asyncio.sleep(0)  # others have their turn

    def _raise_change(self, session: Session, old: State, new: State) -> None:
        if self._context is not None and self._context.has_subscribers(STATE_CHANGED):
            self._context.raise_event(
                STATE_CHANGED,
                {
                    "id": session.id,
                    "db_id": session.db_id,
                    "callid": session.callid,
                    "from_tag": session.from_tag,
                    "to_tag": session.to_tag,
                    "old_state": int(old),
                    "new_state": int(new),
                },
            )

    def _start_ping(self, session: Session, round_: Round) -> None:
        assert self._context is not None
        self._context.spawn(self._ping(session, round_))

    async def _ping(self, session: Session, round_: Round) -> None:
        code = 408
        try:
            async with asyncio.timeout(self.options.ping_timeout_s):
                code = await round_.ping.send(session, round_.ping.side)
        except TimeoutError:
            pass
        except BaseException as error:
            if comes_from_outside(error):
                raise
            log.exception("a ping raised an error", extra={"callid": session.callid, "side": round_.ping.side})
        round_.under_way = False
        round_.dead = code in _DEAD

    def _start_hang_up(self, session: Session, reason: str) -> None:
        assert self._context is not None
        self._context.spawn(self._hang_up(session, reason))

    async def _hang_up(self, session: Session, reason: str) -> None:
        await asyncio.gather(*(self._hang_up_side(session, side) for side in SIDES))
        self._sessions.step(session, Step.END, reason=reason)

    async def _hang_up_side(self, session: Session, side: Side) -> None:
        assert session.handling.hang_up is not None
        about = {"callid": session.callid, "side": side}
        try:
            async with asyncio.timeout(self.options.hang_up_timeout_s):
                await session.handling.hang_up(session, side)
        except TimeoutError:
            log.warning("a side was not notified of the end in time", extra=about)
        except BaseException as error:
            if comes_from_outside(error):
                raise
            log.exception("notifying a side of the end raised an error", extra=about)
