"""Other options while the source works: everything can change, and what was seen stays."""

import asyncio
import logging

from evframe_core_events import CoreEvents, Options

import evframe
from evframe.testing import ConfigFile, MemoryTransport, Recorder, until

SLOW = "E_CORE_THRESHOLD"
LOG = "E_CORE_LOG"


async def slow(_):
    await asyncio.sleep(0.02)


def observers(events):
    """Return how many observers of deliveries there are."""
    return len(events._roster.scheduler._observers)


def running(events):
    return len(asyncio.all_tasks())


async def test_deliveries_are_measured_when_that_is_asked_for():
    """A limit that comes measures deliveries to those who are subscribed; one that goes costs nothing again."""
    plugin = CoreEvents()
    async with Recorder({"core-events": plugin}) as recorder:
        events = recorder.interface
        recorder._memory.when("a", slow)
        events.register_event("E_TEST")
        events.subscribe_event("E_TEST", "memory:a")
        before = observers(events)
        plugin.reconfigure(Options(delivery_threshold_us=10_000, exec_route_threshold_us=5))
        assert events.composition.call_limit.timed("x", print) is not print
        await events.raise_event_and_wait("E_TEST")
        told = [params["source"] for name, params in await recorder.events() if name == SLOW]
        assert told[0] == "delivery"
        plugin.reconfigure(Options(delivery_threshold_us=60_000_000))
        assert observers(events) == before + 1
        plugin.reconfigure(Options())
        assert observers(events) == before
        assert events.composition.call_limit.timed("x", print) is print


async def test_watches_follow_the_options():
    """Each loop exists while its limit does, and continues undisturbed when others change."""
    plugin = CoreEvents()
    async with evframe.EventInterface(plugins={"core-events": plugin}) as events:
        none = running(events)
        options = {"event_pkg_threshold": 1, "scale_up_percent": 50, "loop_lag_threshold_us": 1_000_000}
        plugin.reconfigure(Options(**options))
        assert running(events) == none + 3
        tasks = asyncio.all_tasks()
        plugin.reconfigure(Options(**options, log_prefix="x", event_shm_threshold=1))
        assert asyncio.all_tasks() == tasks
        plugin.reconfigure(Options(**{**options, "event_pkg_threshold": 0}))
        await until(lambda: running(events) == none + 2)
        plugin.reconfigure(Options())
        await until(lambda: running(events) == none)


async def test_memory(machine):
    """A threshold holds from the next look on; the percentage that was reported is not reported again."""
    machine.version_2().limit(100, used=60)
    plugin = CoreEvents(Options(event_shm_threshold=50, memory_check_interval_s=1000.0), root=str(machine.root))
    async with Recorder({"core-events": plugin}) as recorder:
        plugin.check_memory()
        plugin.reconfigure(Options(event_shm_threshold=40))
        plugin.check_memory()
        machine.limit(100, used=45)
        plugin.check_memory()
        plugin.reconfigure(Options(event_shm_threshold=90))
        plugin.check_memory()
        told = [(params["usage"], params["threshold"]) for _, params in await recorder.events() if "usage" in params]
    assert told == [(60, 50), (45, 40)]


def command(events, name, **params):
    return events.commands.find(name).run({"consumer": "event", **params})


async def test_log_lines(tmp_path):
    """The logger, the prefix and the limits change; a command's setting stays until its own option changes."""
    one, two = logging.getLogger("reloaded.one"), logging.getLogger("reloaded.two")
    file = ConfigFile(tmp_path / "evframe.toml", "core-events")
    head = "[plugins.core-events]\n"
    async with file.interface(f'{head}logger = "reloaded.one"\nlog_event_enabled = true\n') as events:
        async with events.listen(LOG) as listener:

            async def lines():
                events.raise_event(LOG, dict.fromkeys(("time", "level", "message"), "") | {"pid": 0})
                found = []
                async with asyncio.timeout(10):
                    while (event := await anext(listener)).get("message"):
                        found.append((event.get("prefix"), event.get("message")))
                return found

            await until(lambda: one.handlers)
            one.warning("first")
            two.warning("not taken")
            assert await lines() == [(None, "first")]
            command(events, "core:log_level_filter", level_filter=1)
            file.write(
                f'{head}logger = "reloaded.two"\nlog_event_enabled = true\nlog_prefix = "p"\nlog_rate_limit = 0\n'
            )
            assert events.reload().plugins == ["core-events"]
            assert not one.handlers
            for number in range(150):
                two.warning("line %d", number)
            two.info("too low")
            assert await lines() == [("p:", f"line {number}") for number in range(150)]
            command(events, "core:log_mute_state", mute_state=1)
            file.write(f'{head}logger = "reloaded.two"\nlog_event_enabled = true\n')
            events.reload()
            assert command(events, "core:log_mute_state") == {"Mute state": 1}
            assert command(events, "core:log_level_filter") == {"Log level filter": 1}
            file.write(f'{head}logger = "reloaded.two"\nlog_event_level_filter = -1\n')
            events.reload()
            file.write(f'{head}logger = "reloaded.two"\nlog_event_enabled = true\n')
            events.reload()
            assert command(events, "core:log_mute_state") == {"Mute state": 0}
            assert command(events, "core:log_level_filter") == {"Log level filter": 0}
    await until(lambda: not two.handlers)


async def test_taken_back():
    """What is returned brings back the options, and what commands have set."""
    plugin = CoreEvents(Options(log_event_enabled=True, delivery_threshold_us=5, loop_lag_threshold_us=1_000_000))
    memory = MemoryTransport()
    async with evframe.EventInterface(plugins={"core-events": plugin, "memory": memory}) as events:
        command(events, "core:log_level_filter", level_filter=2)
        before, count = observers(events), running(events)
        plugin.reconfigure(Options(log_event_level_filter=-1, scale_up_percent=10))()
        assert command(events, "core:log_level_filter") == {"Log level filter": 2}
        assert command(events, "core:log_mute_state") == {"Mute state": 0}
        await until(lambda: running(events) == count)
        assert observers(events) == before


async def test_plugin_that_goes(tmp_path):
    """When the plugin is disabled nothing is measured any more."""
    file = ConfigFile(tmp_path / "evframe.toml", "core-events")
    limits = "[plugins.core-events]\ndelivery_threshold_us = 5\nexec_route_threshold_us = 5\n"
    async with file.interface(limits) as events:
        before = observers(events)
        file = ConfigFile(file.path)
        file.write()
        assert events.reload().plugins == ["core-events"]
        await until(lambda: observers(events) == before - 1)
        assert events.composition.call_limit.timed("x", print) is print
