"""Sessions against a literal model: every state and event, every timer, and what is still there afterwards."""

import math

from evframe_dialog import Options, Ping, State
from evframe_dialog.session import Handling
from evframe_dialog.sessions import Sessions
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from evframe.testing import FakeClock

LIFETIME_S = 100
SETUP_S = 40
INTERVAL_S = 15
RACE_S = 5


async def send(session, side):
    return 200


class Model:
    """What the reference says of one session, in plain attributes."""

    def __init__(self, now, race, pinged):
        self.state = 1
        self.bye = self.given_up = self.over = False
        self.race, self.pinged = race, pinged
        self.answered = self.ends = self.ping_at = self.forgotten = None
        self.setup_ends = now + SETUP_S
        self.dead = False
        self.ended = None
        self.to_tag = None


class SessionMachine(RuleBasedStateMachine):
    """One Call-ID, one session after the other, all that can happen to it, and time."""

    def __init__(self):
        super().__init__()
        self.clock = FakeClock(1000.0)
        self.told, self.expected = [], []
        self.pings = 0
        self.session = self.model = None

    @initialize(delete_delay=st.sampled_from([0, 20]), late=st.sampled_from([0, 6]), idle=st.sampled_from([0, 50]))
    def begin(self, delete_delay, late, idle):
        self.late, self.delete_delay, self.idle = late, delete_delay, idle
        options = Options(
            setup_timeout_s=SETUP_S,
            options_ping_interval_s=INTERVAL_S,
            race_condition_timeout_s=RACE_S,
            delete_delay_s=delete_delay,
            late_answer_s=late,
            idle_timeout_s=idle,
        )
        self.sessions = Sessions(options, 7, self.clock, self.changed, self.ping, self.hang_up)

    def changed(self, session, old, new):
        assert session.state is new  # the change is reported after it
        self.told.append((int(old), int(new), session.to_tag))

    def ping(self, session, round_):
        self.round = round_
        round_.under_way = False  # answered at once
        self.pings += 1

    def hang_up(self, session, reason):
        raise AssertionError("no session here notifies its sides")

    # The model.

    @property
    def now(self):
        return self.clock()

    def to(self, state):
        model = self.model
        if state != model.state:
            self.expected.append((model.state, state, model.to_tag))
            model.state = state

    def model_end(self):
        self.model.ended = self.now
        self.to(5)
        self.set_forgotten()

    def set_forgotten(self):
        model = self.model
        kept = self.delete_delay
        if not model.bye and not model.over and self.now < model.ended + self.late:
            kept = max(kept, self.late)
        model.forgotten = model.ended + kept
        if model.forgotten <= self.now:
            self.model = None

    @precondition(lambda self: self.model is None)
    @rule(race=st.booleans(), pinged=st.booleans(), answered=st.booleans())
    def create(self, race, pinged, answered):
        pings = (Ping("caller", send),) if pinged else ()
        self.session = self.sessions.create("c", "f", Handling(LIFETIME_S, None, None, race, pings))
        self.model = Model(self.now, race, pinged)
        if answered:
            self.answer(200, None)

    @precondition(lambda self: self.model is not None)
    @rule(tag=st.sampled_from([None, "t1", "t2"]))
    def provisional(self, tag):
        self.session.provisional(tag)
        if self.model.state in {1, 2}:
            self.record_activity(tag)
            self.to(2)

    @precondition(lambda self: self.model is not None)
    @rule(code=st.sampled_from([200, 299]), tag=st.sampled_from([None, "t1", "t2"]))
    def answer(self, code, tag):
        self.session.final(code, tag)
        model = self.model
        revives = model.state == 5 and not model.bye and not model.over and self.now < model.ended + self.late
        if model.state in {3, 4} or model.state in {1, 2} or revives:
            self.record_activity(tag)
        if model.state in {1, 2} or revives:
            model.answered = self.now
            model.ends = self.now + (RACE_S if model.race and (model.given_up or model.bye) else LIFETIME_S)
            model.ping_at = self.now + INTERVAL_S
            model.dead = False
            self.to(3)

    @precondition(lambda self: self.model is not None)
    @rule(
        how=st.sampled_from(["reject", "destroy", "end", "bye", "bye"]),
        side=st.sampled_from(["caller", "callee"]),
        tag=st.sampled_from([None, "t1", "t2"]),
    )
    def over(self, how, side, tag):
        """Have the session end, or not: one rule, so that sessions live long enough to see more."""
        if how == "bye":
            self.over_bye(side, tag)
        else:
            getattr(self, f"over_{how}")()

    def over_reject(self, code=486):
        self.session.final(code)
        if self.model.state in {1, 2}:
            self.model_end()

    @precondition(lambda self: self.model is not None)
    @rule()
    def ack(self):
        self.session.ack()
        if self.model.state in {3, 4}:
            self.record_activity(None)
            self.to(4)

    def over_bye(self, side, tag):
        self.session.bye(side, tag)
        model = self.model
        if side == "caller" and tag is not None and model.answered is not None and tag != model.to_tag:
            return
        model.bye = True
        self.record_activity(None)
        if model.state in {3, 4}:
            self.model_end()
        elif model.state == 5:
            self.set_forgotten()

    def over_destroy(self):
        self.session.transaction_destroyed()
        self.model.over = True
        self.record_activity(None)
        if self.model.state in {1, 2}:
            self.model_end()
        elif self.model.state == 5:
            self.set_forgotten()

    def over_end(self):
        self.session.ended("enough")
        self.record_activity(None)
        self.model_ends_from_outside()

    def model_ends_from_outside(self):
        if self.model.state in {3, 4}:
            self.model.bye = True
        else:
            self.model.given_up = True
        if self.model.state == 5:
            self.set_forgotten()
        else:
            self.model_end()

    def record_activity(self, tag):
        self.model.active_at = self.now
        if tag is not None and self.model.answered is None:
            self.model.to_tag = tag

    @precondition(lambda self: self.model is not None and self.model.pinged and self.pings > 0)
    @rule(dead=st.sampled_from([True, True, False]))
    def ping_answer(self, dead):
        self.round.dead = dead
        if self.session.rounds and self.session.rounds[0] is self.round:
            self.model.dead = dead

    @precondition(lambda self: self.model is not None and self.model.state in {3, 4})
    @rule(lifetime=st.sampled_from([10, 200]))
    def extend(self, lifetime):
        self.session.extend(lifetime)
        self.model.ends = self.now + lifetime

    @rule(seconds=st.sampled_from([1, 5, 15, 30, 60]))
    def time_goes_on(self, seconds):
        for _ in range(seconds):
            self.clock.advance(1)
            while self.sessions.process_due(1):
                pass
            if self.model is not None:
                self.model_timers()

    def model_timers(self):
        model = self.model
        if model.state == 5:
            if model.forgotten <= self.now:
                self.model = None
        elif model.state in {1, 2}:
            if model.setup_ends <= self.now:
                self.model_ends_from_outside()
        elif model.pinged and model.ping_at <= self.now and model.dead:
            self.model_ends_from_outside()
        else:
            if model.pinged and model.ping_at <= self.now:
                model.ping_at = self.now + INTERVAL_S
            if model.ends <= self.now or (self.idle and model.active_at + self.idle <= self.now):
                self.model_ends_from_outside()

    @invariant()
    def same_events(self):
        assert self.told == self.expected

    @invariant()
    def same_session(self):
        if self.model is None:
            assert len(getattr(self, "sessions", ())) == 0
            return
        assert self.sessions.find("c", "f") is self.session
        assert (int(self.session.state), self.session.to_tag) == (self.model.state, self.model.to_tag)
        assert list(self.sessions) == [self.session]
        assert self.sessions.in_state[State(self.model.state)] == 1
        assert sum(self.sessions.in_state.values()) == 1

    @invariant()
    def one_timer(self):
        schedule = self.sessions._schedule if hasattr(self, "sessions") else ()
        assert len(schedule) == (self.model is not None)
        assert self.model is None or math.isfinite(schedule.next_due)


TestSessionMachine = SessionMachine.TestCase
TestSessionMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
