"""A fleet against a model: random schedules of everything that can happen, on a broker and a clock of the test."""

import os

import pytest
from evframe_shards.hashing import shard_of
from fleet_simulation import PARTITIONS, SOCKETS, World, run, schedule_of, shortened

SCHEDULES = int(os.environ.get("EVFRAME_FLEET_SCHEDULES", "120"))
PARTS = 8


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_nothing_is_lost_and_nothing_is_delivered_by_two(part):
    """Whatever ends, stops, comes late or is cut off: see `fleet_simulation.World` for what holds."""
    for seed in range(part, SCHEDULES, PARTS):
        schedule = schedule_of(seed)
        try:
            run(seed, schedule)
        except Exception as error:
            pytest.fail(f"seed {seed}: {error!r} with {shortened(seed, schedule)}")


def test_events_wait_for_a_subscriber_that_their_owner_cannot_make_yet():
    """A lease that is in the topic has not ended: its events are read again when the gateway has the subscriber."""
    world = World(1)
    for _ in range(4):
        world.advance(0.5)
        world.settle_down()
    owner = world.broker.owner[shard_of(SOCKETS[0], PARTITIONS)]
    other = next(process for process in world.processes if process is not owner)
    refused = []
    owner.lease_read = refused.append
    world.subscribe(other, SOCKETS[0], 0)
    for _ in range(5):
        world.settle_down()
        world.raise_event(other)
        world.advance(0.5)
    assert refused
    assert not any(world.deliveries.values())

    owner.make(refused[-1])
    for _ in range(4):
        world.settle_down()
        world.advance(0.5)

    assert [len(world.deliveries[number, SOCKETS[0]]) for number in range(5)] == [1] * 5
    assert not world.lost
