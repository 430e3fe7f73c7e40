"""A gateway that is killed while it replays dead letters: each letter is delivered at least once, or still kept."""

import json
import os
import random
import socket
import sqlite3
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from evframe_client import Client, ManagementError
from evframe_files.database import DatabaseFile, transaction
from evframe_journal.file import KIND
from evframe_journal.letters import Bounds, Changes, LetterTable
from forks import starter
from processes import until

LETTERS = int(os.environ.get("EVFRAME_REPLAYS", "2000"))
KILLS = 4 if LETTERS <= 2000 else 20
EVFRAME = Path(sys.executable).parent / "evframe"


class Peer:
    """A reader of UNIX datagrams, on a thread."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(path)
        self.numbers = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while payload := self._socket.recv(65536):
            self.numbers.append(json.loads(payload)["params"]["number"])

    def close(self):
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def peer(tmp_path):
    peer = Peer(f"{tmp_path}/peer")
    yield peer
    peer.close()


def write_letters(path, address):
    """Make a file with letters, as a gateway leaves it."""
    file = DatabaseFile(path, KIND)
    file.open()
    payloads = (b'{"jsonrpc":"2.0","method":"E_DEAD","params":{"number":%d}}' % number for number in range(LETTERS))
    now = time.time()
    rows = ((now, now, b"E_DEAD", address.encode(), "rejected", "", 1, payload) for payload in payloads)
    with transaction(file.database):
        LetterTable().write(file.database, Changes(rows, (), (), Bounds(1 << 40, 0), now))
    file.close()


def kept_in(path):
    """Return the numbers of the letters that a file has, which no process uses."""
    with sqlite3.connect(path) as database:
        payloads = [payload for (payload,) in database.execute("SELECT payload FROM dead")]
    database.close()
    return {json.loads(payload)["params"]["number"] for payload in payloads}


def answers(client):
    try:
        return client.call("dead_letters:replays")
    except (ManagementError, OSError):
        return None


@contextmanager
def running(config):
    """Yield a gateway with this configuration."""
    with starter().start(EVFRAME, "run", "-c", config, env=os.environ) as gateway:
        try:
            yield gateway
        finally:
            gateway.kill()


@pytest.mark.timeout(120 + LETTERS / 200)
def test_a_kill_loses_no_letter(tmp_path, peer):
    """After each kill, every letter has arrived or is in the file; in the end all have arrived, and nothing is kept."""
    chance = random.Random(0)
    path, config = str(tmp_path / "journal"), tmp_path / "evframe.toml"
    config.write_text(f"""
[plugins]
disable = ["mi-http", "mi-fifo"]
[plugins.mi-datagram]
socket_name = "{tmp_path}/mi.sock"
[plugins.journal]
path = "{path}"
""")
    write_letters(path, f"unix:{tmp_path}/peer")
    client = Client(f"unix:{tmp_path}/mi.sock", timeout_s=20)
    numbers = set(range(LETTERS))
    for _ in range(KILLS):
        with running(config) as gateway:
            until(lambda: answers(client) is not None)
            client.call("dead_letters:replay", {"socket": "*", "rate": max(1000, LETTERS // 5)})
            wanted = len(peer.numbers) + chance.randrange(1, LETTERS // KILLS + 1)
            until(lambda wanted=wanted: len(peer.numbers) >= wanted)
            gateway.kill()
            gateway.wait()
        assert kept_in(path) | set(peer.numbers) == numbers
    assert kept_in(path)
    with running(config) as gateway:
        until(lambda: answers(client) is not None)
        client.call("dead_letters:replay", {"socket": "*", "rate": 100_000})
        until(lambda: answers(client)["Replays"][0]["state"] == "over", 60 + LETTERS / 200)
        gateway.terminate()
        assert gateway.wait() == 0
    assert (kept_in(path), set(peer.numbers)) == (set(), numbers)
    assert len(peer.numbers) < LETTERS + (KILLS + 1) * 2048  # what was under way at a kill comes again
