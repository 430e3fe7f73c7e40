"""All sessions: their steps, their timers, and finding them."""

from __future__ import annotations

import logging
import math
import time
import zlib
from collections.abc import Callable, Iterator

import attrs

from evframe.plugin import LogLimiter, Schedule, comes_from_outside
from evframe_dialog.options import Options
from evframe_dialog.profiles import Profiles
from evframe_dialog.session import ROOT, Handling, Round, Session
from evframe_dialog.states import ANSWERED, State, Step, next_state

log = logging.getLogger("evframe.dialog")


class Sessions:
    """The sessions that have not been forgotten.

    Args:
        options: the table ``[plugins.dialog]``.
        first_serial: where the second half of the ids begins.
        clock: the monotonic clock of the timers, in seconds.
        changed: called after every change of a state.
        send_ping: begins to ping a side.
        hang_up: begins to notify both sides of the end, after which it calls `step`.
    """

    def __init__(  # noqa: PLR0913, PLR0917 each is called by one step
        self,
        options: Options,
        first_serial: int,
        clock: Callable[[], float],
        changed: Callable[[Session, State, State], None],
        send_ping: Callable[[Session, Round], None],
        hang_up: Callable[[Session, str], None],
    ) -> None:
        self.profiles = Profiles()
        self.counts = dict.fromkeys(("processed", "expired", "failed", "impossible"), 0)
        self.in_state = dict.fromkeys(State, 0)
        self._options = options
        self._serial = first_serial % ROOT
        self._clock = clock
        self._changed = changed
        self._send_ping = send_ping
        self._hang_up = hang_up
        self._by_id: dict[str, Session] = {}
        self._by_call: dict[str, dict[str, Session]] = {}
        self._schedule: Schedule[Session] = Schedule()
        self._limiter = LogLimiter()

    def create(self, callid: str, from_tag: str, handling: Handling) -> Session:
        """Return a new session; ValueError if one with the same Call-ID and tag has not ended."""
        known = self._by_call.get(callid, {}).get(from_tag)
        if known is not None:
            if known.state is not State.DELETED:
                raise ValueError(f"callid: expected a new session, got that of {known!r}")
            self._forget(known)
        slot = zlib.crc32(callid.encode()) % self._options.hash_size
        session = Session(self, slot, self._serial, callid, from_tag, handling)
        self._serial = (self._serial + 1) % ROOT
        self._by_id[session.db_id] = session
        self._by_call.setdefault(callid, {})[from_tag] = session
        self.counts["processed"] += 1
        self.in_state[session.state] += 1
        if self._options.setup_timeout_s:
            session.deadline = self._clock() + self._options.setup_timeout_s
        self._plan(session)
        return session

    def find(self, callid: str, from_tag: str | None = None) -> Session | None:
        """Return the session with a Call-ID and a tag; the oldest one with the Call-ID without a tag."""
        sessions = self._by_call.get(callid, {})
        return next(iter(sessions.values()), None) if from_tag is None else sessions.get(from_tag)

    def get(self, identity: str) -> Session | None:
        """Return the session with an id, in either form."""
        slot, dot, serial = identity.partition(".")
        if dot:
            try:
                identity = str(int(slot[::-1], 16) * ROOT + int(serial[::-1], 16))
            except ValueError:
                return None
        return self._by_id.get(identity)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def ends_at(self, session: Session) -> float | None:
        """Return the Unix time at which the lifetime of a session ends; None while it has none."""
        return time.time() + session.deadline - self._clock() if session.state in ANSWERED else None

    def counters(self) -> dict[str, int]:
        """Return how many sessions there are, and how all so far have ended."""
        return {
            "active_dialogs": sum(self.in_state[state] for state in ANSWERED),
            "early_dialogs": self.in_state[State.EARLY],
            **{f"{name}_dialogs": count for name, count in self.counts.items() if name != "impossible"},
            "impossible_steps": self.counts["impossible"],
        }

    def step(self, session: Session, step: Step, *, to_tag: str | None = None, reason: str = "") -> None:
        """Have something happen to a session; what is impossible is logged and changes nothing."""
        now = self._clock()
        old = session.state
        new = next_state(old, step, over=self._is_over(session, now))
        is_known = self._by_id.get(session.db_id) is session
        if new is None or (new is not old and not is_known):
            self._is_impossible(session, step)
            return
        if not is_known:
            return  # both sides may end a session at the same time
        session.active_at = now
        session.bye_seen |= step is Step.BYE or (step is Step.END and old in ANSWERED)
        session.cancelled |= step is Step.END and old not in ANSWERED
        session.transaction_over |= step is Step.DESTROYED
        if to_tag is not None and not session.answered_at:
            session.to_tag = to_tag
        self.in_state[old] -= 1
        self.in_state[new] += 1
        session.state = new
        if new is not old and new is State.CONFIRMED_NA:
            self._begin(session, now)
        if new is State.DELETED:
            self._end(session, old, now, reason)
        if new is not old:
            self._changed(session, old, new)
        if session.state is State.DELETED and session.deadline <= now:
            self._forget(session)
        self._plan(session)

    def record_activity(self, session: Session) -> None:
        """Record that a peer has sent something."""
        session.active_at = self._clock()

    def extend(self, session: Session, lifetime_s: float) -> None:
        """Give a session another lifetime, from now or from its answer on."""
        session.handling = attrs.evolve(session.handling, lifetime_s=lifetime_s)
        if session.state in ANSWERED:
            session.deadline = self._clock() + lifetime_s
            self._plan(session)

    def add_profile(self, session: Session, name: str, value: str) -> None:
        """Have a session belong to a profile with a value, unless it has ended."""
        if not session.has_ended:
            self.profiles.add(session, name, value)

    def remove_profile(self, session: Session, name: str, value: str) -> bool:
        """Take a session out of a profile; return whether it was there."""
        return self.profiles.remove(session, name, value)

    def process_due(self, limit: int) -> bool:
        """Process what is due, for at most *limit* sessions; return whether more may be."""
        now = self._clock()
        while (session := self._schedule.pop(now)) is not None:
            session.due = 0
            self._act(session, now)
            self._plan(session)
            limit -= 1
            if limit <= 0:
                return True
        return False

    def _begin(self, session: Session, now: float) -> None:
        """Start the timers of an answered session."""
        session.answered_at = now
        session.started_at = time.time()
        session.end_reason = ""
        session.deadline = now + session.handling.lifetime_s
        session.rounds = [
            Round(ping, now + self._options.ping_interval_s(ping.kind)) for ping in session.handling.pings
        ]
        if session.cancelled or session.bye_seen:
            session.raced = True
            log.warning("a session was answered after it had been given up", extra={"callid": session.callid})
            if session.handling.end_on_race_condition:
                session.deadline = now + self._options.race_condition_timeout_s

    def _end(self, session: Session, old: State, now: float, reason: str) -> None:
        """Stop the timers of an ended session, and set the time at which it is forgotten."""
        if old is not State.DELETED:
            session.ended_at = now
            session.end_reason = reason
            session.ending = False
            session.rounds = []
            self.profiles.clear(session)
            self.counts["failed"] += old not in ANSWERED
        kept_s = self._options.delete_delay_s
        if not self._is_over(session, now):
            kept_s = max(kept_s, self._options.late_answer_s)
        session.deadline = session.ended_at + kept_s

    def _is_over(self, session: Session, now: float) -> bool:
        """Return whether no late answer can revive a session that has ended."""
        late = now >= session.ended_at + self._options.late_answer_s
        return session.bye_seen or session.transaction_over or late

    def _act(self, session: Session, now: float) -> None:
        if session.state is State.DELETED:
            if session.deadline <= now:
                self._forget(session)
        elif session.state not in ANSWERED:
            if session.deadline and session.deadline <= now:
                self.step(session, Step.END, reason="Setup Timeout")
        elif not session.ending:
            self._keep_alive(session, now)
            self._check_lifetime(session, now)

    def _keep_alive(self, session: Session, now: float) -> None:
        for round_ in session.rounds:
            if round_.next_at > now:
                continue
            if round_.dead:
                self._time_out(session, "Ping Timeout" if round_.ping.kind == "options" else "ReINVITE Ping Timeout")
                return
            round_.next_at = now + self._options.ping_interval_s(round_.ping.kind)
            if not round_.under_way:
                round_.under_way = True
                self._send_ping(session, round_)

    def _check_lifetime(self, session: Session, now: float) -> None:
        idle_s = self._options.idle_timeout_s
        if session.ending or session.state not in ANSWERED:
            return
        if session.deadline <= now:
            self._ask_for_more(session, now)
            if session.deadline <= now and session.state in ANSWERED:
                self._time_out(session, "SIP Race Condition" if session.raced else "Lifetime Timeout")
        elif idle_s and session.active_at + idle_s <= now:
            self._time_out(session, "Idle Timeout")

    def _ask_for_more(self, session: Session, now: float) -> None:
        """Have `on_timeout` decide at the end of the lifetime whether a session continues."""
        if session.handling.on_timeout is None:
            return
        try:
            more_s = session.handling.on_timeout(session)
        except BaseException as error:
            if comes_from_outside(error):
                raise
            log.exception("what is asked on a time-out raised an error", extra={"callid": session.callid})
            return
        if more_s is not None and more_s > 0:
            session.deadline = now + more_s

    def _time_out(self, session: Session, reason: str) -> None:
        self.counts["expired"] += 1
        self.terminate(session, reason)

    def terminate(self, session: Session, reason: str) -> None:
        """End a session from this side: both sides are notified first, if it says how."""
        if session.handling.hang_up is None or session.state not in ANSWERED:
            self.step(session, Step.END, reason=reason)
        elif not session.ending:
            session.ending = True
            self._hang_up(session, reason)

    def _plan(self, session: Session) -> None:
        """Have a session looked at when its next timer is due."""
        due = self._next_due(session)
        if due != session.due:
            if session.due:
                self._schedule.remove(session, session.due)
            session.due = due
            if due:
                self._schedule.add(session, due)

    def _next_due(self, session: Session) -> int:
        if session.ending or self._by_id.get(session.db_id) is not session:
            return 0
        times = [session.deadline] if session.deadline else []
        if session.state in ANSWERED:
            times += [round_.next_at for round_ in session.rounds]
            if self._options.idle_timeout_s:
                times.append(session.active_at + self._options.idle_timeout_s)
        return math.ceil(min(times)) if times else 0

    def _forget(self, session: Session) -> None:
        del self._by_id[session.db_id]
        self.in_state[session.state] -= 1
        sessions = self._by_call[session.callid]
        del sessions[session.from_tag]
        if not sessions:
            del self._by_call[session.callid]
        self._plan(session)

    def _is_impossible(self, session: Session, step: Step) -> None:
        self.counts["impossible"] += 1
        repeated = self._limiter.due("impossible")
        if repeated is not None:
            extra = {"callid": session.callid, "state": int(session.state), "step": step.value, "repeated": repeated}
            log.warning("what happens to a session does not go with its state", extra=extra)
