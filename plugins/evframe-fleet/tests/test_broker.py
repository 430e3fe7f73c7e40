"""The adapter to Kafka against a real one: leases and frames in their order, partitions that move, faults."""

import asyncio
import gc
import time
import uuid
from contextlib import asynccontextmanager

import attrs
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberMetadata
from brokers.proxy import FaultProxy
from evframe_fleet.broker import Broker
from evframe_fleet.options import Options
from evframe_fleet.topics import TopicError, Topics
from evframe_kafka_clients.places import Places

from evframe.plugin import Resolver
from evframe.testing import until

pytestmark = pytest.mark.timeout(120)


class Script:
    """Stands for the machine: keeps what it gets, and reads each partition from what was committed."""

    def __init__(self):
        self.leases = []
        self.frames = []
        self.owned = {}
        self.revocations = []
        self.losses = []
        self.hangs = False
        self.other_group = None
        self.due = []
        self.broker = None
        self.on_frame = lambda *_: None

    async def get_ready(self):
        assert not self.owned

    def lease_read(self, offset, key, value):
        self.leases.append((offset, key, value))

    def frame_read(self, partition, offset, value):
        self.frames.append((partition, offset, value))
        self.on_frame(partition, offset)

    def assigned(self, committed):
        self.owned = dict(committed)
        for partition, offset in committed.items():
            self.broker.read_from(partition, offset)

    def revoked(self, partitions, done):
        self.revocations.append(set(partitions))
        if not self.hangs:
            asyncio.get_running_loop().call_soon(done)
            self.owned = {}

    def tick(self):
        due, self.due = self.due, []
        for each in due:
            each()

    def lost(self, partitions):
        self.losses.append(set(partitions))
        self.owned = {}


def options_of(port, **others):
    name = uuid.uuid4().hex
    named = {"leases_topic": f"leases.{name}", "events_topic": f"events.{name}", "group_id": name}
    quick = {"replication_factor": 1, "partitions": 4, "heartbeat_interval_ms": 100, "hand_over_ms": 300}
    return Options(**{"brokers": f"127.0.0.1:{port}", **named, **quick, **others})


@pytest.fixture
async def resolver():
    resolver = Resolver(lambda *_: None)
    resolver.start()
    yield resolver
    resolver.close()


@asynccontextmanager
async def running(options, resolver):
    """Run a broker with a script, and end both."""
    script, reports = Script(), []
    soon = asyncio.get_running_loop().call_soon
    script.broker = broker = Broker(options, resolver, reports.append, script.get_ready, soon)
    script.reports = reports
    task = asyncio.ensure_future(broker.run(script))
    try:
        yield script
    finally:
        await broker.leave()
        task.cancel()
        await asyncio.wait((task,))


async def put(call, *arguments):
    """Return the outcome of a call of the broker."""
    done = asyncio.get_running_loop().create_future()
    call(*arguments, done.set_result)
    assert not done.done()
    async with asyncio.timeout(60):
        return await done


async def until_written(call, *arguments):
    """Return the outcome of a call of the broker, which is made again until it is accepted."""
    while True:
        outcome = await put(call, *arguments)
        if outcome is not None and outcome is not False:  # 0 is an offset
            return outcome
        await asyncio.sleep(0.02)


async def test_leases_are_read_by_all_in_one_order(kafka, resolver):
    """Each gateway reads all records of leases from the beginning on, its own included, tombstones too."""
    options = options_of(kafka.port)
    async with running(options, resolver) as one:
        assert await put(one.broker.put_lease, "k", b"early") is None
        first = await until_written(one.broker.put_lease, "k", b"0")
        offsets = await asyncio.gather(*(put(one.broker.put_lease, f"k{n}", b"%d" % n) for n in range(50)))
        assert offsets == list(range(first + 1, first + 51))
        assert await put(one.broker.put_lease, "k", None) == first + 51
        async with running(attrs.evolve(options, group_id="other"), resolver) as two:
            await until(lambda: len(one.leases) == len(two.leases) == 52)
            assert one.leases == two.leases
            assert one.leases[-1] == (first + 51, "k", None)


async def test_partitions_move_and_frames_continue_where_they_were_committed(kafka, resolver):
    """The members divide the partitions; what is committed is not read again, and what is not is."""
    options = options_of(kafka.port)
    async with running(options, resolver) as one:
        await until(lambda: len(one.owned) == 4)
        for number in range(10):
            assert await put(one.broker.put_frame, 2, b"%d" % number) == number
        await until(lambda: len(one.frames) == 10)
        assert one.frames == [(2, number, b"%d" % number) for number in range(10)]
        assert await put(one.broker.commit, {2: 7}) is True
        assert await put(one.broker.commit, {2: 7}) is True
        async with running(options, resolver) as two:
            await until(lambda: len(one.owned) == len(two.owned) == 2)
            assert one.revocations[-1] == {0, 1, 2, 3}
            assert one.owned.keys() | two.owned.keys() == {0, 1, 2, 3}
            owner, other = (one, two) if 2 in one.owned else (two, one)
            assert owner.owned[2] == 7
            await until(lambda: owner.frames[-3:] == [(2, number, b"%d" % number) for number in (7, 8, 9)])
            assert await put(other.broker.commit, {2: 9}) is False
            await until_written(other.broker.put_frame, 2, b"10")
            await until(lambda: owner.frames[-1] == (2, 10, b"10"))
        begun = time.monotonic()
        await until(lambda: len(one.owned) == 4)
        assert time.monotonic() - begun < 5


async def test_partitions_are_divided_by_the_names_of_the_gateways(kafka, resolver):
    """The same gateways have the same partitions, whenever each has come."""
    options = options_of(kafka.port)
    for order in (("a", "b"), ("b", "a")):
        async with (
            running(attrs.evolve(options, name=order[0]), resolver) as first,
            running(attrs.evolve(options, name=order[1]), resolver) as second,
        ):
            await until(lambda first=first, second=second: len(first.owned) == len(second.owned) == 2)
            owned = dict(zip(order, (set(first.owned), set(second.owned)), strict=True))
            assert owned == {"a": {0, 2}, "b": {1, 3}}


async def test_properties_are_those_of_all_clients(kafka, resolver):
    """What a property says holds beside what the fleet sets; a client's name is the beginning of a member's."""
    properties = {"client.id": "x", "fetch.min.bytes": 1, "retry.backoff.ms": 50, "connections.max.idle.ms": 60_000}
    async with running(options_of(kafka.port, name="a", properties=properties), resolver) as one:
        await until(lambda: len(one.owned) == 4)
        assert await put(one.broker.put_frame, 0, b"x") == 0
        assert list((await put(one.broker.read_again, 0, 0, 1)).frames) == [(0, b"x")]
        assert one.broker.connection.membership._consumer._client._client_id == "x-a"


async def test_a_paused_partition_continues_with_the_next_frame(kafka, resolver):
    """After `pause` no frame is passed, and after `resume` the next one is: none is lost, and none comes twice."""
    async with running(options_of(kafka.port), resolver) as one:
        await until(lambda: len(one.owned) == 4)
        paused = []

        def pause(partition, offset):
            one.broker.pause(partition)
            paused.append(offset)

        one.on_frame = pause
        for number in range(20):
            await put(one.broker.put_frame, 1, b"%d" % number)
        for count in range(1, 21):
            await until(lambda count=count: len(paused) == count)
            one.broker.resume(1)
        assert paused == list(range(20))


async def test_frames_are_read_again(kafka, resolver):
    """Any stretch of a partition is read again beside the others, as far as the broker has it."""
    async with running(options_of(kafka.port), resolver) as one:
        await until(lambda: len(one.owned) == 4)
        for number in range(10):
            await put(one.broker.put_frame, 3, b"%d" % number)
        await put(one.broker.put_frame, 0, b"x")
        again = await put(one.broker.read_again, 3, 4, 8)
        assert list(again.frames) == [(number, b"%d" % number) for number in range(4, 8)]
        assert again.next_offset == 8  # although there is more
        assert again.first_offset <= 4
        assert list((await put(one.broker.read_again, 0, 0, 100)).frames) == [(0, b"x")]
        rest = await put(one.broker.read_again, 3, 10, 20)
        assert (list(rest.frames), rest.next_offset) == ([], 10)


async def test_much_is_read_again_at_once(kafka, resolver):
    """Each request takes what fits, from any partition in turn, so that who is behind comes nearer to the others."""
    async with running(options_of(kafka.port), resolver) as one:
        await until(lambda: len(one.owned) == 4)
        puts = [put(one.broker.put_frame, number % 2, b"x" * 100) for number in range(400)]
        await asyncio.gather(*puts)
        for begin in (0, 100):
            for partition in (0, 1):
                again = await put(one.broker.read_again, partition, begin, 200)
                assert len(again.frames) == again.next_offset - begin == 200 - begin


async def test_a_gateway_that_leaves_still_writes(kafka, resolver):
    """After `leave`, the partitions are another member's at once, and frames and leases are still acknowledged."""
    options = options_of(kafka.port)
    async with running(options, resolver) as one, running(options, resolver) as two:
        await until(lambda: len(one.owned) == len(two.owned) == 2)
        await one.broker.leave()
        begun = time.monotonic()
        await until(lambda: len(two.owned) == 4)
        assert time.monotonic() - begun < 3
        assert await put(one.broker.put_frame, 0, b"last") == 0
        await until(lambda: two.frames == [(0, 0, b"last")])
        assert await put(one.broker.put_lease, "k", b"last") is not None
        assert await put(one.broker.commit, {0: 0}) is False


async def test_a_hand_over_is_bounded(kafka, resolver):
    """A machine that does not end its work in time has lost the partitions, and the group continues."""
    options = options_of(kafka.port)
    async with running(options, resolver) as one:
        await until(lambda: len(one.owned) == 4)
        one.hangs = True
        async with running(options, resolver) as two:
            await until(lambda: len(two.owned) == 2)
            assert one.losses == [{0, 1, 2, 3}]


async def test_a_hand_over_does_what_is_due(kafka, resolver):
    """While the group waits, the machine gets its ticks from the hand-over, and loses nothing."""
    options = options_of(kafka.port, hand_over_ms=10_000)
    async with running(options, resolver) as one:
        await until(lambda: len(one.owned) == 4)
        one.revoked = lambda _, done: one.due.append(done)
        async with running(options, resolver) as two:
            await until(lambda: len(two.owned) == 2)
            assert one.losses == []


async def test_a_commit_has_an_outcome_when_the_partitions_are_lost_at_once(kafka, resolver):
    """Else the machine would wait for it for ever, and commit and claim nothing any more."""
    async with running(options_of(kafka.port), resolver) as one:
        await until(lambda: len(one.owned) == 4)
        outcomes = []
        one.broker.commit({0: 0}, outcomes.append)
        one.broker.connection.membership.lose()
        await until(lambda: outcomes == [False])


async def test_a_frame_has_an_outcome_when_the_producer_ends_at_once(kafka, resolver):
    """Else the frames of its partition would wait for it for ever."""
    async with running(options_of(kafka.port), resolver) as one:
        await until(lambda: len(one.owned) == 4)
        outcomes = []
        one.broker.put_frame(0, b"x", outcomes.append)
        await one.broker.connection.writer.stop()
        assert len(outcomes) == 1


async def test_a_network_that_is_cut_and_comes_back(kafka, resolver):
    """While the network is cut, nothing is acknowledged and no membership is proven; then all of it continues."""
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
        options = options_of(proxy.port, connect_timeout_ms=500, retry_timeout_ms=100, session_timeout_ms=6000)
        async with running(options, resolver) as one:
            await until(lambda: len(one.owned) == 4)
            proxy.hold()
            waiting = asyncio.ensure_future(put(one.broker.put_frame, 0, b"held"))
            assert await put(one.broker.commit, {0: 0}) is False
            proxy.reset()
            proxy.release()
            offset = await waiting
            if offset is None:
                offset = await until_written(one.broker.put_frame, 0, b"held")
            await until(lambda: (0, offset, b"held") in one.frames)
            assert await until_written(one.broker.commit, {0: offset + 1}) is True


async def test_a_commit_that_is_given_up_leaves_no_fault_in_the_log(kafka, resolver, caplog):
    """The library shields the request of a commit, and nothing waits for its end; it fails when the network is cut."""
    async with FaultProxy(kafka.behind_proxy, kafka.proxy_port) as proxy:
        async with running(options_of(proxy.port, session_timeout_ms=1000, margin_ms=300), resolver) as one:
            await until(lambda: len(one.owned) == 4)
            await until_written(one.broker.commit, {0: 0})
            proxy.hold()
            assert await put(one.broker.commit, {0: 1}) is False
            requests = [each for each in asyncio.all_tasks() if "_do_commit_offsets" in repr(each)]
            assert requests
            proxy.reset()
            await until(lambda: all(each.done() for each in requests))
            requests.clear()
            proxy.release()
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_without_a_cluster_the_reason_is_reported(resolver):
    """A cluster that is not there is reported with the reason, again and again; nothing hangs."""
    async with FaultProxy(1) as proxy:
        proxy.refuse()
        async with running(options_of(proxy.port, retry_timeout_ms=10), resolver) as one:
            await until(lambda: len(one.reports) >= 2)
            assert set(one.reports) == {"refused"}
            assert await put(one.broker.put_frame, 0, b"") is None
            assert await put(one.broker.read_again, 0, 0, 1) is None


async def test_another_group_with_the_partitions_is_reported(kafka, resolver):
    """Two groups would both deliver everything: a gateway that finds another one takes no part, and says so."""
    options = options_of(kafka.port, retry_timeout_ms=10)
    other = chr(ord(options.group_id[0]) + 1)  # which comes behind the own one
    async with running(options, resolver) as one:
        await until(lambda: len(one.owned) == 4)
        one.other_group = other
        await one.broker.leave()
        assert not any(one.reports)
    async with running(options, resolver) as two:
        two.other_group = other
        await until(lambda: len(two.reports) >= 2)
        topic = f"topic {options.events_topic!r}"
        assert (
            two.reports[0]
            == f"{topic}: expected the group_id of the members that have it, {other!r}, got {options.group_id!r}"
        )
        two.other_group = None
        await until(lambda: len(two.owned) == 4)
        two.other_group = "!"
        await until(lambda: two.losses)


async def test_another_leases_topic_is_reported(kafka, resolver):
    """A gateway takes no part whose leases topic is not that of the members before: each would lose the others' events."""
    options = options_of(kafka.port)
    others = attrs.evolve(options, leases_topic=f"a.{options.leases_topic}", retry_timeout_ms=10)
    async with running(options, resolver) as one:
        await until(lambda: len(one.owned) == 4)
        async with running(others, resolver) as two:
            await until(lambda: len(two.reports) >= 2)
            expected = f"expected the leases_topic of the members that have it, {options.leases_topic!r}"
            assert two.reports[0] == f"topic {options.events_topic!r}: {expected}, got {others.leases_topic!r}"
            assert await put(two.broker.put_frame, 0, b"") is None
            assert not any(one.reports)
            assert not one.revocations
            await one.broker.leave()
            await until(lambda: len(two.owned) == 4)


@pytest.mark.parametrize("is_later", [False, True])
async def test_of_two_leases_topics_one_continues(kafka, resolver, monkeypatch, is_later):
    """While members have two leases topics nothing is delivered; those leave that are new, or behind by the name."""

    async def see_nothing(*_):
        """Stand for the look before a member joins, which two that join at once both pass."""

    monkeypatch.setattr(Topics, "_check_leases_topic", see_nothing)
    options = options_of(kafka.port)
    others = attrs.evolve(options, leases_topic=f"a.{options.leases_topic}", retry_timeout_ms=500)
    async with running(options, resolver) as one:
        await until(lambda: not is_later or one.owned)
        async with running(others, resolver) as two:
            await until(lambda: any(one.reports + two.reports))
            refused, other = (one, two) if any(one.reports) else (two, one)
            assert is_later <= (refused is two)
            assert "expected the leases_topic" in refused.reports[-1]
            await until(lambda: len(other.owned) == 4)
            assert not any(other.reports)
            assert not refused.owned


@pytest.mark.parametrize("said", [b"", b"\0", b"[]", b'{"leases_topic": 1}'])
async def test_a_member_that_says_nothing_of_its_leases_is_left_alone(kafka, resolver, said):
    """A gateway of an earlier release is a member as before, and whatever another program says is no error."""

    class Other(RoundRobinPartitionAssignor):
        @classmethod
        def metadata(cls, topics):
            return ConsumerProtocolMemberMetadata(cls.version, list(topics), said)

    options = options_of(kafka.port)
    async with running(options, resolver) as one:
        await until(lambda: len(one.owned) == 4)
        other = AIOKafkaConsumer(
            options.events_topic,
            bootstrap_servers=options.brokers,
            group_id=options.group_id,
            partition_assignment_strategy=(Other,),
        )
        await other.start()
        try:
            await until(lambda: len(one.owned) == 2)
            assert not any(one.reports)
        finally:
            await other.stop()


async def test_a_session_that_the_brokers_refuse_is_reported(kafka, resolver):
    """The report names the option and the settings of the brokers, and is not followed by one of success."""
    options = options_of(kafka.port, session_timeout_ms=10_000_000, retry_timeout_ms=10)
    async with running(options, resolver) as one:
        await until(lambda: len(one.reports) >= 3)
        expected = "expected group.min.session.timeout.ms to group.max.session.timeout.ms of the brokers, got 10000000"
        assert set(one.reports) == {f"session_timeout_ms: {expected}"}


async def test_a_login_that_is_refused_is_no_lost_connection(kafka, resolver):
    """Brokers that can be reached and do not describe their cluster are reported as such."""
    login = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "wrong",
        "ssl.ca.location": str(kafka.certificate),
    }
    options = options_of(kafka.secure_port, retry_timeout_ms=10, properties=login)
    options = attrs.evolve(options, brokers=f"localhost:{kafka.secure_port}")
    async with running(options, resolver) as one:
        await until(lambda: one.reports)
        assert one.reports[0] == "no_metadata"


@pytest.mark.parametrize(
    ("others", "problem"),
    [
        ({"partitions": 5}, "expected 5 partitions, got 4"),
        (
            {"leases_topic": "events", "events_topic": "new"},
            "expected 1 partition, because leases need one order, got 4",
        ),
        (
            {"events_topic": "leases", "leases_topic": "new", "partitions": 1},
            "expected cleanup.policy=delete, got compact",
        ),
        ({"frame_bytes": 2_000_000}, "expected max.message.bytes of frame_bytes, 2000000, or more, got 965536"),
        (
            {"events_topic": "new", "replication_factor": 9},
            r"expected a cluster that makes it.*\(replication_factor is 9\)",
        ),
    ],
)
async def test_topics_that_lose_events_are_refused(kafka, resolver, others, problem):
    """A topic with other settings than the fleet needs is refused, with what is expected and what there is."""
    options = options_of(kafka.port)
    places = Places(options.endpoints, resolver, by_name=False)
    made = {"bootstrap_servers": await places.servers()}
    await Topics(options, places).prepare(made, 30)
    await Topics(options, places).prepare(made, 30)
    names = {"events": options.events_topic, "leases": options.leases_topic, "new": uuid.uuid4().hex}
    changed = {name: names.get(value, value) for name, value in others.items()}
    with pytest.raises(TopicError, match=problem):
        await Topics(attrs.evolve(options, **changed), places).prepare(made, 30)


async def test_a_topic_that_keeps_events_for_less_is_a_warning(kafka, resolver, caplog):
    """Somebody may want it, and somebody else has forgotten it: the log has what is expected, and what there is."""
    options = options_of(kafka.port, retention_s=3600)
    places = Places(options.endpoints, resolver, by_name=False)
    made = {"bootstrap_servers": await places.servers()}
    await Topics(options, places).prepare(made, 30)
    await Topics(options, places).prepare(made, 30)
    said = "the topic of the events keeps them for less than retention_s"
    assert said not in caplog.text
    await Topics(attrs.evolve(options, retention_s=7200), places).prepare(made, 30)
    record = next(each for each in caplog.records if each.message == said)
    assert (record.topic, record.retention_s) == (options.events_topic, 7200)
    assert record.got["retention.ms"] == 3_600_000


async def test_a_refused_topic_is_reported(kafka, resolver):
    """The sentence about a topic that cannot be used is the status of the fleet."""
    options = options_of(kafka.port)
    async with running(options, resolver) as one:
        await until(lambda: one.reports)
        assert not any(one.reports)
    async with running(attrs.evolve(options, partitions=9), resolver) as two:
        await until(lambda: two.reports)
        assert two.reports[0] == f"topic {options.events_topic!r}: expected 9 partitions, got 4"
