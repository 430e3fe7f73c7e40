"""What the tests of all packages share: real brokers."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from evframe.interface import EventInterface

sys.path.append(str(Path(__file__).parent / "tests"))


def pytest_addoption(parser):
    parser.addoption("--uvloop", action="store_true", help="run the tests on uvloop, as the gateway does")
    parser.addoption("--without-brokers", action="store_true", help="leave out the tests that need a broker")


def pytest_configure(config):
    if config.getoption("--uvloop"):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


def pytest_collection_modifyitems(config, items):
    if config.getoption("--without-brokers"):
        for item in items:
            if {"rabbitmq", "kafka"} & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(reason="--without-brokers"))


@pytest.fixture(autouse=True)
def nothing_is_unaccounted_for(monkeypatch):
    """Fail a test that leaves an interface whose counters do not add up, on whatever thread that is."""
    wrong = []
    leave = EventInterface.__aexit__

    async def leave_and_count(self, *error):
        try:
            return await leave(self, *error)
        finally:
            for counters in self.statistics:
                lost = sum(counters.reasons.values())
                if counters.failed != lost or counters.raised != counters.delivered + counters.failed:
                    wrong.append(counters)

    monkeypatch.setattr(EventInterface, "__aexit__", leave_and_count)
    yield
    assert wrong == []


class Given:
    """A broker that runs already."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        if host not in {"127.0.0.1", "localhost"}:
            raise RuntimeError(f"expected a broker on this machine, as 127.0.0.1:port, got {address!r}")
        self.port = int(port)


@pytest.fixture(scope="session")
def rabbitmq():
    """Return a RabbitMQ: that of EVFRAME_RABBITMQ (host:port), or one that is started for the tests."""
    if "EVFRAME_RABBITMQ" in os.environ:
        yield Given(os.environ["EVFRAME_RABBITMQ"])
        return
    from brokers.rabbitmq import RabbitMQ

    broker = RabbitMQ()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()


@pytest.fixture(scope="session")
def kafka():
    """Return a Kafka: that of EVFRAME_KAFKA (host:port), or one that is started for the tests."""
    if "EVFRAME_KAFKA" in os.environ:
        yield Given(os.environ["EVFRAME_KAFKA"])
        return
    from brokers.kafka import Kafka

    broker = Kafka()
    try:
        broker.start()
        yield broker
    finally:
        broker.remove()
