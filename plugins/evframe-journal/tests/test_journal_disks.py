"""Disks that are small, read-only or broken: the gateway continues in memory, says so, and writes again."""

import shutil
import sys
import threading

from evframe_journal import JournalPlugin, Options
from power import Recorder
from processes import child

import evframe
from evframe.config import Config, CoreOptions
from evframe.plugin import Policy
from evframe.testing import MemoryTransport, until

PROGRAM = """
import asyncio, os, subprocess, sys
import evframe
from evframe.plugin import Policy
from evframe.testing import MemoryTransport, until
from evframe_journal import JournalPlugin, Options

folder = sys.argv[1]

def away(batch):
    raise evframe.Unavailable("refused")

def remount(mode):
    subprocess.run(["mount", "-o", f"remount,{mode}", folder], check=True)

async def main():
    peer = MemoryTransport()
    peer.when("a", away)
    filler = os.path.join(folder, "filler")
    with open(filler, "wb") as file:
        file.write(bytes(3 << 20))
    remount("ro")
    options = Options(os.path.join(folder, "journal"), min_free_bytes=0)
    async with evframe.EventInterface(plugins={"memory": peer, "journal": JournalPlugin(options)}) as events:
        status = events.status.group("core")
        is_ready = lambda: status.find("journal").ready
        events.register_event("E")
        events.subscribe_event("E", "memory:a", policy=Policy(keep="disk"))
        number = 0
        for mend in (lambda: remount("rw"), lambda: os.unlink(filler)):
            while is_ready():
                for _ in range(500):
                    events.raise_event("E", {"number": number, "text": "x" * 200})
                    number += 1
                await asyncio.sleep(0.02)
            counters = events.statistics[0]
            assert counters.raised == counters.failed + counters.depth == number
            mend()
            await until(is_ready)
        assert not events.statistics[0].failed
        peer.when("a", None)
        await until(lambda: not events.statistics[0].depth)
        assert [event.params["number"] for event in peer.delivered["a"]] == list(range(number))
    print("done", flush=True)

asyncio.run(main())
"""


def test_a_small_disk_that_is_full_and_one_that_is_read_only(tmp_path):
    """On a disk of 8 MB that is mounted read-only, and fills up after that, no event is lost."""
    words = ("-rm", "sh", "-c", 'mount -t tmpfs -o size=8m none "$0" && exec "$1" -c "$2" "$0"')
    with child(shutil.which("unshare"), *words, tmp_path, sys.executable, PROGRAM, stdout=-1) as process:
        assert process.communicate(timeout=100)[0] == b"done\n"


def away(batch):
    raise evframe.Unavailable("refused")


async def test_errors_of_the_device(tmp_path):
    """While writes end with EIO, events wait in memory, and the status says so; they are written after that."""
    recorder = Recorder()
    peer = MemoryTransport()
    peer.when("a", away)
    plugins = {"memory": peer, "journal": JournalPlugin(Options(str(tmp_path / "journal")))}
    with recorder.recording():
        async with evframe.EventInterface(Config(core=CoreOptions(queue_size=100)), plugins=plugins) as events:
            status = events.status.group("core")
            events.register_event("E")
            events.subscribe_event("E", "memory:a", policy=Policy(keep="disk"))
            recorder.is_broken = True
            for number in range(1000):
                events.raise_event("E", {"number": number})
            await until(lambda: not status.find("journal").ready)
            assert "I/O" in (status.find("journal").details or "")
            assert events.statistics[0].depth == 1000
            recorder.is_broken = False
            await until(lambda: status.find("journal").ready)
            peer.when("a", None)
            await until(lambda: not events.statistics[0].depth)
            assert [event.params["number"] for event in peer.delivered["a"]] == list(range(1000))


async def test_a_disk_that_is_slow_at_the_end(tmp_path, caplog):
    """What a slow disk has not taken when the time to leave is over is counted and logged, however slow it is."""
    recorder = Recorder()
    peer = MemoryTransport()
    peer.when("a", away)
    journal = JournalPlugin(Options(str(tmp_path / "journal")))
    config = Config(core=CoreOptions(drain_timeout_s=0, queue_size=10))
    with recorder.recording():
        async with evframe.EventInterface(config, plugins={"memory": peer, "journal": journal}) as events:
            events.register_event("E")
            events.subscribe_event("E", "memory:a", policy=Policy(keep="disk", dead_letter=True))
            for number in range(10):
                events.raise_event("E", [number])
            await until(lambda: journal.written == 10)
            recorder.is_moving.clear()
            for number in range(10, 100):
                events.raise_event("E", [number])
        counters = events.statistics[0]
        recorder.is_moving.set()
        await until(lambda: not any(thread.name.startswith("journal") for thread in threading.enumerate()))
    assert counters.reasons == {"shutdown": 90}
    assert counters.depth == 10
    assert journal.letters.not_kept == 90
    assert "events are lost, because they could not be written" in caplog.messages
