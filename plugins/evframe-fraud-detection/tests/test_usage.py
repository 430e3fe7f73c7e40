"""Counters: a machine that compares them with the reference's, and how many there are."""

import time

from evframe_fraud_detection import Rule, Verdict
from evframe_fraud_detection.usage import Counter, Usage, judge_duration
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

MEASURES = ("calls-per-minute", "total-calls", "concurrent-calls", "sequential-calls")
COLUMNS = ("cpm", "total_calls", "concurrent_calls", "sequential_calls")


class Literal:
    """The reference's counters: sixty slots, a window start, and an interval number."""

    def __init__(self):
        self.rule = None
        self.start = None
        self.interval = 0
        self.slots = [0] * 60
        self.cpm = self.total = self.concurrent = self.sequential = 0
        self.last = None

    def count(self, rule, number, now):
        fresh = (
            self.start is None
            or rule.ruleid != self.rule
            or time.gmtime(self.start)[:3] != time.gmtime(now)[:3]  # the day of the stored window's start
        )
        if fresh:
            self.rule = rule.ruleid
            self.interval += 1
            self.total = self.concurrent = self.sequential = 0
        if fresh or now - self.start >= 120:
            self.slots = [0] * 60
            self.cpm = 0
            self.start = now
        elif now - self.start >= 60:
            for second in range(self.start, now - 59):
                self.cpm -= self.slots[second % 60]
                self.slots[second % 60] = 0
            self.start = now - 59
        self.sequential = self.sequential + 1 if number == self.last else 1
        self.last = number
        self.total += 1
        self.concurrent += 1
        self.cpm += 1
        self.slots[now % 60] += 1
        values = dict(zip(MEASURES, (self.cpm, self.total, self.concurrent, self.sequential), strict=True))
        for kind, verdict in (("critical", Verdict.CRITICAL), ("warning", Verdict.WARNING)):
            for measure, column in zip(MEASURES, COLUMNS, strict=True):
                limit = getattr(rule, f"{column}_{kind}")
                if limit and values[measure] >= limit:
                    return verdict, measure, values[measure], limit
        return None


LIMITS = st.fixed_dictionaries(
    {f"{column}_{kind}": st.integers(0, 12) for column in COLUMNS for kind in ("warning", "critical")}
)


class AgainstTheReference(RuleBasedStateMachine):
    @initialize(limits=LIMITS, others=LIMITS, start=st.integers(0, 200_000))
    def begin(self, limits, others, start):
        self.rules = [Rule(1, 1, **limits), Rule(2, 1, **others)]
        self.now = start
        self.ours, self.theirs = Counter(), Literal()
        self.calls = []

    @rule(which=st.sampled_from([0, 0, 0, 1]), number=st.sampled_from(["441", "442"]), times=st.integers(1, 5))
    def call(self, which, number, times):
        for _ in range(times):
            today = time.gmtime(self.now)
            day = (today.tm_year, today.tm_yday)
            finding = self.ours.count(self.rules[which], number, day, self.now)
            found = None if finding is None else (finding.verdict, finding.param, finding.value, finding.threshold)
            assert found == self.theirs.count(self.rules[which], number, self.now)
            assert self.ours.per_minute(self.now) == self.theirs.cpm
            self.calls.append((self.ours.interval, self.theirs.interval))

    @rule(data=st.data())
    def end(self, data):
        if self.calls:
            ours, theirs = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
            self.ours.end(ours)
            if theirs == self.theirs.interval:
                self.theirs.concurrent -= 1

    @rule(seconds=st.one_of(st.integers(0, 70), st.integers(50, 130), st.integers(0, 90_000)))
    def wait(self, seconds):
        self.now += seconds

    @invariant()
    def same(self):
        if hasattr(self, "ours"):
            ours, theirs = self.ours, self.theirs
            assert (ours.total, ours.concurrent, ours.sequential) == (
                theirs.total,
                theirs.concurrent,
                theirs.sequential,
            )
            assert ours.concurrent >= 0


TestAgainstTheReference = AgainstTheReference.TestCase
TestAgainstTheReference.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_order_of_the_limits():
    """Critical limits come before warnings, and within each the order of the measures counts."""
    both = Rule(1, 1, cpm_warning=1, total_calls_critical=1, concurrent_calls_critical=1)
    finding = Counter().count(both, "44", (2026, 1), 0)
    assert (finding.verdict, finding.param, finding.value, finding.threshold) == (Verdict.CRITICAL, "total-calls", 1, 1)


def test_durations():
    """A duration reaches a limit by being as long."""
    rule = Rule(1, 1, call_duration_warning=60, call_duration_critical=120)
    found = [judge_duration(rule, seconds) for seconds in (59, 60, 119, 120)]
    assert [finding and (finding.verdict, finding.threshold) for finding in found] == [
        None,
        (Verdict.WARNING, 60),
        (Verdict.WARNING, 60),
        (Verdict.CRITICAL, 120),
    ]
    assert judge_duration(Rule(1, 1), 10**9) is None


def used(usage, user, day):
    usage.counter(user, "44", day).count(Rule(1, 1), "441", day, 0)


def test_counters_are_bounded():
    """The counter that was not used for longest makes room, and one of today is counted."""
    usage = Usage(3)
    for user in "abc":
        used(usage, user, (2026, 1))
    used(usage, "a", (2026, 1))
    used(usage, "d", (2026, 1))
    assert [len(list(usage.of(user))) for user in "abcd"] == [1, 0, 1, 1]
    assert (len(usage), usage.evicted) == (3, 1)
    used(usage, "e", (2026, 2))
    assert (len(usage), usage.evicted) == (3, 1)


def test_counters_of_another_day_are_forgotten():
    """What would begin anew is removed, a slice at a time."""
    usage = Usage(10)
    for user in "abcd":
        used(usage, user, (2026, 1))
    used(usage, "a", (2026, 2))
    assert [usage.forget((2026, 2), 2) for _ in range(3)] == [2, 1, 0]
    assert len(usage) == 1
    assert list(usage.of("a"))


def test_a_call_that_outlives_its_counter():
    """The end of a call whose counter is gone changes nothing of the new one."""
    usage = Usage(10)
    used(usage, "a", (2026, 1))
    old = usage.counter("a", "44", (2026, 1))
    usage.forget((2026, 2), 10)
    used(usage, "a", (2026, 2))
    old.end(old.interval)
    assert usage.counter("a", "44", (2026, 2)).concurrent == 1
