"""Files with bytes that have changed, as on a disk that fails: what is elsewhere in them is kept."""

import asyncio
import json

import pytest
from damage import each_damaged
from kept import configuration

import evframe
from evframe.testing import until

SEEDS = [range(first, first + 10) for first in range(0, 40, 10)]
LEASES = """
[core]
state_path = {path}
[plugins]
disable = ["mi-http", "mi-fifo", "mi-datagram"]
[[events]]
name = "E_A"
"""


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
async def test_leases(tmp_path, seeds):
    """The subscriptions that can be read are made again, and new ones are kept beside them."""
    path, toml = tmp_path / "leases", tmp_path / "evframe.toml"
    toml.write_text(LEASES.format(path=json.dumps(str(path))))
    async with evframe.EventInterface.from_toml(toml) as events:
        for port in range(10_000, 10_300):
            events.subscribe_event("E_A", f"udp:127.0.0.1:{port}", 6000)
    for _ in each_damaged(path, seeds):
        async with evframe.EventInterface.from_toml(toml) as events:
            await until(lambda events=events: len(events.event("E_A").leases) > 100)
            status = events.status.group("core").find("state")
            await until(lambda status=status: status.status > 0)
            events.subscribe_event("E_A", "udp:127.0.0.1:9", 6000)
        async with evframe.EventInterface.from_toml(toml) as events:
            await until(lambda events=events: is_there(events, "udp:127.0.0.1:9"))


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
async def test_events(tmp_path, seeds):
    """Each event waits as it did, or is counted as damaged; new ones are stored."""
    toml, path = configuration(tmp_path, "tcp:127.0.0.1:9"), tmp_path / "journal"
    async with evframe.EventInterface.from_toml(toml) as events:
        for number in range(3000):
            events.raise_event("E_TEST", {"n": number})
            if not number % 20:
                await asyncio.sleep(0)
    for seed in each_damaged(path, seeds):
        async with evframe.EventInterface.from_toml(toml) as events:
            (outcome,) = await events.raise_event_and_wait("E_TEST", {"n": 3000}, until="stored")
            assert outcome.reason == "stored", seed
            await until(lambda events=events: accounted(events.statistics[0]) == 3001)


def is_there(events, socket):
    """Return whether a subscriber has this socket."""
    return socket in {each.socket.canonical for each in events.event("E_A").leases}


def accounted(counters):
    """Return how many events wait, or are counted as damaged."""
    return counters.depth + counters.reasons.get("damaged", 0)
