"""A process that is killed at random again and again: nothing that was on disk is lost, and the order holds.

EVFRAME_KILLS is how often, 30 times without it; `.ci/long kills` has 1,000.
"""

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import count, pairwise
from pathlib import Path

import pytest
from evframe_journal.frames import Frame
from processes import bound

KILLS = int(os.environ.get("EVFRAME_KILLS", "30"))
MOST_AGAIN = 4096 + 1024  # a frame whose outcomes were not written, and a batch that was under way
PROGRAM = """
import asyncio, ctypes, gc, json, os, signal, sys
import evframe
from evframe.config import Config
from evframe_datagram import DatagramTransport
from evframe_journal import JournalPlugin, Options
from evframe.plugin import Policy

async def main(path, peer, first, most):
    options = Options(path)
    plugins = {"datagram": DatagramTransport(), "journal": JournalPlugin(options)}
    async with evframe.EventInterface(plugins=plugins) as events:
        events.register_event("E_KEPT")
        events.subscribe_event("E_KEPT", f"unix:{peer}", policy=Policy(keep="disk"))
        print("ready", os.getpid(), flush=True)
        for number in range(first, first + most):
            events.raise_event("E_KEPT", [number])
            if number % 50 == 49:
                await asyncio.sleep(0)
        while events.statistics[0].depth:
            await asyncio.sleep(0.01)

gc.freeze()
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
        sys.exit(asyncio.run(main(*sys.argv[1:], *json.loads(line))))
    print("end", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Peer:
    """A reader of UNIX datagrams that comes and goes."""

    def __init__(self, path: Path):
        self._path = path
        self._socket: socket.socket | None = None
        self.numbers: list[int] = []

    def come(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))

    def go(self) -> None:
        if self._socket is not None:
            self.read(0.0)
            self._socket.close()
            self._socket = None
            self._path.unlink()

    def read(self, seconds: float) -> None:
        """Read what comes until nothing has come for *seconds*, or let so many pass while the peer is away."""
        if self._socket is None:
            time.sleep(seconds)  # the kill comes at any moment
            return
        self._socket.settimeout(seconds)
        try:
            while True:
                self.numbers.append(json.loads(self._socket.recv(65536))["params"][0])
        except (TimeoutError, BlockingIOError):
            pass


def on_disk(path: Path) -> set[int]:
    """Return the numbers of the events that a file has, read beside the process that uses it."""
    if not path.exists():
        return set()
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            bodies = [body for (body,) in database.execute("SELECT body FROM frames")]
        except sqlite3.OperationalError:  # it is being made
            return set()
    frames = [Frame.decoded("", 0, body) for body in bodies]
    return {json.loads(payload)["params"][0] for frame in frames for payload in frame.payloads}


class Processes:
    """Processes that raise events, one after the other, each with what one before has imported for all."""

    def __init__(self, path: Path, peer: Path):
        words = bound(sys.executable, "-c", PROGRAM, path, peer)
        self.parent = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, first: int, most: int) -> int:
        """Return the id of a process that raises *most* events from the number *first*, and ends when all arrived."""
        print(json.dumps([first, most]), file=self.parent.stdin, flush=True)
        return self.said("ready")

    def said(self, word: str) -> int:
        """Return the number that comes after *word*: the id of a process that is `ready`, its exit code at the `end`."""
        assert self.parent.stdout is not None
        found, number = self.parent.stdout.readline().split()
        assert found == word
        return int(number)

    def close(self) -> None:
        self.parent.kill()
        self.parent.communicate()


@pytest.mark.timeout(60 + 3 * KILLS)
def test_nothing_on_disk_is_lost(tmp_path):
    """Whatever was on disk before a kill arrives, in order, and what arrives again is within the bound."""
    chance = random.Random(0)
    path, peer = tmp_path / "journal", Peer(tmp_path / "peer")
    kept: set[int] = set()
    starts = count(0, 1_000_000)
    with closing(Processes(path, tmp_path / "peer")) as processes:
        for _ in range(KILLS):
            if chance.random() < 0.4:
                peer.come()
            running = processes.start(next(starts), chance.choice([100, 3_000, 20_000]))
            for _ in range(chance.randrange(20)):
                peer.read(0.01)
            kept |= on_disk(path)
            with suppress(ProcessLookupError):  # it may have ended
                os.kill(running, signal.SIGKILL)
            assert processes.said("end") in {0, -signal.SIGKILL}
            peer.go()
        peer.come()
        processes.start(next(starts), 1)
        with ThreadPoolExecutor() as pool:
            code = pool.submit(processes.said, "end")
            while not code.done():
                peer.read(0.05)
        assert code.result() == 0
    peer.go()
    arrived = peer.numbers
    assert kept
    assert kept - set(arrived) == set()
    assert_order(arrived)
    assert len(on_disk(path)) == 0


def assert_order(arrived: list[int]) -> None:
    """Each run of numbers goes up; where it goes back, it does so by what may come again."""
    for before, after in pairwise(arrived):
        if after <= before:
            again = arrived.index(after)
            assert len(arrived[again : arrived.index(before)]) <= MOST_AGAIN
