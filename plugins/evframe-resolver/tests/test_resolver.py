"""The one resolver of host names."""

import asyncio
import ipaddress
import socket
import threading
from collections import deque
from contextlib import suppress

import pytest
from evframe_resolver.lookups import MOST_THREADS, Lane
from evframe_resolver.resolver import AGAIN_S, FAILED_S, FRESH_S
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import evframe
from evframe.exceptions import Unavailable
from evframe.subscriptions.resolving import Resolver
from evframe.testing import FakeClock, FakeNames, MemoryTransport, until

TIMEOUT_S = 5.0


class Loop(asyncio.SelectorEventLoop):
    """A loop whose timers are due by a fake clock."""

    def __init__(self, clock):
        self.clock = clock
        super().__init__()

    def time(self):
        return self.clock()


class Bench:
    """A resolver whose lookups begin and end when a test says so."""

    def __init__(self):
        self.clock = FakeClock()
        self.loop = Loop(self.clock)
        self.works = deque()
        self.answers = {}
        self.changes = []
        self.resolver = Resolver(self.changed, clock=self.clock, start=self.works.append)
        self.resolver.lookup = self.look_up
        self.resolver.every_s = 0.0
        self.go()

    def changed(self, host, addresses):
        self.changes.append((host, ips(addresses)))

    def look_up(self, host):
        answer = self.answers.get(host, ())
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, (ip, 0)) for ip in answer]

    def run(self, function, *args):
        """Call *function* on the loop, with a few turns after it."""

        async def call():
            result = function(*args)
            await turns()
            return result

        return self.loop.run_until_complete(call())

    def go(self, seconds=0.0):
        self.clock.advance(seconds)
        self.loop.run_until_complete(turns())

    def ask(self, host, port=80):
        """Begin to wait for the addresses of *host*."""
        return self.run(lambda: self.loop.create_task(self.resolver.addresses(host, port)))

    def end_lookup(self):
        """End the lookup that began first."""
        self.works.popleft()()
        self.go()

    def get(self, host, port=80):
        """Return the addresses of *host*, with every lookup answered at once."""
        task = self.ask(host, port)
        while self.works:
            self.end_lookup()
        return outcome(task)

    def close(self):
        self.run(self.resolver.close)
        tasks = asyncio.all_tasks(self.loop)
        self.run(lambda: [task.cancel() for task in tasks])
        self.loop.close()


async def turns():
    for _ in range(8):
        await asyncio.sleep(0)


def ips(addresses):
    return tuple(address.ip for address in addresses)


def outcome(task):
    """Return the addresses or the reason that a task has ended with; None while it waits."""
    if not task.done():
        return None
    error = task.exception()
    return ips(task.result()) if error is None else error.reason


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.close()


@pytest.mark.parametrize(
    ("host", "sockaddr"),
    [("127.0.0.1", ("127.0.0.1", 80)), ("::1", ("::1", 80, 0, 0)), ("[::1]", ("::1", 80, 0, 0))],
)
def test_numeric_hosts_need_no_lookup(bench, host, sockaddr):
    """A numeric host is known at once, with its port, and no thread is asked."""
    (address,) = bench.resolver.known(host, 80)
    assert address.sockaddr == sockaddr
    assert outcome(bench.ask(host)) == (sockaddr[0],)
    assert not bench.works


def test_answers_are_kept_for_seconds(bench):
    """An answer is shared by those who wait, and is not looked up again while it is fresh."""
    bench.answers["a"] = ["10.0.0.1", "10.0.0.2"]
    tasks = [bench.ask("a", port) for port in (80, 81, 80)]
    assert [outcome(task) for task in tasks] == [None] * 3
    assert len(bench.works) == 1
    bench.end_lookup()
    assert [task.result()[1].sockaddr for task in tasks] == [("10.0.0.2", port) for port in (80, 81, 80)]
    assert bench.resolver.known("a", 80) is tasks[0].result()
    bench.go(FRESH_S - 0.1)
    assert outcome(bench.ask("a")) == ("10.0.0.1", "10.0.0.2")
    assert not bench.works
    bench.go(0.2)
    assert bench.resolver.known("a", 80) is None
    bench.answers["a"] = ["10.0.0.3"]
    assert bench.get("a") == ("10.0.0.3",)


@pytest.mark.parametrize(
    "answer", [(), socket.gaierror(socket.EAI_NONAME, "x"), UnicodeError("x"), ValueError("embedded null byte")]
)
def test_failures_are_kept_for_seconds(bench, answer):
    """A name that does not resolve is `unresolved`, and is not looked up again for a while."""
    bench.answers["a"] = answer
    assert bench.get("a") == "unresolved"
    assert outcome(bench.ask("a")) == "unresolved"
    assert not bench.works
    bench.answers["a"] = ["10.0.0.1"]
    bench.go(FAILED_S)
    assert bench.get("a") == ("10.0.0.1",)


def test_silent_name_is_unresolved_in_time(bench):
    """Who waits for a name without an answer waits for one time limit, and those after not at all."""
    first = bench.ask("a")
    bench.go(TIMEOUT_S - 0.1)
    assert outcome(first) is None
    bench.go(0.2)
    assert outcome(first) == "unresolved"
    bench.go(FAILED_S)
    assert outcome(bench.ask("a")) == "unresolved"
    assert len(bench.works) == 1
    bench.answers["a"] = ["10.0.0.1"]
    bench.end_lookup()
    assert bench.resolver.known("a", 80)[0].ip == "10.0.0.1", "an answer that is late counts"


def test_silent_names_leave_threads_to_others(bench):
    """Any number of silent names leave threads to names that have answered before, and to new ones."""
    bench.answers["good"] = ["10.0.0.1"]
    bench.get("good")
    for number in range(400):
        bench.ask(f"silent{number}")
    assert len(bench.works) == MOST_THREADS[Lane.NEW]
    bench.go(FRESH_S)
    threads = len(bench.works)
    good = bench.ask("good")
    assert len(bench.works) == threads + 1
    bench.works.rotate(1)
    bench.end_lookup()
    assert outcome(good) == ("10.0.0.1",)


def test_names_that_were_slow_are_looked_up_last(bench):
    """A new name comes before those whose last lookup has used up its time, however many they are."""
    for number in range(80):
        bench.ask(f"silent{number}")
    bench.go(TIMEOUT_S + 0.1)
    while bench.works:
        bench.end_lookup()
    bench.go(FAILED_S)
    for number in range(80):
        bench.ask(f"silent{number}")
    assert len(bench.works) == MOST_THREADS[Lane.SLOW]
    bench.answers["new"] = ["10.0.0.1"]
    new = bench.ask("new")
    bench.works.rotate(1)
    bench.end_lookup()
    assert outcome(new) == ("10.0.0.1",)


def test_a_new_name_has_its_turn_among_silent_ones(bench):
    """However many names are silent, the threads are bounded, and a new name has one after some time limits."""
    silent = 180
    for number in range(silent):
        bench.ask(f"silent{number}")
    bench.answers["new"] = ["10.0.0.1"]
    bench.ask("new")
    for _ in range(silent // MOST_THREADS[Lane.NEW] + 1):
        bench.go(TIMEOUT_S)
    assert len(bench.works) == silent + 1 <= 2 * MOST_THREADS[Lane.NEW]
    bench.works.pop()()
    bench.go()
    assert outcome(bench.ask("new")) == ("10.0.0.1",)
    for number in range(1000):
        bench.ask(f"other{number}")
    for _ in range(20):
        bench.go(TIMEOUT_S)
    assert len(bench.works) <= 2 * MOST_THREADS[Lane.NEW]


def test_forget(bench):
    """After a failed connection a name is looked up again, whatever is known about it."""
    bench.answers["a"] = ["10.0.0.1"]
    bench.get("a")
    bench.resolver.forget("a")
    assert bench.resolver.known("a", 80), "failures in plenty bring about one lookup in a second"
    bench.go(AGAIN_S)
    bench.resolver.forget("a")
    assert bench.resolver.known("a", 80) is None
    bench.answers["a"] = ["10.0.0.2"]
    assert bench.get("a") == ("10.0.0.2",)
    bench.resolver.forget("nobody.asked")
    bench.resolver.forget("127.0.0.1")


def test_a_forgotten_name_keeps_its_answer_while_name_servers_are_silent(bench):
    """A peer that was restarted is reached at the address that it had; one whose name is gone is unresolved."""
    bench.answers["a"] = ["10.0.0.1"]
    bench.get("a")
    bench.go(AGAIN_S)
    bench.resolver.forget("a")
    task = bench.ask("a")
    assert outcome(task) is None
    bench.go(TIMEOUT_S)
    assert outcome(task) == ("10.0.0.1",)
    bench.answers["a"] = socket.gaierror(socket.EAI_NONAME, "no such name")
    bench.end_lookup()
    assert outcome(bench.ask("a")) == "unresolved"


def test_problem(bench):
    """Why a name has no address can be asked at any time."""
    assert bench.resolver.problem("a") is None
    bench.resolver.use("a")
    assert bench.resolver.problem("a") is None, "nothing is known yet"
    bench.get("a")
    assert bench.resolver.problem("a") == "unresolved"
    bench.answers["a"] = ["10.0.0.1"]
    bench.go(FAILED_S)
    bench.get("a")
    assert bench.resolver.problem("a") is None
    bench.resolver.restrict("a", [ipaddress.ip_network("192.0.2.0/24")])
    assert bench.resolver.problem("a") == "forbidden"
    assert bench.resolver.problem("127.0.0.1") is None


async def test_a_subscription_to_a_name_that_does_not_resolve():
    """Such a subscription succeeds, and its subscriber is away before the first event."""
    with FakeNames() as names:
        events = evframe.EventInterface(plugins={"memory": OneName()})
        events.resolver.lookup = names
        events.register_event("E_A")
        async with events:
            lease = events.subscribe_event("E_A", "memory:a")
            await until(lambda: events.away(lease) == "unresolved")
            assert events.statistics[0].away == "unresolved"
            names["a.example"] = ["127.0.0.1"]
            events.resolver.forget("a.example")
            await events.resolver.addresses("a.example", 1)
            assert events.away(lease) is None


def use(bench, host):
    bench.run(bench.resolver.use, host)


def start(bench, every_s=30.0):
    bench.resolver.every_s = every_s
    bench.run(bench.resolver.start)


def test_names_in_use_are_looked_up_again(bench):
    """A change of a name in use is noticed by the timer; the order of addresses alone is no change."""
    start(bench)
    bench.answers["a"] = ["10.0.0.1", "10.0.0.2"]
    use(bench, "a")
    bench.end_lookup()
    bench.go(29.9)
    assert not bench.works
    bench.answers["a"] = ["10.0.0.2", "10.0.0.1"]
    bench.go(0.2)
    bench.end_lookup()
    assert bench.changes == []
    assert ips(bench.resolver.known("a", 80)) == ("10.0.0.1", "10.0.0.2")
    bench.answers["a"] = ["10.0.0.3"]
    bench.go(30.1)
    bench.end_lookup()
    assert bench.changes == [("a", ("10.0.0.3",))]
    bench.run(bench.resolver.release, "a")
    bench.go(60.0)
    assert not bench.works


def test_timer_off(bench):
    """With an interval of 0, a name in use is not looked up again by time alone."""
    start(bench, 0.0)
    use(bench, "a")
    bench.end_lookup()
    bench.go(1e6)
    assert not bench.works
    bench.run(bench.resolver.refresh, "a")
    assert len(bench.works) == 1


def test_last_answer_while_the_servers_are_silent(bench):
    """A name in use keeps its last answer while there is no other, and loses it when it does not exist any more."""
    start(bench)
    bench.answers["a"] = ["10.0.0.1"]
    use(bench, "a")
    bench.end_lookup()
    bench.answers["a"] = socket.gaierror(socket.EAI_AGAIN, "x")
    bench.go(30.1)
    bench.end_lookup()
    assert ips(bench.resolver.known("a", 80)) == ("10.0.0.1",)
    assert outcome(bench.ask("a")) == ("10.0.0.1",)
    bench.answers["a"] = socket.gaierror(socket.EAI_NONAME, "x")
    bench.go(30.1)
    bench.end_lookup()
    assert bench.resolver.known("a", 80) is None


def test_restrict(bench):
    """Addresses outside the permitted networks are not returned, whenever the name comes to have them."""
    start(bench)
    bench.answers["a"] = ["10.0.0.1", "192.0.2.1"]
    bench.resolver.restrict("a", [ipaddress.ip_network("10.0.0.0/8")])
    use(bench, "a")
    bench.end_lookup()
    assert outcome(bench.ask("a")) == ("10.0.0.1",)
    bench.answers["a"] = ["192.0.2.1"]
    bench.go(30.1)
    bench.end_lookup()
    assert bench.changes == [("a", ())]
    assert bench.resolver.known("a", 80) is None
    assert outcome(bench.ask("a")) == "forbidden"
    bench.run(bench.resolver.restrict, "a", None)
    assert bench.changes[1:] == [("a", ("192.0.2.1",))]
    assert outcome(bench.ask("a")) == ("192.0.2.1",)


def test_restrictions_see_through_mapped_addresses(bench):
    """An IPv4 address written as IPv6 is in the networks of IPv4."""
    bench.look_up = None
    bench.resolver.lookup = lambda host: [(socket.AF_INET6, ("::ffff:192.0.2.1", 0, 0, 0))]
    bench.resolver.restrict("a", [ipaddress.ip_network("192.0.2.0/24")])
    assert bench.get("a") == ("::ffff:192.0.2.1",)
    bench.resolver.restrict("a", [ipaddress.ip_network("::/0")])
    assert outcome(bench.ask("a")) == "forbidden"


def test_close_ends_every_wait(bench):
    """Who waits when the resolver is closed gets an answer, and lookups that end later change nothing."""
    start(bench)
    waits = bench.ask("a")
    bench.run(bench.resolver.close)
    assert outcome(waits) == "unresolved"
    assert outcome(bench.ask("b")) == "unresolved"
    bench.answers["a"] = ["10.0.0.1"]
    bench.end_lookup()
    assert bench.resolver.known("a", 80) is None
    start(bench)
    assert bench.get("a") == ("10.0.0.1",)


def test_no_thread(bench):
    """A system that has no thread left makes a name unresolved, and the next lookup is made."""

    def refuses(work):
        raise RuntimeError("can't start new thread")

    resolver = Resolver(clock=bench.clock, start=refuses)
    task = bench.run(lambda: bench.loop.create_task(resolver.addresses("a", 80)))
    assert outcome(task) == "unresolved"


def test_names_that_nothing_uses_are_forgotten(bench, monkeypatch):
    """The memory of names is bounded; those in use stay."""
    monkeypatch.setattr("evframe_resolver.resolver._MOST_NAMES", 10)
    bench.resolver._prune_at = 10
    bench.answers["used"] = ["10.0.0.1"]
    bench.resolver.use("used")
    bench.get("used")
    for number in range(100):
        bench.get(f"name{number}")
    assert len(bench.resolver._names) <= 1 + 10
    assert bench.resolver.known("used", 80)


async def test_threads_do_not_hold_up_the_loop():
    """On real threads, three silent names hold up neither the loop, nor other names, nor the loop's own threads."""
    with FakeNames({"good.example": ["127.0.0.1"], **{f"silent{n}.example": None for n in range(100)}}) as names:
        resolver = Resolver()
        resolver.lookup, resolver.timeout_s = names, 0.2
        waits = [asyncio.ensure_future(resolver.addresses(f"silent{n}.example", 1)) for n in range(100)]
        assert ips(await resolver.addresses("127.0.0.1", 1)) == ("127.0.0.1",)
        assert await asyncio.get_running_loop().run_in_executor(None, threading.get_ident)
        reasons = [error.reason for error in await asyncio.gather(*waits, return_exceptions=True)]
        assert reasons == ["unresolved"] * 100
        for number in range(100):
            names[f"silent{number}.example"] = []
        async with asyncio.timeout(30):
            assert ips(await resolver.addresses("good.example", 1)) == ("127.0.0.1",)
        assert (
            sum(thread.name == "evframe-resolve" for thread in threading.enumerate()) <= 2 * MOST_THREADS[Lane.ANSWERED]
        )
        resolver.close()


class Follows:
    """A plugin for the tests: keeps the changes of names."""

    def __init__(self):
        self.changes = []

    @evframe.hookimpl
    def loaded(self, context):
        self.context = context

    @evframe.hookimpl
    def addresses_changed(self, host, addresses):
        self.changes.append((host, ips(addresses)))


class NamedTransport(MemoryTransport):
    """A transport for the tests whose sockets have an endpoint."""

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        parsed = super().on_subscribe(scheme, rest)
        return parsed and Named(parsed.canonical, ((f"{rest}.example", 80), ("127.0.0.1", 81)))


class OneName(NamedTransport):
    """A transport for the tests whose sockets have one endpoint."""

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Named(f"memory:{rest}", ((f"{rest}.example", 80),)) if scheme == "memory" else None


class Named:
    """A socket for the tests."""

    expires = True

    def __init__(self, canonical, endpoints):
        self.canonical = canonical
        self.endpoints = endpoints


async def test_hook():
    """Every plugin is notified of a change of a name that a subscriber uses, while the subscription lasts."""
    follows = Follows()
    plugins = {"memory": NamedTransport(), "follows": follows}
    with FakeNames({"a.example": ["127.0.0.1"], "b.example": ["127.0.0.1"]}) as names:
        events = evframe.EventInterface(
            evframe.Config(evframe.config.CoreOptions(resolve_every_s=0.01)), plugins=plugins
        )
        events.resolver.lookup = names
        events.register_event("E_A")
        events.subscribe_event("E_A", "memory:a")
        async with events:
            assert follows.context.resolver is events.resolver
            await until(lambda: events.resolver.known("a.example", 80))
            member = follows.context.roster.open_member(follows.context.transports.parse("memory:b"))
            await until(lambda: events.resolver.known("b.example", 80))
            names["a.example"], names["b.example"] = ["127.0.0.2"], ["127.0.0.3"]
            await until(lambda: len(follows.changes) == 2)
            assert sorted(follows.changes) == [("a.example", ("127.0.0.2",)), ("b.example", ("127.0.0.3",))]
            assert sorted(events.resolver.in_use) == ["a.example", "b.example"]
            events.unsubscribe_event("E_A", "memory:a")
            follows.context.roster.close_member(member)
            assert events.resolver.in_use == []
            events.subscribe_event("E_A", "memory:a")
        assert events.resolver.in_use == ["a.example"], "a lease outlives the interface's being left"


HOSTS = ("a", "b", "c")
ANSWERS = (("10.0.0.1",), ("10.0.0.2",), ("10.0.0.2", "10.0.0.1"), ("192.0.2.1",), (), "again")
PRIVATE = (ipaddress.ip_network("10.0.0.0/8"),)


class ResolverMachine(RuleBasedStateMachine):
    """Random schedules of lookups, hangs, answers, changes, restrictions, uses, ends and new beginnings."""

    def __init__(self):
        super().__init__()
        self.bench = Bench()
        self.bench.resolver.every_s = 30.0
        self.bench.run(self.bench.resolver.start)
        self.waits = []  # with the time at which each began
        self.users = dict.fromkeys(HOSTS, 0)
        self.restricted = set()
        self.true = {}  # what an answer has been, ever
        self.answered = {}

    @rule(host=st.sampled_from(HOSTS), answer=st.sampled_from(ANSWERS))
    def change(self, host, answer):
        self.bench.answers[host] = socket.gaierror(socket.EAI_AGAIN, "x") if answer == "again" else answer
        if isinstance(answer, tuple):
            self.true.setdefault(host, set()).update(answer)

    @rule(host=st.sampled_from(HOSTS))
    def ask(self, host):
        self.waits.append((host, self.bench.clock(), self.bench.ask(host)))

    @precondition(lambda self: self.bench.works)
    @rule(turn=st.integers(0, 3))
    def end_lookup(self, turn):
        self.bench.works.rotate(turn)
        self.bench.end_lookup()
        self.answered = dict.fromkeys(HOSTS, self.bench.clock())

    @rule(seconds=st.sampled_from([0.5, 2.0, 5.0, 30.0]))
    def wait(self, seconds):
        self.bench.go(seconds)

    @rule(host=st.sampled_from(HOSTS))
    def forget(self, host):
        self.bench.run(self.bench.resolver.forget, host)
        known = self.bench.resolver.known(host, 80)
        assert known is None or self.bench.clock() < self.answered.get(host, 0.0) + AGAIN_S

    @rule(host=st.sampled_from(HOSTS), way=st.booleans())
    def use(self, host, way):
        if way:
            self.bench.run(self.bench.resolver.use, host)
            self.users[host] += 1
        elif self.users[host]:
            self.bench.run(self.bench.resolver.release, host)
            self.users[host] -= 1
            if not self.users[host]:
                self.restricted.discard(host)

    @rule(host=st.sampled_from(HOSTS), way=st.booleans())
    def restrict(self, host, way):
        self.bench.run(self.bench.resolver.restrict, host, PRIVATE if way else None)
        (self.restricted.add if way else self.restricted.discard)(host)

    @rule()
    def close_and_start(self):
        self.bench.run(self.bench.resolver.close)
        assert all(task.done() for _, _, task in self.waits)
        self.bench.works.clear()
        self.bench.run(self.bench.resolver.start)

    @invariant()
    def waits_are_bounded(self):
        now = self.bench.clock()
        for host, since, task in self.waits:
            assert task.done() or now < since + TIMEOUT_S
            assert outcome(task) in {None, "unresolved", "forbidden"} or set(outcome(task)) <= self.true[host]
        self.waits = [wait for wait in self.waits if not wait[2].done()]

    @invariant()
    def lookups_are_shared(self):
        assert len(self.bench.works) <= len(HOSTS)

    @invariant()
    def what_is_forbidden_is_never_known(self):
        for host in self.restricted:
            assert "192.0.2.1" not in ips(self.bench.resolver.known(host, 80) or ())

    @invariant()
    def names_in_use_are_those(self):
        assert set(self.bench.resolver.in_use) == {host for host, users in self.users.items() if users}

    def teardown(self):
        # Once the servers answer again, every name is resolved within a negative answer's time and one lookup.
        for host in HOSTS:
            self.bench.answers[host] = ("10.0.0.9",)
            self.bench.run(self.bench.resolver.restrict, host, None)
        while self.bench.works:
            self.bench.end_lookup()
        self.bench.go(max(FRESH_S, FAILED_S))
        for host in HOSTS:
            with suppress(Unavailable):
                assert self.bench.get(host) == ("10.0.0.9",)
        self.bench.close()


TestResolverMachine = ResolverMachine.TestCase
TestResolverMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
