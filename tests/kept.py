"""Gateways whose subscribers are kept on disk."""

import json
import os
import signal
import sqlite3
import threading
from contextlib import asynccontextmanager, closing
from pathlib import Path

from evframe_journal.frames import Frame
from forks import starter

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


class Gateway:
    """A process that raises events for a kept subscriber, and ends when all are delivered.

    `next` is the number of the event that it raises next, and `safe` that of the first one that it does not know as
    delivered or stored.

    Args:
        path: of its configuration.
        first: the number of the first event.
        most: how many it raises.
        rate: how many in a second.
    """

    def __init__(self, path, first, most, rate=500):
        self.first = self.next = self.safe = first
        self.last = None
        words = (Path(__file__).with_name("kept_gateway.py"), path, first, rate, most)
        self.process = starter().start(*words, env=os.environ, output="stdout")
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            if not line.endswith("\n"):  # a kill has cut it off
                break
            self.last = line
            if line[0].isdigit():
                self.next, self.safe = map(int, line.split())

    def has_raised(self, count):
        """Return whether it has raised so many; an end before that is an error."""
        assert self.process.poll() is None, "the gateway has ended"
        return self.next >= self.first + count

    def kill(self):
        """End it at once."""
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self, timeout_s=60):
        """Return the code with which it ends."""
        code = self.process.wait(timeout_s)
        self._thread.join()
        self.process.stdout.close()
        return code


def on_disk(path):
    """Return the numbers of the events that the journal has, read beside the process that uses it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        bodies = [body for (body,) in database.execute("SELECT body FROM frames")]
    frames = [Frame.decoded("", 0, body) for body in bodies]
    return {number_of(payload) for frame in frames for payload in frame.payloads}


def number_of(payload):
    """Return the number of an event."""
    return json.loads(payload)["params"]["n"]
