"""A fleet against a model: random schedules of everything that can happen, on a broker and a clock of the test."""

import os

import pytest
from evframe_shards.hashing import shard_of
from fleet_simulation import PARTITIONS, ROOM, SOCKETS, World, run, schedule_of, shortened

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
    quiet(world, 2)
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


def quiet(world, seconds):
    """Let time pass in which nothing happens but what is due."""
    for _ in range(2 * seconds):
        world.advance(0.5)
        world.settle_down()


def grown_world():
    """Return a world with a partition more, and a subscriber that it has moved: away, with more events than room."""
    (socket, *_) = [each for each in SOCKETS if shard_of(each, PARTITIONS) != shard_of(each, PARTITIONS + 1)]
    world = World(1)
    quiet(world, 4)
    world.subscribe(world.processes[0], socket, 0)
    quiet(world, 4)
    world.away.add(socket)
    for _ in range(ROOM + 1):
        world.raise_event(world.processes[0])
    quiet(world, 4)
    world.grow()
    world.start()
    quiet(world, 4)
    return world, socket


def test_what_waits_when_partitions_are_added_comes_before_what_is_raised_then():
    """An event is delivered from the partition that it was written to, also where both have one owner."""
    world, socket = grown_world()
    for _ in range(ROOM + 1):
        world.raise_event(world.processes[0])
    quiet(world, 4)
    assert not any(world.deliveries.values())

    world.away.clear()
    quiet(world, 16)

    found = {number: [at for at, *_ in world.deliveries[number, socket]] for number in range(2 * ROOM + 2)}
    assert all(map(len, found.values()))
    assert list(found) == sorted(found, key=lambda number: found[number][0])
    assert world.table.behind == [{}] * (PARTITIONS + 1)
    assert not world.lost


def test_the_end_of_a_subscriber_settles_what_waits_in_all_partitions():
    """What it has left in the partition of its socket, and in the one before partitions were added, is not kept."""
    world, socket = grown_world()
    world.raise_event(world.processes[0])
    quiet(world, 4)
    assert sorted(map(len, world.table.behind)) == [0, 1, 1]

    world.unsubscribe(world.processes[0], socket)
    quiet(world, 16)

    assert world.table.behind == [{}] * (PARTITIONS + 1)


def test_a_gateway_with_a_slow_clock_renews_and_ends():
    """What a client does behind what it knows holds, however far the clock of its gateway is behind the other one."""
    world = World(1)
    quiet(world, 2)
    fast, slow = world.processes[:2]
    fast.skew, slow.skew = 300.0, -300.0

    def shown(act, *arguments):
        act(*arguments)
        for _ in range(4):
            world.settle_down()
            world.advance(0.1)
        return [each.leases.get(("E", SOCKETS[0])) for each in (fast, slow)]

    assert [lease.expire_s for lease in shown(world.subscribe, fast, SOCKETS[0], 10_000)] == [10_000, 10_000]
    assert [lease.expire_s for lease in shown(world.subscribe, slow, SOCKETS[0], 20_000)] == [20_000, 20_000]
    assert shown(world.unsubscribe, fast, SOCKETS[0]) == [None, None]
    assert [lease.expire_s for lease in shown(world.subscribe, slow, SOCKETS[0], 30_000)] == [30_000, 30_000]
    assert shown(world.unsubscribe, slow, SOCKETS[0]) == [None, None]


def test_no_batch_begins_within_the_margin():
    """A member without contact ceases to deliver earlier than the group excludes it, by the margin."""
    world = World(1)
    quiet(world, 2)
    owner = world.broker.owner[0]
    parts, partition = owner.member._parts, owner.member.partitions[0]

    world.now = parts.proof + parts.settings.session_s - parts.settings.margin_s - 0.01
    assert partition.check()
    world.now += 0.02
    assert not partition.check()


def test_what_has_waited_is_delivered_when_batches_may_begin_again():
    """A member whose contact comes back in time has its partitions still, and its subscribers get what came."""
    world = World(1)
    quiet(world, 2)
    owner = world.broker.owner[shard_of(SOCKETS[0], PARTITIONS)]
    world.subscribe(owner, SOCKETS[0], 0)
    quiet(world, 2)
    settings = owner.member.settings
    world.now += settings.session_s - settings.margin_s + 0.1
    world.raise_event(owner)
    world.settle_down()
    assert owner.subscribers[SOCKETS[0]].queue.lane.waiting
    assert not world.deliveries[0, SOCKETS[0]]

    quiet(world, 1)
    assert len(world.deliveries[0, SOCKETS[0]]) == 1


def test_a_partition_is_given_up_when_what_is_under_way_is_over():
    """The last positions are those behind the batches under way, which the next owner does not repeat."""
    world = World(1)
    quiet(world, 2)
    number = shard_of(SOCKETS[0], PARTITIONS)
    owner = world.broker.owner[number]
    world.subscribe(owner, SOCKETS[0], 0)
    world.settle_down()
    world.raise_event(owner)
    while not any(owner.under_way.values()):
        world.step(owner, 0.3)
    done = []

    owner.member.partitions[number].revoke(lambda: done.append(world.now))
    owner.member.tick()
    assert not owner.member.partitions[number].positions.is_under_way

    for _ in range(4):
        world.settle_down()
        world.advance(0.1)
    assert done
    assert world.table.effective(number, SOCKETS[0]) > 0


def test_a_member_that_was_killed_is_shown_as_dead():
    """Once its session is over, and it has had the time to say something again; those that live are shown as alive."""
    world = World(1)
    quiet(world, 2)
    one, other = world.running[:2]
    assert one.member.presence.is_alive(one.name)
    assert one.member.presence.is_alive(other.name)

    world.kill(other, 0)
    for _ in range(4):
        world.advance(one.member._parts.settings.session_s / 2)
        world.settle_down()
    assert one.member.presence.is_alive(one.name)
    assert not one.member.presence.is_alive(other.name)


def test_a_member_that_was_killed_earlier_is_shown_as_dead_by_one_that_starts():
    """Also at once: what a member reads at its start is as old as it says, whatever is written later is new."""
    world = World(1)
    quiet(world, 4)
    other = world.running[1]
    world.kill(other, 0)
    quiet(world, 60)
    world.start()
    third = world.running[-1]
    quiet(world, 1)
    assert not third.member.presence.is_alive(other.name)
    assert 55 < third.member.presence.silent_s(other.name) < 65
    assert third.member.presence.is_alive(world.running[0].name)
    assert third.member.presence.is_alive(third.name)


def configured_world():
    """Return a world of two gateways that have a subscription in their configurations, and its socket."""
    world = World(1)
    for process in world.running:
        world.subscribe(process, SOCKETS[0], 0, is_configured=True)
    quiet(world, 2)
    return world, f'["lease","E","{SOCKETS[0]}"]'


def test_a_configured_subscription_ends_with_the_last_gateway_that_has_it():
    """One that is removed from the files while its gateways are restarted is in the topic, and has to end."""
    world, key = configured_world()
    other = world.processes[1]
    world.start()

    for process in list(world.processes[:2]):
        assert key in world.table.leases
        world.kill(process, 1.0)
    quiet(world, 60)
    assert key in world.table.leases  # a gateway that is restarted may have it
    quiet(world, 30)
    assert key not in world.table.leases
    assert [each.leases for each in world.processes] == [{}]

    world.subscribe(world.running[0], SOCKETS[0], 0, is_configured=True)
    quiet(world, 100)
    assert world.table.leases[key].version[0] != other.name


def test_a_configured_subscription_stays_while_a_gateway_has_it():
    """The gateways that have it, too, keep it at each moment when the one that has written it last is gone."""
    world, key = configured_world()
    writer = next(each for each in world.processes if each.name == world.table.leases[key].version[0])
    (other,) = (each for each in world.processes if each is not writer)
    world.start()
    quiet(world, 2)

    world.has_ended.clear()
    world.kill(writer, 1.0)
    quiet(world, 100)
    assert world.table.leases[key].version[0] == other.name
    assert not world.has_ended[SOCKETS[0]]
    assert all(("E", SOCKETS[0]) in each.leases for each in world.processes)


def test_gateways_with_one_name_know_of_each_other():
    """Two that live with the same name in listings are found by both; a process that was killed before is none."""
    world = World(1)
    for process in world.running:
        process.member._parts.settings.about["name"] = process.name
    quiet(world, 4)
    one, other = world.running
    assert one.member.presence.namesakes == []

    other.member._parts.settings.about["name"] = one.name
    quiet(world, 4)
    assert one.member.presence.namesakes == [other.name]
    assert other.member.presence.namesakes == [one.name]

    world.kill(other, 0)
    world.start()
    third = world.running[-1]
    third.member._parts.settings.about["name"] = one.name
    quiet(world, 4)
    assert third.member.presence.is_alive(other.name)
    assert third.member.presence.namesakes == [one.name]


def test_a_clock_that_is_ahead_is_found_by_the_others():
    """Of two clocks that differ by much, one is ahead, and the gateway with the other one finds that while both live."""
    world = World(1)
    quiet(world, 4)
    one, other = world.running
    assert one.member.presence.ahead_s == other.member.presence.ahead_s == {}

    other.skew += 60
    quiet(world, 4)
    assert list(one.member.presence.ahead_s) == [other.name]
    assert one.member.presence.ahead_s[other.name] == pytest.approx(60, abs=5)
    assert other.member.presence.ahead_s == {}

    world.kill(other, 0)
    quiet(world, 30)
    assert one.member.presence.ahead_s == {}


def test_a_member_of_another_group_is_found_while_it_has_partitions():
    """One of another topic, or that has none or is dead, does not matter."""
    world = World(1)
    one, other = world.running
    for process, group in ((one, "a"), (other, "b")):
        process.member._parts.settings.about.update(group=group, topic="events")
    quiet(world, 4)
    assert (one.member.other_group, other.member.other_group) == ("b", "a")

    other.member._parts.settings.about["topic"] = "others"
    quiet(world, 4)
    assert one.member.other_group is None

    other.member._parts.settings.about["topic"] = "events"
    quiet(world, 4)
    assert one.member.other_group == "b"
    world.kill(other, 0)
    quiet(world, 10)
    assert one.member.other_group is None
