"""The web service of the examples, with a real broker: it loses no event, and its page says what its files say."""

import asyncio
import importlib.util
import re
import subprocess
import sys
import uuid
from pathlib import Path

import aiormq
import pytest
from brokers.proxy import FaultProxy
from stream_servers import StreamServer

from evframe.testing import until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "web-service"
PAGE = ROOT / "docs" / "tutorials" / "web-service.md"


def demonstrate(*words):
    """Return what the demonstration prints, by who tells it."""
    done = subprocess.run(
        [sys.executable, EXAMPLE / "demo.py", *words], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    told = {}
    for line in done.stdout.splitlines():
        told.setdefault(line[:10].strip(), []).append(line[10:])
    return told


def numbers(lines):
    """Return the numbers of the orders that lines are about: JSON, comma-separated or in short, such as `1-3, 7`."""
    found = []
    for line in lines:
        if one := re.match(r"E_ORDER_PLACED(?:,| {\"id\": )(\d+)", line):
            found.append(int(one[1]))
        elif many := re.fullmatch(r"E_ORDER_PLACED ([-\d, ]+)", line):
            for run in many[1].split(", "):
                first, _, last = run.partition("-")
                found += range(int(first), int(last or first) + 1)
    return found


def assert_nothing_is_lost(told):
    """Every order was refused to nobody, seen, and has arrived; so has every other event."""
    assert told["==>"][-1] == "no event is lost"
    placed, refused = map(int, re.fullmatch(r"(\d+) orders are placed, (\d+) refused", told["==>"][-2]).groups())
    assert (numbers(told["watch"]), refused) == (list(range(1, placed + 1)), 0)
    assert set(numbers(told.get("queue", [])) + numbers(told["file"])) == set(range(1, placed + 1))
    raised = {name: int(count) for count, name in (each.split() for each in told["raised"][0].split(", "))}
    assert (raised["E_ORDER_PLACED"], raised["E_PIKE_BLOCKED"]) == (placed, 1)
    assert raised["E_DISPATCHER_STATUS"] >= 2
    total = sum(raised.values())
    assert told["counted"] == [f"raised {total} = delivered {total} + failed 0"]


@pytest.mark.timeout(180)
def test_way_to_a_broker(rabbitmq):
    """With the way to a broker cut and opened again, the file has what the queue does not have."""
    told = demonstrate("--broker", f"{getattr(rabbitmq, 'host', '127.0.0.1')}:{rabbitmq.port}")
    assert_nothing_is_lost(told)
    assert numbers(told["queue"])[-1] > numbers(told["file"])[-1] > numbers(told["queue"])[0]


@pytest.mark.timeout(180)
def test_broker_of_its_own(rabbitmq):
    """The same with a broker that is stopped and started; where none is installed, the file has everything."""
    told = demonstrate()
    assert_nothing_is_lost(told)
    if Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists():
        assert numbers(told["queue"])[-1] > numbers(told["file"])[-1] > numbers(told["queue"])[0]


@pytest.mark.timeout(120)
def test_without_a_broker():
    """Without any broker the file has everything, and floods are refused all the same."""
    told = demonstrate("--without-broker")
    assert_nothing_is_lost(told)
    (counted,) = filter(None, (re.match(r"(\d+) of them were answered, (\d+)", line) for line in told["==>"]))
    answered, refused = map(int, counted.groups())
    assert (answered + refused, answered >= 30, refused > 0) == (200, True, True)


class Consumer:
    """The consumer of the example, in this process with short times, and a queue of a real broker."""

    def __init__(self, broker, capsys):
        specification = importlib.util.spec_from_file_location("consumer", EXAMPLE / "consumer.py")
        self.module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.module)
        self.module.PAUSE_S = 0.01
        self.broker, self.queue, self.printed = broker, f"shop-{uuid.uuid4().hex[:8]}", ""
        self._capsys = capsys
        self._task = None

    async def run(self, port):
        self._connection = await aiormq.connect(f"amqp://guest:guest@127.0.0.1:{self.broker.port}/")
        self.channel = await self._connection.channel()
        await self.channel.queue_declare(self.queue, durable=True)
        self._task = asyncio.create_task(self.module.consume(f"127.0.0.1:{port}", self.queue))

    async def gets(self, text):
        """Publish a message, and wait until the consumer prints it."""
        await self.channel.basic_publish(text.encode(), routing_key=self.queue)
        await until(lambda: self._has_printed(text))

    def _has_printed(self, text):
        self.printed += self._capsys.readouterr().out
        return text in self.printed.split()

    async def end(self):
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])
        await self.channel.queue_delete(self.queue)
        await self._connection.close()


@pytest.fixture
async def consumer(rabbitmq, capsys):
    """Return a consumer, which is ended after the test."""
    consumer = Consumer(rabbitmq, capsys)
    yield consumer
    await consumer.end()


@pytest.mark.timeout(120)
async def test_consumer_leaves_a_broker_that_is_silent(rabbitmq, consumer):
    """A connection that is accepted and never answered is given up in its time, and the next one is used."""
    async with StreamServer() as silent:
        consumer.module.CONNECT_S = 2.0
        await consumer.run(silent.port)
        await until(lambda: silent.writers)
        silent.refuse()
        async with FaultProxy(rabbitmq.port, silent.port):
            await consumer.gets("hello")


@pytest.mark.timeout(120)
async def test_consumer_comes_back_wherever_its_connection_is_cut(rabbitmq, consumer):
    """After a connection that ends at any point of its login, and after a queue that was deleted, messages come."""
    consumer.module.IDLE_S = 2.0
    async with FaultProxy(rabbitmq.port) as proxy:
        await consumer.run(proxy.port)
        await consumer.gets("first")
        for size in range(1, proxy.sent, 30):
            proxy.cut_after = size
            proxy.reset()
            await until(lambda: proxy.cut_after is None)
            await consumer.gets(f"after-{size}")
        await consumer.channel.queue_delete(consumer.queue)
        await consumer.channel.queue_declare(consumer.queue, durable=True)
        await consumer.gets("again")


def test_the_page_shows_the_files():
    """What the tutorial shows of the example is in the example."""
    files = "".join(path.read_text() for path in [EXAMPLE / "service.py", EXAMPLE / "evframe.toml"])
    shown = re.findall(r"^```(?:python|toml)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(shown) >= 2
    for block in shown:
        assert block in files, block
