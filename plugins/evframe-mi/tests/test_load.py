"""The load of the process, under the names of OpenSIPS."""

import asyncio
import json

from evframe_mi import Management
from evframe_mi.load import SAMPLE_S, Load
from evframe_mi.testing import management

import evframe
from evframe.testing import FakeClock, until


def passed(load, clock, used, seconds, percent):
    """Let whole seconds pass, in which the process computes for *percent* of the time."""
    for _ in range(seconds):
        clock.advance(SAMPLE_S)
        used.advance(SAMPLE_S * percent / 100)
        load.sample()


def shown(load):
    found = load.statistics()
    return found["load"], found["load1m"], found["load10m"]


def test_periods():
    """Each number is over its own period, and over what has passed while that is less."""
    clock, used = FakeClock(), FakeClock(5.0)
    load = Load(clock, used)
    assert shown(load) == (0, 0, 0)
    passed(load, clock, used, 30, 40)
    assert shown(load) == (40, 40, 40)
    passed(load, clock, used, 30, 80)
    assert shown(load) == (80, 60, 60)
    passed(load, clock, used, 540, 10)
    assert shown(load) == (10, 10, 15)
    passed(load, clock, used, 600, 0)
    assert shown(load) == (0, 0, 0)


def test_several_threads():
    """Threads that compute at the same time are at most the whole of it."""
    clock, used = FakeClock(), FakeClock(0.0)
    load = Load(clock, used)
    passed(load, clock, used, 3, 250)
    assert shown(load) == (100, 100, 100)


def test_a_loop_that_was_held_up():
    """A period reaches back to a sample that is old enough, however late samples are."""
    clock, used = FakeClock(), FakeClock(0.0)
    load = Load(clock, used)
    passed(load, clock, used, 2, 0)
    clock.advance(9.0)
    used.advance(9.0)
    assert shown(load)[:2] == (100, 82)


async def test_samples_are_taken_while_the_interface_is_entered():
    """One timer takes them, and ends with the interface; statistics have all the names of one process."""
    events = evframe.EventInterface(plugins={"mi": Management()})
    async with events:
        began = len(events.plugin("mi").load._samples)
        await until(lambda: len(events.plugin("mi").load._samples) > began)
        request = {"jsonrpc": "2.0", "id": 1, "method": "get_statistics", "params": [["load:"]]}
        found = json.loads(management(events).handle(json.dumps(request).encode()))["result"]
    taken = len(events.plugin("mi").load._samples)
    names = {f"load:load{period}{which}" for period in ("", "1m", "10m") for which in ("", "-all", "-proc-0")}
    assert found.keys() == {"load:processes_number", *names}
    assert all(0 <= value <= 100 for value in found.values())
    assert events.plugin("mi").load._timer is None
    await asyncio.sleep(0)
    assert len(events.plugin("mi").load._samples) == taken
