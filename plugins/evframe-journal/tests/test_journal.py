"""Kept subscribers: what a peer that is away has not taken survives the process, however it ends."""

import asyncio
import json
import socket
import sqlite3
import sys
from pathlib import Path

import pytest

import evframe
from evframe.testing import until

PROGRAM = """
import asyncio, sys
import evframe

async def main():
    async with evframe.EventInterface.from_toml(sys.argv[1]) as events:
        for number in range(int(sys.argv[2])):
            events.raise_event("E_KEPT", {"number": number})
            if number % 100 == 99:
                await asyncio.sleep(0)
        print("raised", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def configuration(folder: Path, peer: str, more: str = "") -> str:
    path = folder / "evframe.toml"
    path.write_text(f"""
[core]
queue_size = 100
[plugins]
disable = ["mi-http", "mi-fifo", "mi-datagram"]
[plugins.journal]
path = "{folder / "events.journal"}"
{more}
[[policies]]
socket = "unix:*"
keep = "disk"
[[events]]
name = "E_KEPT"
[[subscriptions]]
event = "E_KEPT"
socket = "{peer}"
""")
    return str(path)


class Reader:
    """A reader of UNIX datagrams."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.numbers: list[int] = []

    def bind(self, path: Path) -> None:
        self._socket.bind(str(path))

    def close(self) -> None:
        self._socket.close()

    def read(self) -> list[int]:
        while True:
            try:
                payload = self._socket.recv(65536)
            except BlockingIOError:
                return self.numbers
            self.numbers.append(json.loads(payload)["params"]["number"])


@pytest.fixture
def reader():
    reader = Reader()
    yield reader
    reader.close()


async def test_events_of_a_peer_that_is_away_come_after_a_restart(tmp_path, reader):
    """What is raised while the peer is away is delivered by the next process, in order and once."""
    peer = tmp_path / "peer"
    path = configuration(tmp_path, f"unix:{peer}")
    async with evframe.EventInterface.from_toml(path) as events:
        for number in range(1000):  # ten times as many as the queue in memory takes
            events.raise_event("E_KEPT", {"number": number})
        assert events.statistics[0].depth == 1000
    reader.bind(peer)
    async with evframe.EventInterface.from_toml(path) as events:
        assert events.statistics[0].raised == 1000
        await until(lambda: len(reader.read()) >= 1000)
        await until(lambda: not events.statistics[0].depth)
        assert events.statistics[0].delivered == 1000
    assert reader.numbers == list(range(1000))
    async with evframe.EventInterface.from_toml(path) as events:
        assert not events.statistics[0].depth


async def test_kill_loses_nothing_that_is_on_disk(tmp_path, reader):
    """After `kill -9`, the next process delivers every event that was on disk, in order."""
    peer = tmp_path / "peer"
    path = configuration(tmp_path, f"unix:{peer}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, path, "5000", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"raised\n"
    await until(lambda: kept_in(tmp_path / "events.journal") == 5000)
    process.kill()
    await process.wait()
    reader.bind(peer)
    async with evframe.EventInterface.from_toml(path) as events:
        await until(lambda: len(reader.read()) >= 5000)
        await until(lambda: not events.statistics[0].depth)
    assert reader.numbers == list(range(5000))


def kept_in(path: Path) -> int:
    """Return how many events a file has, read beside the process that uses it."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        try:
            return database.execute("SELECT coalesce(sum(count), 0) FROM frames").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


async def test_a_peer_that_takes_all_costs_no_byte(tmp_path, reader):
    """While the peer takes events as they come, none is written."""
    reader.bind(tmp_path / "peer")
    async with evframe.EventInterface.from_toml(configuration(tmp_path, f"unix:{tmp_path / 'peer'}")) as events:
        for number in range(50):
            events.raise_event("E_KEPT", {"number": number})
            await until(lambda number=number: len(reader.read()) > number)
        assert kept_in(tmp_path / "events.journal") == 0
    assert reader.numbers == list(range(50))
