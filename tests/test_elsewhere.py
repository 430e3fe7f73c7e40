"""A queue whose events another process delivers: what a subscriber takes over from that process."""

import time

import evframe
from evframe.delivery.probes import can_be_probed
from evframe.plugin import MemoryQueue
from evframe.testing import MemoryTransport


class Elsewhere(MemoryQueue):
    """Events that another process delivers."""

    is_elsewhere = True


async def test_what_another_process_finds():
    """Counters and the state of the peer are those that the other process reports; nothing is probed from here."""
    events = evframe.EventInterface(plugins={"memory": MemoryTransport()})
    events.register_event("E_A")
    lease = events.subscribe_event("E_A", "memory:x")
    subscriber = lease.subscriber
    assert can_be_probed(subscriber)
    subscriber.use(Elsewhere(0))
    assert not can_be_probed(subscriber)

    subscriber.count_found(3)
    made_at, outcomes = subscriber.changed_at, []
    subscriber.mirror(2, None)
    assert (subscriber.raised, subscriber.delivered, subscriber.changed_at) == (3, 2, made_at)
    before = time.monotonic()
    subscriber.mirror(0, "refused")
    assert (events.away(lease), events.state(lease)) == ("refused", "away")
    assert subscriber.changed_at >= before
    subscriber.mirror(1, None)
    assert (events.away(lease), events.state(lease)) == (None, "connected")
    subscriber.awaited = 1
    subscriber.call_with(None, [outcomes.append])
    assert outcomes == [None]
    assert not subscriber.awaited
