"""Starts of clients of Kafka that are given up while a broker has not answered."""

import pytest
from brokers.kafka_connections import FIRST_REQUEST, open_connections
from brokers.proxy import FaultProxy
from evframe_kafka import KafkaTransport, Options

import evframe
from evframe.testing import until


@pytest.mark.parametrize("is_left", [False, True], ids=["late", "left"])
async def test_start_that_is_given_up_leaves_no_connection(kafka, is_left):
    """Whether the time of the start is over or the interface is left, the connection to the silent broker is closed."""
    async with FaultProxy(kafka.port) as proxy:
        proxy.hold_after = FIRST_REQUEST
        options = Options(connect_timeout_ms=60_000 if is_left else 1000)
        async with evframe.EventInterface(plugins={"kafka": KafkaTransport(options)}) as events:
            events.register_event("E_TEST")
            subscriber = events.subscribe_event("E_TEST", f"kafka:127.0.0.1:{proxy.port}/topic").subscriber
            events.raise_event("E_TEST", [0])
            await until(lambda: not proxy.flows.is_set())
            assert open_connections()
            if not is_left:
                await until(lambda: subscriber.away)
                assert not open_connections()
        assert not open_connections()
