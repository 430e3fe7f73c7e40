"""What the tests of all packages share: real brokers."""

import asyncio
import gc
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from evframe.interface import EventInterface

sys.path.append(str(Path(__file__).parent / "tests"))
from brokers.session import KINDS


def pytest_addoption(parser):
    parser.addoption("--uvloop", action="store_true", help="run the tests on uvloop, as the gateway does")
    parser.addoption("--without-brokers", action="store_true", help="leave out the tests that need a broker")


def pytest_configure(config):
    if config.getoption("--uvloop"):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    with suppress(ImportError):  # a plugin may be tested without it
        from hypothesis import HealthCheck, settings

        # How fast examples are made and run says more about the machine than about the code.
        settings.register_profile("evframe", deadline=None, suppress_health_check=[HealthCheck.too_slow])
        settings.load_profile("evframe")


def pytest_collection_modifyitems(config, items):
    for item in items:
        if KINDS.keys() & set(getattr(item, "fixturenames", ())):
            if config.getoption("--without-brokers"):
                item.add_marker(pytest.mark.skip(reason="--without-brokers"))
            elif item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(150))  # the first one starts the brokers


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Have the garbage collector leave out the thousands of tests: while they are collected, and in each later look."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Have four workers more than cores: together the tests wait longer than they compute."""
    return len(os.sched_getaffinity(0)) + 4


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    if config.getoption("dist") == "loadgroup":
        from brokers.scheduling import BrokersApart

        return BrokersApart(config, log)
    return None


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """Have what a test printed reach the process that reports it: workers send UTF-8, without lone surrogates."""
    return _encodable((yield))


def _encodable(value):
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_encodable, value))
    return value


@pytest.fixture(autouse=True)
def levels_of_loggers():
    """Restore the levels of all loggers: a gateway and a management command of a test set those of the process."""
    known = logging.root.manager.loggerDict
    before = {name: logger.level for name, logger in known.items() if isinstance(logger, logging.Logger)}
    root = logging.root.level
    yield
    logging.root.setLevel(root)
    for name, logger in known.items():
        if isinstance(logger, logging.Logger) and logger.level != before.get(name, logging.NOTSET):
            logger.setLevel(before.get(name, logging.NOTSET))


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
                waits = counters.depth if self.plugins.has_plugin("journal") else 0
                if counters.failed != lost or counters.raised != counters.delivered + counters.failed + waits:
                    wrong.append(counters)

    monkeypatch.setattr(EventInterface, "__aexit__", leave_and_count)
    yield
    assert wrong == []


@pytest.fixture(scope="session")
def brokers():
    from brokers.session import Brokers

    started = Brokers()
    yield started
    started.remove()


@pytest.fixture(autouse=True)
def brokers_that_run(request):
    """Fail the next test of a broker that has ended by itself, and that one alone."""
    from brokers.session import KINDS

    for name in KINDS.keys() & set(request.fixturenames):
        request.getfixturevalue("brokers").check(name)


@pytest.fixture(scope="session")
def rabbitmq(brokers):
    """Return a RabbitMQ: that of EVFRAME_RABBITMQ (host:port), or one that is started for the tests."""
    return brokers.get("rabbitmq")


@pytest.fixture(scope="session")
def kafka(brokers):
    """Return a Kafka: that of EVFRAME_KAFKA (host:port), or one that is started for the tests."""
    return brokers.get("kafka")


@pytest.fixture(scope="session")
def rsyslog(brokers):
    """Return a rsyslog that is started for the tests."""
    return brokers.get("rsyslog")


@pytest.fixture(scope="session")
def redis(brokers):
    """Return a Redis that is started for the tests."""
    return brokers.get("redis")


@pytest.fixture(scope="session")
def mosquitto(brokers):
    """Return a Mosquitto that is started for the tests."""
    return brokers.get("mosquitto")


@pytest.fixture(scope="session")
def nats(brokers):
    """Return a NATS: that of EVFRAME_NATS (host:port), or one that is started for the tests."""
    return brokers.get("nats")


@pytest.fixture(scope="session")
def moto(brokers):
    """Return a server of moto, which answers as Amazon SQS does, that is started for the tests."""
    return brokers.get("moto")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install plugins as packages would: `install(name="module:object")`, into another group with *group*."""

    def install(version="1.2.3", group="evframe", **entries):
        folder = tmp_path / "site"
        for name, target in entries.items():
            info = folder / f"evframe_{name}-{version}.dist-info"
            info.mkdir(parents=True)
            (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: evframe-{name}\nVersion: {version}\n")
            (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(folder)
        return folder

    return install


@pytest.fixture
def installed(install):
    """Have the transport in memory installed under the name `memory`."""
    install(memory="evframe.testing:MemoryTransport")
