"""The plugin: the event, the reports, the commands, the sweep, and checks from other threads."""

import asyncio
import logging
import threading

import pytest
from evframe_pike import Options, Pike, Verdict

import evframe
from evframe.plugins.commands import CommandError
from evframe.testing import ConfigFile, FakeClock, MemoryTransport, Recorder, SourceContract, until


def flood(pike, address, hits=39):
    return [pike.check(address) for _ in range(hits)][-1]


class TestContract(SourceContract):
    """What every source does."""

    name = "pike"

    def source(self):
        return Pike()

    async def provoke(self, recorder):
        flood(recorder.plugin("pike"), "192.0.2.1")


class Ticks:
    """A sleep that ends when a test ends it."""

    def __init__(self):
        self.waiting = asyncio.Event()
        self.go = asyncio.Event()

    async def sleep(self, seconds):
        assert seconds == 1
        self.waiting.set()
        await self.go.wait()
        self.go.clear()

    async def tick(self):
        """Let a second pass, and wait until what it brings is done."""
        await self.waiting.wait()
        self.waiting.clear()
        self.go.set()
        await self.waiting.wait()


async def test_one_event_for_each_detection():
    """A blocked address is reported once, with its plain text, and again when it was free in between."""
    clock = FakeClock()
    async with Recorder({"pike": Pike(clock=clock)}) as recorder:
        pike = recorder.plugin("pike")
        assert flood(pike, "::ffff:192.0.2.1", 100) is Verdict.STILL_BLOCKED
        assert await recorder.events() == [("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})]
        clock.advance(4)
        assert flood(pike, "192.0.2.1", 30) is Verdict.NEWLY_BLOCKED
        assert await recorder.events() == [("E_PIKE_BLOCKED", {"ip": "192.0.2.1"})]


async def test_reports():
    """Each detection is a report; the last hundred are kept, and the status stays 1."""
    async with Recorder({"pike": Pike(Options(reqs_density_per_unit=1))}) as recorder:
        for last in range(105):
            flood(recorder.plugin("pike"), f"192.0.2.{last}", 8)
        main = recorder.interface.status.find("pike").find()
    assert main.status == 1
    texts = [report.text for report in main.reports]
    assert texts == [f"IP 192.0.2.{last} detected as flooding" for last in range(5, 105)]


@pytest.mark.parametrize(("number", "level"), [(1, logging.WARNING), (-1, logging.ERROR), (3, logging.INFO)])
async def test_sweep_and_log(caplog, number, level):
    """Every second what is over is removed; blocking and freeing are logged with the level of the option."""
    caplog.set_level(logging.DEBUG, "evframe.pike")
    clock, ticks = FakeClock(), Ticks()
    async with Recorder({"pike": Pike(Options(pike_log_level=number), clock=clock, sleep=ticks.sleep)}) as recorder:
        pike = recorder.plugin("pike")
        flood(pike, "192.0.2.1")
        clock.advance(3)
        await ticks.tick()
        assert [record.message for record in caplog.records] == ["an address is blocked for flooding"]
        clock.advance(1)
        await ticks.tick()
        assert [record.message for record in caplog.records[1:]] == ["an address is not blocked any more"]
        assert {(record.ip, record.levelno) for record in caplog.records} == {("192.0.2.1", level)}
        clock.advance(480)
        await ticks.tick()
        assert len(pike.detector) == 0
        assert [name for name, _ in await recorder.events()] == ["E_PIKE_BLOCKED"]


async def test_list():
    """The commands list what is remembered or blocked, and forget an address, under both names."""
    async with Recorder({"pike": Pike(clock=FakeClock())}) as recorder:
        flood(recorder.plugin("pike"), "192.0.2.1")
        listed = recorder.command("pike_list", state="blocked")
        assert listed == {
            "nodes": 4,
            "blocked": 1,
            "detected": 1,
            "evicted": 0,
            "untracked": 0,
            "Nodes": [
                {
                    "address": "192.0.2.1",
                    "whole": True,
                    "blocked": True,
                    "hits": (0, 6),
                    "leaf_hits": (0, 30),
                    "expires_s": 120,
                }
            ],
        }
        nodes = recorder.command("pike:list")["Nodes"]
        assert [node["address"] for node in nodes] == ["192", "192.0", "192.0.2", "192.0.2.1"]
        assert len(recorder.command("pike:list", state="all", limit=2)["Nodes"]) == 2
        assert recorder.command("pike_rm", ip="192.0.2.1") == "OK"
        assert recorder.command("pike:list", state="blocked")["Nodes"] == []
        assert recorder.plugin("pike").check("192.0.2.1")


@pytest.mark.parametrize(
    ("command", "params", "code", "data"),
    [
        ("pike:rm", {"ip": "192.0.2.1"}, 404, None),
        ("pike:rm", {"ip": "x"}, -32602, "expected an IPv4 or IPv6 address"),
        ("pike:list", {"state": "red"}, -32602, "expected 'all' or 'blocked', got 'red'"),
        ("pike:list", {"state": "all", "limit": -1}, -32602, "Negative limit value"),
    ],
)
async def test_commands_refuse(command, params, code, data):
    """What cannot be is an error with a code and a text that says why."""
    async with Recorder({"pike": Pike()}) as recorder:
        with pytest.raises(CommandError) as caught:
            recorder.command(command, **params)
    assert caught.value.code == code
    assert (data or "") in (caught.value.data or "")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("sampling_time_unit_s", 0),
        ("reqs_density_per_unit", 0),
        ("remove_latency_s", 0),
        ("pike_log_level", 0),
        ("max_nodes", 255),
    ],
)
def test_options(option, value):
    """An option out of its range is an error that names it."""
    with pytest.raises(ValueError, match=f"^{option}: expected .*got {value}"):
        Options(**{option: value})


def test_threads():
    """A service without a loop checks from its own threads; one event is raised."""
    memory = MemoryTransport()
    with evframe.start_in_thread(plugins={"memory": memory, "pike": Pike()}) as events:
        events.subscribe_event("E_PIKE_BLOCKED", "memory:all")
        pike = events.plugin("pike")
        verdicts = []
        threads = [threading.Thread(target=lambda: verdicts.extend(pike.check("192.0.2.1") for _ in range(50)))]
        threads += [threading.Thread(target=lambda: verdicts.extend(pike.check("192.0.2.1") for _ in range(50)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        asyncio.run(until(lambda: memory.delivered.get("all")))
    assert sorted(verdicts) == [-2] + [-1] * 61 + [1] * 38
    assert [event.params for event in memory.delivered["all"]] == [{"ip": "192.0.2.1"}]


def test_before_it_is_part_of_an_interface():
    """The plugin object counts on its own too."""
    assert flood(Pike(), "192.0.2.1") is Verdict.NEWLY_BLOCKED


async def test_reload(tmp_path):
    """Other limits and another level hold from the reload on, for what is known of addresses already."""
    file = ConfigFile(tmp_path / "evframe.toml", "pike")
    async with file.interface() as events:
        pike = events.plugin("pike")
        assert flood(pike, "192.0.2.1", 38) is Verdict.ALLOWED
        file.write("[plugins.pike]\nreqs_density_per_unit = 100\npike_log_level = 4\n")
        assert events.reload().plugins == ["pike"]
        assert flood(pike, "192.0.2.1", 60) is Verdict.ALLOWED
        file.write()
        events.reload()
        assert events.plugin("pike") is pike
        assert pike.check("192.0.2.1") is Verdict.NEWLY_BLOCKED
