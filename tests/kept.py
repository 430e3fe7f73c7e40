"""Gateways whose subscribers are kept on disk."""

import json
from contextlib import asynccontextmanager

import evframe
from evframe.testing import until

CONFIGURATION = """
[plugins]
disable = ["mi-http", "mi-fifo", "mi-datagram"]
[plugins.journal]
path = {journal}
[[policies]]
socket = "*"
keep = "disk"
[[events]]
name = "E_TEST"
[[subscriptions]]
event = "E_TEST"
socket = {socket}
"""


def configuration(folder, socket, more=""):
    """Write a configuration with one kept subscriber at *socket*; return its path."""
    path = folder / "evframe.toml"
    text = CONFIGURATION.format(journal=json.dumps(str(folder / "journal")), socket=json.dumps(socket))
    path.write_text(text + more)
    return str(path)


@asynccontextmanager
async def kept(folder, socket, more="", count=5):
    """Yield an interface with one kept subscriber at *socket*, and *count* events raised for it."""
    async with evframe.EventInterface.from_toml(configuration(folder, socket, more)) as events:
        for number in range(count):
            events.raise_event("E_TEST", {"n": number})
        yield events


async def away(events, reason):
    """Wait until the peer of the subscriber is away for *reason*; nothing has failed then."""

    def is_away():
        counters = events.statistics[0]
        assert not counters.failed, counters
        return counters.away == reason

    await until(is_away)


async def delivered(events):
    """Wait until every event is delivered."""

    def is_done():
        counters = events.statistics[0]
        assert not counters.failed, counters
        return counters.delivered == counters.raised

    await until(is_done)
