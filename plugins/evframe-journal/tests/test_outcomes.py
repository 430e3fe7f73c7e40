"""The outcomes of events that are on disk alone: each caller that waits gets one, however its event ends."""

import asyncio

from evframe_journal import JournalPlugin, Options

import evframe
from evframe.config import parse_config
from evframe.testing import MemoryTransport, until

EVENTS = 300


def interface(folder, policy=""):
    """Return an interface with one subscriber, which answers no batch."""
    memory = MemoryTransport()
    memory.when("peer", lambda _: asyncio.get_running_loop().create_future())
    config = parse_config(f"""
[core]
queue_size = 10
drain_timeout_s = 0.2
[[policies]]
socket = "*"
keep = "disk"
{policy}
""")
    journal = JournalPlugin(Options(path=str(folder / "journal"), memory_bytes=1_048_576))
    events = evframe.EventInterface(config, plugins={"memory": memory, "journal": journal})
    events.register_event("E_A")
    events.subscribe_event("E_A", "memory:peer")
    return events, journal


async def raise_all(events, journal, outcomes):
    """Raise events in several commits, and collect the outcome of each."""
    for start in range(0, EVENTS, 50):
        before = journal.written
        for number in range(start, start + 50):
            events.raise_event_and_tell("E_A", {"n": number}, lambda got: outcomes.extend(got))
        await until(lambda before=before: journal.written > before)


async def test_events_on_disk_get_their_outcome_when_the_subscription_ends(tmp_path):
    """What is on disk alone when its subscriber ends is `unsubscribed` for each caller that waits for it."""
    events, journal = interface(tmp_path)
    outcomes: list[str | None] = []
    async with events:
        await raise_all(events, journal, outcomes)
        events.unsubscribe_event("E_A", "memory:peer")
        await until(lambda: len(outcomes) == EVENTS)
    assert set(outcomes) == {"unsubscribed"}


async def test_events_on_disk_get_their_outcome_when_they_make_room(tmp_path):
    """What is dropped from the disk for newer events is `queue_full` for each caller that waits for it."""
    events, journal = interface(tmp_path, 'when_full = "drop_oldest"\nmax_bytes = 1000')
    outcomes: list[str | None] = []
    async with events:
        await raise_all(events, journal, outcomes)
        counters = events.statistics[0]
        await until(lambda: len(outcomes) == events.statistics[0].failed)
        assert set(outcomes) == {"queue_full"}
        assert counters.failed > 100


async def test_events_on_disk_get_their_outcome_at_the_end(tmp_path):
    """What waits for the next process is `stored` for each caller that waits for it when the interface is left."""
    events, journal = interface(tmp_path)
    async with events:
        outcomes = asyncio.gather(
            *(events.raise_event_and_wait("E_A", {"n": number}, timeout_s=None) for number in range(EVENTS))
        )
        await until(lambda: journal.written)
    async with asyncio.timeout(5):
        assert {outcome.reason for (outcome,) in await outcomes} == {"stored"}
