"""The log of a gateway whose brokers are away: one line of evframe for each problem, and none of a library."""

import asyncio
import json
from collections import Counter

import pytest
from brokers.proxy import FaultProxy
from brokers.queues import channel_of

pytestmark = pytest.mark.timeout(180)
CONFIG = """
[[subscriptions]]
event = "E_TEST"
socket = "rabbitmq:127.0.0.1:{port}/{queue}"
[[subscriptions]]
event = "E_TEST"
socket = "rabbitmq:nobody:wrong@127.0.0.1:{port}/{queue}"
[[subscriptions]]
event = "E_TEST"
socket = "kafka:127.0.0.1:1/t"
[[events]]
name = "E_TEST"
[[plugins.rabbitmq-consumer.connections]]
queue = "{queue}"
uri = "amqp://127.0.0.1:{port}/"
retry_timeout_ms = 100
[[plugins.kafka-consumer.connections]]
topics = ["t"]
brokers = "127.0.0.1:1"
connect_timeout_ms = 200
retry_timeout_ms = 100
"""


async def test_a_problem_is_one_line_and_none_of_a_library(gateway, rabbitmq):
    """Connections that are refused, reset and not let in are lines of evframe without a traceback, each once."""
    async with channel_of(rabbitmq) as channel, FaultProxy(rabbitmq.port) as proxy:
        queue = await channel.declare_queue(auto_delete=True)
        daemon = await asyncio.to_thread(gateway, CONFIG.format(port=proxy.port, queue=queue.name))

        async def consumer_is(state):
            while (await asyncio.to_thread(daemon.client.call, "rabbitmq_consumer:list"))["Connections"][0][
                "state"
            ] != state:
                await asyncio.sleep(0.05)

        await consumer_is("consuming")
        await asyncio.to_thread(daemon.client.raise_event, "E_TEST", [1])
        proxy.refuse()
        proxy.reset()
        await asyncio.to_thread(daemon.client.raise_event, "E_TEST", [2])
        await consumer_is("refused")
        assert await asyncio.to_thread(daemon.stop) == 0
    daemon._reader.join()
    while (line := daemon._new.get()) is not None:
        daemon.lines.append(line)
    lines = [json.loads(line) for line in daemon.lines]
    assert not [line for line in lines if not line["logger"].startswith("evframe")]
    assert not [line for line in lines if "exception" in line]
    problems = Counter(
        (line["message"], line.get("socket"), line.get("broker"), line.get("reason"))
        for line in lines
        if line["level"] == "WARNING"
    )
    assert {socket.partition(":")[0] for _, socket, *_ in problems if socket} >= {"rabbitmq", "kafka"}
    assert set(problems.values()) == {1}
