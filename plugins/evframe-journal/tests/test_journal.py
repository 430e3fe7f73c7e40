"""Kept subscribers: what a peer that is away has not taken survives the process, however it ends."""

import asyncio
import gc
import json
import socket
import sqlite3
import sys
import threading
import time
import types
from contextlib import closing, suppress
from pathlib import Path

import pytest
from disks import file_size_limit

import evframe
from evframe.plugin import MemoryQueue, UntilStored
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


def configuration(folder: Path, peer: str, overflow: str = "drop_newest") -> str:
    path = folder / "evframe.toml"
    path.write_text(f"""
[core]
overflow = "{overflow}"
queue_size = 100
[plugins]
disable = ["mi-http", "mi-fifo", "mi-datagram"]
[plugins.journal]
path = "{folder / "events.journal"}"
memory_bytes = 8_388_608
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
    """A reader of UNIX datagrams, with a thread, because the kernel's queue has ten."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._run)
        self.numbers: list[int] = []
        self.payloads: list[bytes] = []

    def bind(self, path: Path) -> None:
        self._socket.bind(str(path))
        self._thread.start()

    def _run(self) -> None:
        while payload := self._socket.recv(65536):
            self.payloads.append(payload)
            with suppress(UnicodeDecodeError):
                self.numbers.append(json.loads(payload)["params"]["number"])

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RD)
        self._thread.join()
        self._socket.close()


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
        for number in range(1000):
            events.raise_event("E_KEPT", {"number": number})
        assert events.statistics[0].depth == 1000
    async with evframe.EventInterface.from_toml(path) as events:
        [subscriber] = events.event("E_KEPT").leases
        await until(lambda: subscriber.queue.oldest is not None)
        assert subscriber.queue.oldest <= time.monotonic()
        groups = {group.name: group.gauges for group in events.plugins.statistics()}
        assert groups["journal"]["bytes"] >= 1000 * len('{"jsonrpc":"2.0","method":"E_KEPT"}')
    reader.bind(peer)
    async with evframe.EventInterface.from_toml(path) as events:
        assert events.statistics[0].raised == 1000
        await until(lambda: len(reader.numbers) >= 1000)
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
        await until(lambda: len(reader.numbers) >= 5000)
        await until(lambda: not events.statistics[0].depth)
    assert reader.numbers == list(range(5000))


def kept_in(path: Path) -> int:
    """Return how many events a file has, read beside the process that uses it."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        try:
            return database.execute("SELECT coalesce(sum(count), 0) FROM frames").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


async def test_awaited_events_wait_behind_those_on_disk(tmp_path, reader):
    """A caller that waits for an outcome has that of its event, which is delivered in its order."""
    peer = tmp_path / "peer"
    async with evframe.EventInterface.from_toml(configuration(tmp_path, f"unix:{peer}")) as events:
        for number in range(500):
            events.raise_event("E_KEPT", {"number": number})
        outcomes = asyncio.gather(
            *(events.raise_event_and_wait("E_KEPT", {"number": number}, timeout_s=60) for number in range(500, 520))
        )
        await until(lambda: events.statistics[0].depth == 520)
        reader.bind(peer)
        await until(lambda: len(reader.numbers) >= 520)
        assert [outcome.reason for (outcome,) in await outcomes] == [None] * 20
    assert reader.numbers == list(range(520))


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
async def test_a_full_disk_costs_events_that_are_counted(tmp_path, reader, overflow):
    """While nothing can be written, events that find no room are lost and counted; the others arrive in order."""
    peer = tmp_path / "peer"
    path = configuration(tmp_path, f"unix:{peer}", overflow=overflow)
    async with evframe.EventInterface.from_toml(path) as events:
        status = events.status.group("core").find("journal")
        with file_size_limit(20_000):
            for number in range(70_000):
                events.raise_event("E_KEPT", {"number": number})
                if number % 1000 == 0:
                    await asyncio.sleep(0)
            counters = events.statistics[0]
            assert counters.raised == counters.failed + counters.depth
            assert counters.reasons == {"queue_full": counters.failed}
            assert counters.failed > 1000
            await until(lambda: status.status == -1)
        reader.bind(peer)
        await until(lambda: len(reader.numbers) >= counters.depth)
        await until(lambda: not events.statistics[0].depth)
    assert len(reader.numbers) == counters.depth
    assert reader.numbers == sorted(set(reader.numbers))
    assert reader.numbers[:12_000] == list(range(12_000))


async def test_a_peer_that_takes_all_costs_no_byte(tmp_path, reader):
    """While the peer takes events as they come, none is written."""
    reader.bind(tmp_path / "peer")
    async with evframe.EventInterface.from_toml(configuration(tmp_path, f"unix:{tmp_path / 'peer'}")) as events:
        for number in range(50):
            events.raise_event("E_KEPT", {"number": number})
            await until(lambda number=number: len(reader.numbers) > number)
        assert kept_in(tmp_path / "events.journal") == 0
    assert reader.numbers == list(range(50))


async def test_policies_change_with_a_reload(tmp_path):
    """A reload has subscribers kept, those that exist included; another file is refused, and nothing changes."""
    path = Path(configuration(tmp_path, f"unix:{tmp_path / 'peer'}"))
    text = path.read_text()
    path.write_text(text.replace('socket = "unix:*"', 'socket = "tcp:*"'))
    async with evframe.EventInterface.from_toml(path) as events:
        path.write_text(text)
        events.reload()
        events.subscribe_event("E_KEPT", f"unix:{tmp_path / 'other'}")
        events.raise_event("E_KEPT", {"number": 1})
        await until(lambda: kept_in(tmp_path / "events.journal") == 2)
        path.write_text(text.replace("events.journal", "other.journal"))
        with pytest.raises(evframe.ConfigError, match="expected the same file as before"):
            events.reload()
        assert [each.depth for each in events.statistics[:2]] == [1, 1]
        events.unsubscribe_event("E_KEPT", f"unix:{tmp_path / 'peer'}")
        events.unsubscribe_event("E_KEPT", f"unix:{tmp_path / 'other'}")


async def test_events_on_disk_of_subscribers_with_other_queues_wait(tmp_path, reader, install, monkeypatch, caplog):
    """Where another plugin has the queue, such as in a fleet, what is on disk stays there, and an error says so.

    So it is where the policy does not say any more that events are kept, and after `orphan_keep_s`, too.
    """

    class Queues:
        @evframe.hookimpl(tryfirst=True)
        def open_queue(self, room):
            return MemoryQueue(room)

    path = Path(configuration(tmp_path, f"unix:{tmp_path / 'peer'}"))
    said = "events on disk wait, because their subscribers have queues elsewhere"
    async with evframe.EventInterface.from_toml(path) as events:
        events.raise_event("E_KEPT", {"number": 1})
    assert said not in caplog.text
    monkeypatch.setitem(sys.modules, "other_queues", types.SimpleNamespace(Queues=Queues))
    install(queues="other_queues:Queues")
    async with evframe.EventInterface.from_toml(path) as events:
        assert said in caplog.text
        assert events.statistics[0].raised == 0
    caplog.clear()
    with_policy = path.read_text()
    path.write_text(
        with_policy.replace('keep = "disk"', "").replace("[plugins.journal]", "[plugins.journal]\norphan_keep_s = 0")
    )
    async with evframe.EventInterface.from_toml(path) as events:
        assert said in caplog.text
        events.reload()
        for _ in range(20):
            events.plugin("journal")._journal.tick()
            await asyncio.to_thread(lambda: None)  # time for what would be removed
        assert (events.plugin("journal").on_disk, events.plugin("journal").orphaned) == (1, 0)
    path.write_text(with_policy)
    reader.bind(tmp_path / "peer")
    path.write_text(path.read_text().replace("disable = [", 'disable = ["queues", '))
    async with evframe.EventInterface.from_toml(path):
        await until(lambda: reader.numbers == [1])


async def test_a_reload_does_not_take_the_file_from_those_who_are_kept(tmp_path, reader):
    """Without the plugin, what is on disk would wait for ever, and new events behind it: such a reload is refused."""
    peer = tmp_path / "peer"
    path = Path(configuration(tmp_path, f"unix:{peer}"))
    before, _, rest = path.read_text().partition("[plugins.journal]")
    without = before.replace("disable = [", 'disable = ["journal", ') + rest[rest.index("[[events]]") :]
    async with evframe.EventInterface.from_toml(path) as events:
        for number in range(200):
            events.raise_event("E_KEPT", {"number": number})
        path.write_text(without)
        with pytest.raises(evframe.ConfigError, match=r"plugins.journal: expected it as before"):
            events.reload()
        reader.bind(peer)
        await until(lambda: reader.numbers == list(range(200)))


@pytest.mark.parametrize(
    "value", [b"\xff\x00", "", 10**30, {"deep": [[]]}, "x" * 60_000], ids=lambda value: repr(value)[:20]
)
async def test_every_value_comes_after_a_restart(tmp_path, reader, value):
    """An event is delivered by a later process with the same bytes, whatever its parameters are, UTF-8 or not."""
    peer = tmp_path / "peer"
    path = configuration(tmp_path, f"unix:{peer}")
    async with evframe.EventInterface.from_toml(path) as events:
        events.raise_event("E_KEPT", {"number": value})
        payload = events.event("E_KEPT").snapshot({"number": value}, 1.0).payload
        await until(lambda: kept_in(tmp_path / "events.journal") == 1)
    reader.bind(peer)
    async with evframe.EventInterface.from_toml(path) as events:
        await until(lambda: not events.statistics[0].depth)
        await until(lambda: reader.payloads == [payload])


async def test_a_socket_that_is_no_text_is_kept_as_others(tmp_path, reader):
    """A path with bytes that are no UTF-8 is kept, keeps no other subscriber off the disk, and comes back."""
    peer = tmp_path / "peer\udcff"
    path = configuration(tmp_path, f"unix:{tmp_path / 'other'}")
    async with evframe.EventInterface.from_toml(path) as events:
        events.subscribe_event("E_KEPT", f"unix:{peer}")
        outcomes = await events.raise_event_and_wait("E_KEPT", {"number": 1}, until="stored")
        assert [outcome.reason for outcome in outcomes] == ["stored"] * 2
    reader.bind(peer)
    async with evframe.EventInterface.from_toml(path) as events:
        events.subscribe_event("E_KEPT", f"unix:{peer}")
        await until(lambda: reader.numbers == [1])


async def test_callers_that_wait_for_the_disk_leave_nothing_behind(tmp_path, reader):
    """While the peer takes all and nothing is written, a subscriber remembers no event that was waited for."""
    reader.bind(tmp_path / "peer")
    async with evframe.EventInterface.from_toml(configuration(tmp_path, f"unix:{tmp_path / 'peer'}")) as events:
        for number in range(50):
            await events.raise_event_and_wait("E_KEPT", {"number": number}, until="stored")
        gc.collect()
        assert sum(type(each) is UntilStored for each in gc.get_objects()) <= 1


async def test_a_subscriber_with_another_policy_is_kept_after_a_reload(tmp_path):
    """A reload has a subscriber kept whose events were sent at a rate, and keeps the rate; so does another reload."""
    path = Path(configuration(tmp_path, f"unix:{tmp_path / 'peer'}"))
    text = path.read_text()
    path.write_text(text.replace('keep = "disk"', "rate = 1000"))
    async with evframe.EventInterface.from_toml(path) as events:
        for number, policy in enumerate(
            ('keep = "disk"\nrate = 1000', 'keep = "disk"\nrate = 500', 'keep = "disk"'), 1
        ):
            path.write_text(text.replace('keep = "disk"', policy))
            events.reload()
            (outcome,) = await events.raise_event_and_wait("E_KEPT", {"number": number}, until="stored")
            assert outcome.reason == "stored"
            assert kept_in(tmp_path / "events.journal") == number
