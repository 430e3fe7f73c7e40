"""Nothing is left for the cyclic collector: what ends, fails or is refused leaves memory at once."""

import asyncio
import contextlib
import subprocess
import sys

import pytest
from evframe_mi import Management
from evframe_mi.testing import ANY_SCHEME

import evframe
from evframe.config import Config, CoreOptions
from evframe.plugin import Terms
from evframe.testing import MemoryTransport, no_garbage, until


class Wraps:
    """A plugin for the tests, with a wrapper round `deliver`."""

    @evframe.hookimpl(wrapper=True)
    def deliver(self, socket, batch):
        return (yield)


def away(batch):
    raise evframe.Unavailable("away")


async def soon_away(batch):
    await asyncio.sleep(0)
    raise evframe.Unavailable("away")


async def hangs(batch):
    await asyncio.Event().wait()


def broken(batch):
    raise LookupError("of the plugin")


def fails(batch):
    batch.fail(0, "refused", LookupError("of the peer"))
    return True


async def exits(batch):
    raise SystemExit("of the plugin")


def taken(batch):
    return True


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("behaviour", [taken, away, soon_away, hangs, broken, fails, exits])
async def test_a_subscriber_that_has_ended(behaviour, wrapped, caplog):
    """A subscriber that has ended leaves nothing behind, whatever became of its events."""
    caplog.set_level("CRITICAL")
    memory = MemoryTransport()
    plugins = {"memory": memory, **({"wraps": Wraps()} if wrapped else {})}
    config = Config(core=CoreOptions(drain_timeout_s=0.05))
    async with evframe.EventInterface(config, plugins=plugins) as events:
        events.register_event("E_T")

        async def come_and_leave():
            for n in range(5):
                memory.when(f"s{n}", behaviour)
                events.subscribe_event("E_T", f"memory:s{n}")
            report = asyncio.create_task(events.raise_event_and_wait("E_T", [1], timeout_s=20))
            await asyncio.sleep(0.01)
            for n in range(5):
                events.unsubscribe_event("E_T", f"memory:s{n}")
            await report
            await until(lambda: len(events.statistics) == 1)
            await asyncio.sleep(0)

        await come_and_leave()
        with no_garbage():
            await come_and_leave()
        assert events._roster.scheduler._reports._limiters == {}
        assert not events._roster.scheduler._ends._deadlines


async def test_a_socket_that_is_refused(memory):
    """A socket that its transport refuses, or that no transport knows, leaves nothing behind."""

    def refuse():
        for text in ("memory:-", "nosuch:x", "x"):
            with contextlib.suppress(evframe.SocketError):
                events.subscribe_event("E_A", text)
        with contextlib.suppress(evframe.SocketError):
            mi.leases.subscribe(mi.policies.general, "E_A", "memory:-", Terms(1))

    events = evframe.EventInterface(plugins={"memory": memory, "mi": Management(ANY_SCHEME)})
    events.register_event("E_A")
    mi = events.plugin("mi")
    async with events:
        refuse()
        with no_garbage():
            refuse()


async def test_what_is_remembered_dies_with_the_subscriber(memory):
    """Of subscribers that have ended nothing is remembered, however many there were."""
    memory.when("s", away)
    config = Config(core=CoreOptions(drain_timeout_s=0.0))
    async with evframe.EventInterface(config, plugins={"memory": memory}) as events:
        events.register_event("E_T")
        scheduler = events._roster.scheduler
        for _ in range(50):
            events.subscribe_event("E_T", "memory:s")
            events.raise_event("E_T")
            await until(lambda: scheduler._reports._limiters)
            events.unsubscribe_event("E_T", "memory:s")
            await until(lambda: len(events.statistics) == 1)
            assert scheduler._reports._limiters == {}
        assert len(scheduler.retries._retries) == 0


LOOKS = """
import gc
from evframe.cli.gateway import set_up_collector

looked = []
gc.callbacks.append(lambda phase, info: looked.append(len(gc.get_objects())) if phase == "start" else None)
set_up_collector()
looked.clear()
kept = []
for number in range(300_000):
    kept.append([number])
print(max(looked), len(looked))
for number in range(20_000):
    cycle = [number]
    cycle.append(cycle)
del cycle
print(sum(type(each) is list and len(each) == 2 and each[1] is each for each in gc.get_objects()))
"""


def test_the_collector_of_the_gateway_looks_at_little():
    """However many objects are in use, a collection looks at those since the last full one; garbage is still found."""
    found = subprocess.run([sys.executable, "-c", LOOKS], capture_output=True, text=True, timeout=50, check=True).stdout
    (most, count), (left,) = (map(int, line.split()) for line in found.splitlines())
    assert most <= 50_000
    assert count > 100
    assert left < 10_000
