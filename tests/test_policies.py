"""Policies: merged of the configuration and requests, given to the queues and leases that follow them."""

import asyncio

import pytest

import evframe
from evframe.config import CoreOptions, parse_config
from evframe.config.policy import KEYS, PolicyOptions, matching
from evframe.events.event import Event
from evframe.plugin import NO_POLICY, STORED, MemoryQueue, Policy, UntilStored
from evframe.plugins.compose import compose
from evframe.subscriptions.channel import Subscription
from evframe.testing import MemoryTransport, until


class Follower:
    """Follows every key: records what it is asked, and wraps the queue of a subscriber in one of a kind of its own."""

    policy_keys = frozenset(KEYS)

    def __init__(self):
        self.queues = {}
        self.checked = []
        self.leases = []
        self.dead = []

    @evframe.hookimpl
    def check_policy(self, policy, event):
        self.checked.append((policy, event and event.name))
        if policy.where == "broken":
            raise ValueError("where: expected an expression, got 'broken'")

    @evframe.hookimpl
    def limit_queue(self, queue, subscriber, policy, wake):
        if isinstance(queue, Own):
            return None
        own = self.queues[subscriber.socket.canonical] = Own(queue, policy)
        return own

    @evframe.hookimpl
    def lease_changed(self, lease, change):
        self.leases.append((lease.event.name, lease.policy, change))

    @evframe.hookimpl
    def events_failed(self, subscriber, events, reasons, error):
        self.dead += [(event["n"], reason) for event, reason in zip(events, reasons, strict=True)]


class Own(MemoryQueue):
    is_own = True

    def __init__(self, queue, policy):
        super().__init__(queue.room)
        self.policy = policy
        self.extend(queue)

    def configure(self, room, policy):
        super().configure(room, policy)
        self.policy = policy


@pytest.fixture
def follower():
    return Follower()


def made(text: str, follower: Follower) -> evframe.EventInterface:
    config = parse_config(text)
    return evframe.EventInterface(config, plugins={"memory": MemoryTransport(), "follower": follower})


BASE = """
[[policies]]
socket = "memory:a*"
rate = 5.0
max_age_s = 60.0
where = "n = 1"
[[policies]]
socket = "memory:*"
rate = 1.0
[[events]]
name = "E_A"
[[events]]
name = "E_B"
"""


def test_first_pattern_that_matches(follower):
    """The first of the policies whose pattern matches the canonical socket holds, and no other."""
    events = made(BASE, follower)
    first = events.subscribe_event("E_A", "memory:a1")
    second = events.subscribe_event("E_A", "memory:b")
    assert (first.subscriber.policy, first.policy) == (Policy(rate=5.0, max_age_s=60.0), Policy(where="n = 1"))
    assert (second.subscriber.policy, second.policy) == (Policy(rate=1.0), NO_POLICY)
    assert follower.queues["memory:a1"].policy == Policy(rate=5.0, max_age_s=60.0)


def test_addresses_in_brackets():
    """The canonical socket of an IPv6 address is a pattern of itself, and not of what has one of its characters."""
    options = [PolicyOptions(socket="tcp:[2001:db8::1]:9000", rate=5.0), PolicyOptions(socket="*", rate=1.0)]
    assert matching(options, "tcp:[2001:db8::1]:9000").rate == 5.0
    assert matching(options, "tcp:2:9000").rate == 1.0


def test_subscriptions_over_patterns_over_requests(follower):
    """A configured subscription has its own keys, then those of the pattern; a request sets only what neither does."""
    text = BASE + '[[subscriptions]]\nevent = "E_A"\nsocket = "memory:a1"\nrate = 7.0\n'
    events = made(text, follower)
    lease = events.subscribe_event("E_A", "memory:a1", policy=Policy(rate=1.0, dedup_s=2.0, where="n = 2", only=["n"]))
    assert lease.subscriber.policy == Policy(rate=7.0, max_age_s=60.0, dedup_s=2.0)
    assert lease.policy == Policy(where="n = 1", only=["n"])


def test_a_request_sets_no_burst_of_a_configured_rate(follower):
    """A burst belongs to the rate that it comes with, and does not lift one that is configured."""
    events = made(BASE, follower)
    lease = events.subscribe_event("E_A", "memory:a1", policy=Policy(rate=1.0, burst=2**62))
    assert (lease.subscriber.policy.rate, lease.subscriber.policy.burst) == (5.0, None)


def test_the_latest_request_counts(follower):
    """Leases share a subscriber: each key has the value of the latest request that sets it, and ends with its lease."""
    events = made('[[events]]\nname = "E_A"\n[[events]]\nname = "E_B"\n', follower)
    first = events.subscribe_event("E_A", "memory:a", policy=Policy(rate=1.0, burst=3, sample=0.5))
    second = events.subscribe_event("E_B", "memory:a", policy=Policy(rate=2.0))
    subscriber = first.subscriber
    assert subscriber is second.subscriber
    assert (subscriber.policy, first.policy, second.policy) == (
        Policy(rate=2.0), Policy(sample=0.5), NO_POLICY,
    )  # fmt: skip
    events.subscribe_event("E_A", "memory:a", policy=Policy(rate=4.0))
    assert (subscriber.policy, first.policy) == (Policy(rate=4.0), NO_POLICY)
    events.unsubscribe_event("E_A", "memory:a")
    assert subscriber.policy == Policy(rate=2.0)
    events.subscribe_event("E_B", "memory:a")
    assert subscriber.policy == NO_POLICY
    assert follower.queues["memory:a"].policy == NO_POLICY


def test_what_waits_stays_with_the_first_policy(follower):
    """A subscriber that gets its first policy with events waiting has them in the queue that follows it."""
    events = made('[[events]]\nname = "E_A"\n', follower)
    lease = events.subscribe_event("E_A", "memory:a")
    for n in range(3):
        events.raise_event("E_A", {"n": n})
    events.subscribe_event("E_A", "memory:a", policy=Policy(rate=1.0))
    assert lease.subscriber.queue is follower.queues["memory:a"]
    assert (lease.subscriber.raised, lease.subscriber.depth) == (3, 3)


def test_an_invalid_request_changes_nothing(follower):
    """A policy that a plugin refuses, or that none follows, is one error that names the key, and no lease is made."""
    events = made('[[events]]\nname = "E_A"\n', follower)
    with pytest.raises(ValueError, match=r"where: expected an expression, got 'broken'"):
        events.subscribe_event("E_A", "memory:a", policy=Policy(where="broken"))
    bare = evframe.EventInterface(plugins={"memory": MemoryTransport()})
    bare.register_event("E_A")
    with pytest.raises(ValueError, match="keep: expected a loaded plugin that follows it, pip install evframe-journal"):
        bare.subscribe_event("E_A", "memory:a", policy=Policy(keep="disk"))
    follower.policy_keys = follower.policy_keys - {"dead_letter"}
    with pytest.raises(
        ValueError, match="when_full: expected a loaded plugin that follows 'dead_letter', pip install evframe-journal"
    ):
        events.subscribe_event("E_A", "memory:a", policy=Policy(when_full="dead_letter"))
    assert events.subscriptions == bare.subscriptions == []


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('[[policies]]\nsocket = "memory:*"\nwhere = "broken"\n', r"policies\[0\]\.where: expected an expression"),
        ("[[policies]]\nrate = 1\n", r"policies\[0\]\.socket: expected a value, got nothing"),
        ('[[policies]]\nsocket = "*"\nrate = 0\n', r"policies\[0\]\.rate: expected more than 0, got 0"),
        ('[[policies]]\nsocket = "*"\nsample = 1.5\n', r"policies\[0\]\.sample: expected more than 0 and at most 1"),
        ('[[policies]]\nsocket = "*"\nkeep = "ram"\n', r"policies\[0\]\.keep: expected one of memory, disk"),
        ('[[subscriptions]]\nevent = "E"\nsocket = "memory:a"\nwhere = "broken"\n', r"subscriptions\[0\]\.where"),
        (
            "".join(f'[[subscriptions]]\nevent = "E{n}"\nsocket = "memory:a"\nrate = {n}\n' for n in (3, 4)),
            r"subscriptions\[1\]\.rate: expected 3.0, as subscriptions\[0\] has for the same socket, got 4.0",
        ),
    ],
)  # fmt: skip
def test_problems_of_tables(follower, table, problem):
    """An invalid key of a table is one problem with its path."""
    with pytest.raises(evframe.ConfigError, match=problem):
        made(table, follower)


async def test_reload_applies_policies(follower):
    """A reload gives existing leases and subscribers their other policies, and reports the leases as refreshed."""
    events = evframe.EventInterface(parse_config(BASE), plugins={"memory": MemoryTransport(), "follower": follower})
    lease = events.subscribe_event("E_A", "memory:a1")
    follower.leases.clear()
    events._leases.configure([], {})
    assert (lease.policy, lease.subscriber.policy) == (NO_POLICY, NO_POLICY)
    assert follower.leases == [("E_A", NO_POLICY, "refreshed")]


async def test_selective_leases(follower):
    """A lease with a selective policy gets what `select` returns, and the other subscribers the whole event."""
    memory = MemoryTransport()

    class Selecting(Follower):
        @evframe.hookimpl
        def lease_changed(self, lease: Subscription, change):
            def select(event: Event):
                if event["n"] % 2:
                    yield lease.event.snapshot({"n": event["n"]}, event.raised_at, event.depth), (lease.subscriber,)

            lease.event.select_by(select if lease.policy.is_selective and change != "ended" else None)

    async with evframe.EventInterface(plugins={"memory": memory, "follower": Selecting()}) as events:
        events.register_event("E_A")
        events.subscribe_event("E_A", "memory:all")
        events.subscribe_event("E_A", "memory:odd", policy=Policy(only=["n"]))
        for n in range(4):
            events.raise_event("E_A", {"n": n, "secret": 1})
        outcomes = await events.raise_event_and_wait("E_A", {"n": 4})
        assert [outcome.socket for outcome in outcomes] == ["memory:all"]
        assert len(await events.raise_event_and_wait("E_A", {"n": 5})) == 2
        events.unsubscribe_event("E_A", "memory:odd")
        await events.raise_event_and_wait("E_A", {"n": 7})
        assert events.event("E_A").raised == 7
    assert [event["n"] for event in memory.delivered["all"]] == [0, 1, 2, 3, 4, 5, 7]
    assert [dict(event.params) for event in memory.delivered["odd"]] == [{"n": 1}, {"n": 3}, {"n": 5}]


async def test_dead_letters_are_reported_once(follower, caplog):
    """Each event that fails for good is reported once, whatever the reason, where the policy wants dead letters."""
    config = parse_config('[core]\nqueue_size = 2\noverflow = "drop_oldest"\n[[events]]\nname = "E_A"\n')
    memory = MemoryTransport()
    async with evframe.EventInterface(config, plugins={"memory": memory, "follower": Reporting(follower)}) as events:
        events.subscribe_event("E_A", "memory:a", policy=Policy(dead_letter=True))
        events.subscribe_event("E_A", "memory:other")
        memory.when("a", lambda batch: batch.fail(0, "too_large") or True)
        for n in range(4):
            events.raise_event("E_A", {"n": n})
        await events.raise_event_and_wait("E_A", {"n": 4})
    assert follower.dead == [(0, "queue_full"), (1, "queue_full"), (2, "queue_full"), (3, "too_large")]
    said = {(record.socket, record.message) for record in caplog.records if "events to a" in record.message}
    assert said == {
        ("memory:a", "events to a subscriber are dead letters"),
        ("memory:other", "events to a subscriber are lost"),
    }


async def test_events_nested_too_deep_are_dead_letters(follower):
    """An event that is raised too deep inside others is reported, as one that has failed for good, and counted once."""
    config = parse_config('[core]\nmax_nesting = 3\n[[events]]\nname = "E_A"\n')
    memory = MemoryTransport()
    async with evframe.EventInterface(config, plugins={"memory": memory, "follower": Reporting(follower)}) as events:
        lease = events.subscribe_event("E_A", "memory:a", policy=Policy(dead_letter=True))
        events.subscribe_event("E_A", "memory:other")
        token = evframe.depth.set(3)
        events.raise_event("E_A", {"n": 1})
        outcomes = await events.raise_event_and_wait("E_A", {"n": 2})
        evframe.depth.reset(token)
        await events.raise_event_and_wait("E_A", {"n": 3})
        assert [outcome.reason for outcome in outcomes] == ["nesting", "nesting"]
        assert (lease.subscriber.raised, lease.subscriber.reasons) == (3, {"nesting": 2})
        assert lease.subscriber.awaited == 0
    assert follower.dead == [(1, "nesting"), (2, "nesting")]


async def test_events_without_room_are_dead_letters(follower):
    """With `when_full = "dead_letter"`, an event that finds no room is reported, and others that fail are not."""
    memory = MemoryTransport()
    config = parse_config('[core]\nqueue_size = 2\n[[events]]\nname = "E_A"\n')
    async with evframe.EventInterface(config, plugins={"memory": memory, "follower": Reporting(follower)}) as events:
        events.subscribe_event("E_A", "memory:a", policy=Policy(when_full="dead_letter"))
        memory.when("a", lambda batch: batch.fail(0, "too_large") or True)
        for n in range(4):
            events.raise_event("E_A", {"n": n})
        await until(lambda: not events.statistics[0].depth)
        reasons = dict(events.statistics[0].reasons)
    assert follower.dead == [(n, "queue_full") for n in range(4 - reasons["queue_full"], 4)]
    assert reasons["too_large"] >= 1


class Reporting:
    """Keeps what has failed, and leaves the queues as they are."""

    policy_keys = frozenset(KEYS)

    def __init__(self, follower):
        self._follower = follower

    @evframe.hookimpl
    def events_failed(self, subscriber, events, reasons, error):
        self._follower.events_failed(subscriber, events, reasons, error)


async def test_until_stored(follower):
    """A caller that waits until an event is stored has the outcome `stored` when its queue says so, else the end."""

    class Storing(Own):
        is_kept = True

        def track(self, done):
            assert type(done) is UntilStored
            done(STORED)
            super().track(done)

    class Plugin(Follower):
        @evframe.hookimpl
        def limit_queue(self, queue, subscriber, policy, wake):
            return Storing(queue, policy)

    memory, told = MemoryTransport(), []
    async with evframe.EventInterface(plugins={"memory": memory, "follower": Plugin()}) as events:
        events.register_event("E_A")
        events.subscribe_event("E_A", "memory:stored", policy=Policy(keep="disk"))
        events.subscribe_event("E_A", "memory:sent")
        outcomes = await events.raise_event_and_wait("E_A", {"n": 1}, until="stored")
        assert {each.socket: each.reason for each in outcomes} == {"memory:stored": STORED, "memory:sent": None}
        events.raise_event_and_tell("E_A", {"n": 2}, told.append, until="stored")
        async with asyncio.timeout(5):
            while not told:
                await asyncio.sleep(0)
        assert sorted(told[0], key=str) == [None, STORED]
        with pytest.raises(ValueError, match="until: expected 'delivered' or 'stored', got 'sent'"):
            await events.raise_event_and_wait("E_A", until="sent")
    assert [event["n"] for event in memory.delivered["stored"]] == [1, 2]


def test_an_error_of_check_policy_is_a_problem_of_its_place():
    """Any other error of the hook than ValueError names the hook, in place of a traceback of `evframe check`."""

    class Broken(Follower):
        @evframe.hookimpl
        def check_policy(self, policy, event):
            raise LookupError("of the plugin")

    config = parse_config('[[policies]]\nsocket = "*"\nwhere = "n > 1"\n')
    problems = compose(config, plugins={"memory": MemoryTransport(), "broken": Broken()}).problems
    assert problems == ["policies[0]: hook 'check_policy': LookupError: of the plugin"]


async def test_a_reload_of_the_core_leaves_a_blocking_policy(follower):
    """Options of the core that are applied again do not end the wait for room that a policy asks for."""
    events = made('[[events]]\nname = "E_A"\n', follower)
    events.subscribe_event("E_A", "memory:a", policy=Policy(when_full="block"))
    room = events._scheduler.room
    assert room.is_used
    events._configure(CoreOptions(queue_size=5))
    assert room.is_used
