"""The plugin against a real Redis."""

import asyncio
import signal
import uuid
from urllib.parse import quote

import pytest
from brokers.load import COUNT, LIMIT_S
from brokers.proxy import FaultProxy
from brokers.redis import commands_of, entries_in
from carried import PARENT, ByParameter
from evframe_redis_consumer import ConnectionOptions, Options, RedisConsumer
from evframe_redis_consumer.session import Session
from numbered import assert_exactly

import evframe
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, MemoryTransport, Recorder, SourceContract, until

QUICK_END = Config(core=CoreOptions(drain_timeout_s=0.2))
NOTIFICATION = '{"jsonrpc":"2.0","method":"E_N","params":{"n":%d}}'
pytestmark = pytest.mark.timeout(60 + LIMIT_S)


@pytest.fixture
def stream():
    """Return the name of a stream of the test's own."""
    return f"s-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def commands(redis):
    """Return a client of the test's own."""
    with commands_of(redis) as commands:
        yield commands


def add(commands, stream, *bodies):
    pipeline = commands.pipeline(transaction=False)
    for body in bodies:
        pipeline.xadd(stream, {"event": "E_N", "payload": body})
    pipeline.execute()


def add_numbers(commands, stream, numbers):
    add(commands, stream, *(NOTIFICATION % number for number in numbers))


def pending(commands, stream):
    return commands.xpending(stream, "evframe")["pending"]


def plugin(broker, stream, **options):
    options = {"url": f"redis://127.0.0.1:{broker.port}", "retry_timeout_ms": 100, **options}
    return RedisConsumer(Options([ConnectionOptions(stream=stream, **options)]))


class Consuming:
    """An interface that consumes a stream, with the numbers of `E_N` at its subscriber in memory."""

    def __init__(self, broker, stream, config=None, **options):
        self.memory = MemoryTransport()
        self.source = plugin(broker, stream, **options)
        plugins = {"memory": self.memory, "redis-consumer": self.source}
        self.events = evframe.EventInterface(config, plugins=plugins)
        self.events.register_event("E_N")
        self.events.subscribe_event("E_N", "memory:a")

    @property
    def numbers(self):
        return [event.get("n") for event in self.memory.delivered.get("a", [])]

    @property
    def listed(self):
        return self.events.commands.find("redis_consumer:list").run({})["Connections"][0]

    async def acknowledged(self, count):
        await until(lambda: self.listed["acknowledged"] >= count, LIMIT_S)

    async def __aenter__(self):
        await self.events.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.events.__aexit__(None, None, None)


class TestContract(SourceContract):
    """What every source does."""

    name = "redis-consumer"

    @pytest.fixture(autouse=True)
    def given(self, redis, stream, commands):
        self.redis, self.stream, self.commands = redis, stream, commands

    def source(self):
        return plugin(self.redis, self.stream, event="E_BODY")

    async def provoke(self, recorder):
        add(self.commands, self.stream, "hello")


async def test_entries_become_events(redis, stream, commands):
    """A notification is the event that it names; another body is a parameter, and so are fields without a body."""
    async with Recorder({"redis-consumer": plugin(redis, stream, event="E_BODY")}) as recorder:
        recorder.register_event("E_N")
        add(commands, stream, "plain", b"\xff\x00", "", NOTIFICATION % 7, '{"n":1}', "x" * 300_000)
        commands.xadd(stream, {"name": "Joe", "age": "3"})
        got = await recorder.wait_for(7, 20)
        consumer = recorder.plugin("redis-consumer").consumers[stream]
        await until(lambda: consumer.entries.counts.answers["ack"] == 7)
    bodies = [params["body"] for name, params in got if name == "E_BODY"]
    assert bodies == ["plain", "\udcff\x00", "", '{"n":1}', "x" * 300_000, '{"name":"Joe","age":"3"}']
    assert ("E_N", {"n": 7}) in got
    assert pending(commands, stream) == 0


async def test_order_and_every_one_of_a_burst(redis, stream, commands):
    """What waits in the stream, and what comes in a burst, all arrives in order, acknowledged."""
    add_numbers(commands, stream, range(200))
    async with Consuming(redis, stream, prefetch=30) as consuming:
        add_numbers(commands, stream, range(200, 1500))
        await consuming.acknowledged(1500)
        assert_exactly(consuming.numbers, 1500)
        assert pending(commands, stream) == 0
        listed = consuming.listed
        assert listed.pop("consumer") == consuming.source.consumers[stream].consumer
        assert listed == {
            "name": stream,
            "server": f"redis://127.0.0.1:{redis.port}/0",
            "stream": stream,
            "group": "evframe",
            "state": "consuming",
            "received": 1500,
            "claimed": 0,
            "deleted": 0,
            "raised": 1500,
            "refused": {},
            "waiting": 0,
            "retried": 0,
            "acknowledged": 1500,
            "rejected": 0,
            "dead_letters_refused": {},
        }
        status = consuming.events.status.group("redis-consumer").find(stream)
        assert (status.status, status.details) == (1, "consuming")
    assert commands.xinfo_consumers(stream, "evframe") == []


async def test_acknowledged_with_the_outcome(redis, stream, commands):
    """An entry is acknowledged when the slowest subscriber has its event; until then, `prefetch` bounds what comes."""
    gate = asyncio.Event()
    async with Consuming(redis, stream, prefetch=10) as consuming:
        consuming.memory.when("slow", lambda batch: gate.wait())
        consuming.events.subscribe_event("E_N", "memory:slow")
        add_numbers(commands, stream, range(25))
        await until(lambda: consuming.listed["waiting"] == 10)
        await asyncio.sleep(0.05)  # time for more, which does not come
        assert consuming.numbers == list(range(10))
        assert (consuming.listed["received"], consuming.listed["acknowledged"]) == (10, 0)
        assert pending(commands, stream) == 10
        gate.set()
        await consuming.acknowledged(25)
    assert pending(commands, stream) == 0


async def test_acknowledged_at_once(redis, stream, commands):
    """By option an entry is acknowledged once its event is raised, whatever its outcome."""
    async with Consuming(redis, stream, QUICK_END, prefetch=10, ack="at_once") as consuming:
        consuming.memory.when("a", lambda batch: asyncio.get_running_loop().create_future())
        add_numbers(commands, stream, range(25))
        await consuming.acknowledged(25)
    assert consuming.numbers == []
    assert pending(commands, stream) == 0


async def test_shutdown_in_the_middle(redis, stream, commands):
    """What has no outcome when the interface is left is taken over by the next one at once, and nothing else is."""
    add_numbers(commands, stream, range(100))

    def half(batch):
        for index, event in enumerate(batch.events):
            if event["n"] % 2 == 0:
                batch.confirm(index)
                consuming.memory.delivered.setdefault("a", []).append(event)
        raise evframe.Unavailable("away")

    async with Consuming(redis, stream, QUICK_END, prefetch=40) as consuming:
        consuming.memory.when("a", half)
        await until(lambda: consuming.listed["acknowledged"] >= 20)
    first = sorted(set(consuming.numbers))
    async with Consuming(redis, stream, claim_idle_ms=600_000) as again:
        await again.acknowledged(100 - len(first))
        assert sorted(first + again.numbers) == list(range(100))
    assert pending(commands, stream) == 0


async def test_entries_of_a_dead_consumer(redis, stream, commands):
    """Entries that a consumer has left behind are taken over once it has said nothing for `claim_idle_ms`."""
    add_numbers(commands, stream, range(300))
    commands.xgroup_create(stream, "evframe", "0")
    commands.xreadgroup("evframe", "dead", {stream: ">"}, count=250)
    async with Consuming(redis, stream, claim_idle_ms=300) as consuming:
        await consuming.acknowledged(300)
        assert sorted(consuming.numbers) == list(range(300))
        assert consuming.listed["claimed"] == 250
    assert pending(commands, stream) == 0


async def test_entries_of_a_consumer_that_lives(redis, stream, commands):
    """Entries that wait for a subscriber are no more idle for others than a consumer that says nothing may be."""
    gate = asyncio.Event()
    add_numbers(commands, stream, range(20))
    async with Consuming(redis, stream, claim_idle_ms=300) as consuming:
        consuming.memory.when("a", lambda batch: gate.wait())
        await until(lambda: consuming.listed["received"] == 20)
        idle, resets = 0, 0
        while resets < 3:
            entries = commands.xpending_range(stream, "evframe", "-", "+", 20)
            now = max(each["time_since_delivered"] for each in entries)
            resets += now < idle
            idle = now
            await asyncio.sleep(0.01)
        assert {each["times_delivered"] for each in entries} == {1}
        gate.set()
        await consuming.acknowledged(20)


async def test_a_consumer_with_a_name_takes_its_own_entries(redis, stream, commands):
    """What a process with the same name had under way when it was killed comes at once."""
    add_numbers(commands, stream, range(300))
    commands.xgroup_create(stream, "evframe", "0")
    commands.xreadgroup("evframe", "gateway-1", {stream: ">"}, count=250)
    async with Consuming(redis, stream, consumer="gateway-1") as consuming:
        await consuming.acknowledged(300)
        assert_exactly(consuming.numbers, 300)
        assert consuming.listed["claimed"] == 0


async def test_trimmed_entries(redis, stream, commands):
    """Entries that were removed before they were read again are counted, and hold up nothing."""
    add_numbers(commands, stream, range(100))
    commands.xgroup_create(stream, "evframe", "0")
    commands.xreadgroup("evframe", "gateway-1", {stream: ">"}, count=50)
    commands.xtrim(stream, maxlen=60, approximate=False)
    async with Consuming(redis, stream, consumer="gateway-1") as consuming:
        await consuming.acknowledged(100)
        assert consuming.numbers == list(range(40, 100))
        assert consuming.listed["deleted"] == 40
    assert pending(commands, stream) == 0


@pytest.mark.parametrize("how", ["destroy", "delete"])
async def test_a_group_that_is_deleted(redis, stream, commands, how):
    """The group is made again where it was: what comes later is consumed, and what came before is not again."""
    async with Consuming(redis, stream) as consuming:
        add_numbers(commands, stream, range(50))
        await consuming.acknowledged(50)
        if how == "destroy":
            commands.xgroup_destroy(stream, "evframe")
        else:
            commands.delete(stream)
        add_numbers(commands, stream, range(50, 100))
        await consuming.acknowledged(100)
        assert_exactly(consuming.numbers, 100)


async def test_a_group_that_is_not_made(redis, stream, commands):
    """Without `create` the group is waited for."""
    async with Consuming(redis, stream, create=False) as consuming:
        await until(lambda: consuming.listed["state"] == "no_such_group")
        add_numbers(commands, stream, range(5))
        commands.xgroup_create(stream, "evframe", "0")
        await consuming.acknowledged(5)
    assert consuming.numbers == list(range(5))


async def test_a_group_that_begins_at_the_end(redis, stream, commands):
    """With `start = "$"` the entries that were there before the group are left alone."""
    add_numbers(commands, stream, range(5))
    async with Consuming(redis, stream, start="$") as consuming:
        await until(lambda: consuming.listed["state"] == "consuming")
        add_numbers(commands, stream, range(5, 10))
        await consuming.acknowledged(5)
    assert consuming.numbers == list(range(5, 10))


def hold(batch):
    raise evframe.Unavailable("busy")


def refuse(batch):
    raise evframe.Rejected("refused")


async def test_failures_go_to_the_dead_letters(redis, stream, commands):
    """What is refused, and what fails, is in the stream of dead letters with its reason; the rest is delivered."""
    async with Consuming(redis, stream, on_failure="reject", dead_letters=f"{stream}.dead") as consuming:
        consuming.memory.when("bad", refuse)
        consuming.events.register_event("E_BAD")
        consuming.events.subscribe_event("E_BAD", "memory:bad")
        bad = NOTIFICATION.replace("E_N", "E_BAD") % 1
        add(commands, stream, NOTIFICATION % 0, "no notification", bad, NOTIFICATION % 1)
        await until(lambda: consuming.listed["rejected"] == 2 and consuming.listed["acknowledged"] == 2)
        assert consuming.numbers == [0, 1]
        assert consuming.listed["refused"] == {"no_event": 1}
    letters = {fields[b"payload"].decode(): fields for fields in entries_in(redis, f"{stream}.dead")}
    assert {body: fields[b"evframe.reason"] for body, fields in letters.items()} == {
        "no notification": b"no_event",
        bad: b"refused",
    }
    assert {fields[b"evframe.stream"].decode() for fields in letters.values()} == {stream}
    assert {fields[b"event"] for fields in letters.values()} == {b"E_N"}
    assert pending(commands, stream) == 0


async def test_dead_letters_have_every_field(redis, stream, commands):
    """An entry may have a name twice: its dead letter has both values, in their order, and our own fields behind them."""
    words = [b"a", b"1", b"a", b"2", b"evframe.reason", b"mine"]
    async with Consuming(redis, stream, dead_letters=f"{stream}.dead") as consuming:
        entry = commands.xadd(stream, {"a": "0"})
        commands.execute_command("XADD", stream, "*", *words)
        await until(lambda: consuming.listed["rejected"] == 2)
    with commands_of(redis) as plain:
        plain.response_callbacks.clear()  # which make a mapping of the fields
        first, second = (fields for _, fields in plain.execute_command("XRANGE", f"{stream}.dead", "-", "+"))
    assert second[:6] == words
    assert second[6:8] == [b"evframe.reason", b"no_event"]
    assert first[-2:] == [b"evframe.entry", entry]


async def test_a_connection_that_ends_while_a_large_entry_is_read(redis, stream, commands):
    """The entry is taken again over the next connection, and becomes one event."""
    large = '{"jsonrpc":"2.0","method":"E_N","params":{"n":0,"of":[' + ",".join(["1"] * 500_000) + "]}}"
    async with FaultProxy(redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        # It shows often that it is alive, and so finds out soon that the connection has ended.
        async with Consuming(redis, stream, url=url, claim_idle_ms=100, connect_timeout_ms=5000) as consuming:
            await until(lambda: consuming.listed["state"] == "consuming")
            add(commands, stream, large)
            await until(lambda: consuming.listed["received"])
            proxy.reset()
            await consuming.acknowledged(1)
            assert consuming.numbers == [0]
            assert (consuming.listed["received"], consuming.listed["raised"]) == (1, 1)


async def test_deliveries_are_counted_between_our_own_entries(redis, stream, commands):
    """Each entry that was left behind too often is refused, also among many that this consumer has under way."""
    add_numbers(commands, stream, range(600))
    commands.xgroup_create(stream, "evframe", "0")
    for number in range(600):
        commands.xreadgroup("evframe", ("ours", "gone")[number % 2], {stream: ">"}, count=1)
    left = [each["message_id"] for each in commands.xpending_range(stream, "evframe", "-", "+", 600, "gone")]
    commands.xclaim(stream, "evframe", "gone", 0, left, idle=1_000_000, retrycount=5)
    consuming = Consuming(redis, stream, QUICK_END, consumer="ours", max_deliveries=2)
    consuming.memory.when("a", hold)
    async with consuming:
        await until(lambda: consuming.listed["claimed"] == 300)
        assert consuming.listed["refused"] == {"deliveries": 300}


async def test_an_entry_that_is_acknowledged_while_it_is_claimed(redis, stream, commands, monkeypatch):
    """The reply of a claim may have an entry that is done with when the reply arrives: it is one event."""
    ask, found = Session._ask, []

    async def late(self, connection, *words, **more):
        if words[0] == b"XCLAIM":  # which would say that the entry is not left behind
            return None
        reply = await ask(self, connection, *words, **more)
        if words[0] == b"XAUTOCLAIM" and reply[1]:
            found.extend(reply[1])
            consuming.memory.when("a", None)
            await consuming.acknowledged(1)
        return reply

    monkeypatch.setattr(Session, "_ask", late)
    consuming = Consuming(redis, stream, claim_idle_ms=100)
    consuming.memory.when("a", hold)
    async with consuming:
        add_numbers(commands, stream, [0])
        await until(lambda: found)
        add_numbers(commands, stream, [1])
        await consuming.acknowledged(2)
        assert consuming.numbers == [0, 1]
        assert (consuming.listed["received"], consuming.listed["claimed"]) == (2, 0)


@pytest.mark.parametrize("reply", [b":1\r\n", b"*1\r\n$1\r\na\r\n", b"+OK\r\n"], ids=["number", "list", "text"])
async def test_a_reply_to_another_command(redis, stream, commands, reply):
    """It is no entry: both connections are made again, and each event is raised once."""
    async with FaultProxy(redis.port) as proxy:
        async with Consuming(redis, stream, url=f"redis://127.0.0.1:{proxy.port}") as consuming:
            await until(lambda: consuming.listed["state"] == "consuming")
            proxy.inject(reply)
            await until(lambda: proxy.connections >= 4)
            add_numbers(commands, stream, range(100))
            await consuming.acknowledged(100)
            assert consuming.numbers == list(range(100))
            reports = consuming.events.status.group("redis-consumer").find(stream).reports
            assert any("bad_reply" in report.text for report in reports)


async def test_dead_letters_that_are_refused(redis, stream, commands):
    """An entry stays where it is until its dead letter is in the other stream."""
    dead = f"{stream}.dead"
    commands.set(dead, "text")
    async with Consuming(redis, stream, dead_letters=dead, retry_delay_ms=20) as consuming:
        add(commands, stream, "no notification")
        await until(lambda: consuming.listed["dead_letters_refused"].get("wrongtype", 0) >= 2)
        assert pending(commands, stream) == 1
        commands.delete(dead)
        await until(lambda: consuming.listed["rejected"] == 1)
    assert len(entries_in(redis, dead)) == 1


async def test_failure_is_tried_again(redis, stream, commands):
    """By option the event is raised again, after a wait, until it is delivered."""
    attempts = []

    def third(batch):
        attempts.append(asyncio.get_running_loop().time())
        if len(attempts) < 3:
            raise evframe.Rejected("refused")
        return True

    async with Consuming(redis, stream, on_failure="retry", retry_delay_ms=80) as consuming:
        consuming.memory.when("a", third)
        add_numbers(commands, stream, [1])
        await consuming.acknowledged(1)
        assert consuming.listed["retried"] == 2
    assert min(attempts[1] - attempts[0], attempts[2] - attempts[1]) >= 0.07


async def test_an_entry_that_consumers_leave_behind(redis, stream, commands):
    """An entry that was left behind more often than `max_deliveries` is refused."""
    add_numbers(commands, stream, range(2))
    commands.xgroup_create(stream, "evframe", "0")
    ids = [id_ for id_, _ in commands.xreadgroup("evframe", "one", {stream: ">"})[0][1]]
    for name in ("two", "three", "four"):
        commands.xclaim(stream, "evframe", name, 0, ids[:1])
    async with Consuming(
        redis, stream, max_deliveries=2, claim_idle_ms=100, dead_letters=f"{stream}.dead"
    ) as consuming:
        await until(lambda: consuming.listed["rejected"] == 1 and consuming.listed["acknowledged"] == 1)
        assert consuming.numbers == [1]
        assert consuming.listed["refused"] == {"deliveries": 1}
    assert [fields[b"evframe.reason"] for fields in entries_in(redis, f"{stream}.dead")] == [b"deliveries"]


async def test_an_event_is_raised_in_the_context_of_its_entry(redis, stream, commands):
    """The fields beside the body are the headers."""
    tracing = ByParameter()
    async with Consuming(redis, stream) as consuming:
        consuming.events.trace_by(tracing)
        commands.xadd(stream, {"payload": NOTIFICATION % 1, "traceparent": PARENT})
        await consuming.acknowledged(1)
    assert [headers.get("traceparent") for headers in tracing.within_headers] == [PARENT]


async def test_login_over_tls(redis, stream, commands, tmp_path):
    """The password is the first line of a file; no text has it."""
    commands.acl_setuser("reader", enabled=True, passwords=["+s e/cret"], keys=["*"], categories=["+@all"])
    file = tmp_path / "password"
    file.write_text("s e/cret\n")
    url = f"rediss://reader@localhost:{redis.tls_port}"
    async with Consuming(redis, stream, url=url, password_file=str(file), ca_file=str(redis.authority)) as consuming:
        add_numbers(commands, stream, range(3))
        await consuming.acknowledged(3)
        assert consuming.listed["server"] == f"{url}/0"
    wrong = f"redis://reader:{quote('wrong')}@127.0.0.1:{redis.port}"
    async with Consuming(redis, stream, url=wrong) as consuming:
        await until(lambda: consuming.listed["state"] == "access_refused")
        assert "wrong" not in f"{consuming.listed}{consuming.source.consumers[stream].options}"


async def test_a_name_that_moves(redis, stream, commands):
    """The connections are exchanged when the name has other addresses."""
    with FakeNames({"redis.example": ["127.0.0.1"]}) as names:
        async with FaultProxy(redis.port) as old, FaultProxy(redis.port, old.port, "127.0.0.2") as new:
            config = Config(core=CoreOptions(resolve_every_s=0.05))
            consuming = Consuming(redis, stream, config, url=f"redis://redis.example:{old.port}")
            consuming.events.resolver.lookup = names
            async with consuming:
                add_numbers(commands, stream, range(10))
                await consuming.acknowledged(10)
                names["redis.example"] = ["127.0.0.2"]
                await until(lambda: new.connections >= 2)
                add_numbers(commands, stream, range(10, 20))
                await consuming.acknowledged(20)
    assert_exactly(consuming.numbers, 20)


@pytest.mark.parametrize("fault", ["cut", "hold", "hold_back", "refuse", "reset"])
async def test_faults_on_the_way_lose_nothing(redis, stream, commands, fault):
    """All events arrive, in order and once: entries and acknowledgements outlive a connection."""
    count = COUNT // 2
    async with FaultProxy(redis.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}"
        async with Consuming(redis, stream, url=url, timeout_ms=300, login_timeout_ms=300) as consuming:
            for first in range(0, count, count // 3):
                numbers = range(first, first + count // 3)
                add_numbers(commands, stream, numbers[: len(numbers) // 2])
                before = proxy.connections
                if fault == "cut":
                    proxy.cut_after = 2000
                elif fault == "refuse":
                    proxy.refuse()
                    proxy.reset()
                else:
                    getattr(proxy, fault)()
                add_numbers(commands, stream, numbers[len(numbers) // 2 :])
                if fault == "refuse":
                    await until(lambda: consuming.listed["state"] == "refused")
                    await proxy.open()
                await until(lambda before=before: proxy.connections > before)
                proxy.release()
                await consuming.acknowledged(numbers[-1] + 1)
            assert_exactly(consuming.numbers, count // 3 * 3)
    assert pending(commands, stream) == 0


@pytest.mark.parametrize("fault", ["hang", "kill", "stop"])
async def test_faults_of_the_server_lose_nothing(redis, stream, fault):
    """What a server has acknowledged to the one who adds arrives, in order, whatever happens to the server."""
    if not hasattr(redis, "start"):
        pytest.skip("the server that is given cannot be stopped")
    async with Consuming(redis, stream, timeout_ms=500, login_timeout_ms=500) as consuming:
        with commands_of(redis) as commands:
            add_numbers(commands, stream, range(1000))
        await until(lambda: consuming.numbers)
        if fault == "hang":
            redis.signal(signal.SIGSTOP)
            try:
                await until(lambda: consuming.listed["state"] in {"timeout", "login_timeout"})
            finally:
                redis.signal(signal.SIGCONT)
        else:
            await asyncio.to_thread(redis.stop, signal.SIGKILL if fault == "kill" else signal.SIGTERM)
            await until(lambda: consuming.listed["state"] != "consuming")
            await asyncio.to_thread(redis.start)
        with commands_of(redis) as commands:
            add_numbers(commands, stream, range(1000, 2000))
            await consuming.acknowledged(2000)
            assert_exactly(consuming.numbers, 2000)
            assert pending(commands, stream) == 0
