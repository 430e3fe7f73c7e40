"""Workers as processes: what they deliver, what they report, and what their deaths cost."""

import asyncio
import json
import os
import re
import signal
import socket

import pytest
from evframe_wire.ids import id_of
from evframe_workers.ledger import Ledger
from numbered import assert_exactly, assert_in_order
from stream_servers import StreamServer

import evframe
from evframe import ConfigError
from evframe.plugin import CommandError, Policy
from evframe.testing import until


async def test_events_are_delivered_in_order_and_counted(workers, receiver):
    """Subscribers of two workers get every event once and in order; the front counts them and knows the outcomes."""
    async with workers(2) as front:
        front.subscribe_event("E_TEST", receiver.tcp)
        front.subscribe_event("E_TEST", "udp:127.0.0.1:9")  # no process listens at this port
        for number in range(500):
            front.raise_event("E_TEST", {"n": number})
        outcomes = await front.raise_event_and_wait("E_TEST", {"n": 500})
        assert {each.socket: each.reason for each in outcomes} == {receiver.tcp: None, "udp:127.0.0.1:9": "refused"}
        await until(lambda: len(receiver.numbers) == 501)
        assert_exactly(receiver.numbers, 501)
        counters = front.counters(receiver.tcp)
        assert (counters.raised, counters.delivered, counters.failed, counters.depth) == (501, 501, 0, 0)
        refused = front.counters("udp:127.0.0.1:9")
        assert refused.raised == refused.delivered + sum(refused.reasons.values())
        assert refused.reasons.keys() == {"refused"}
        assert isinstance(front.events.describe(receiver.tcp)["Worker"], int)


async def test_a_killed_worker_loses_nothing(workers, receiver):
    """While events are raised, a worker is killed twice: each event arrives, in order but for what is sent again."""
    async with workers(1) as front:
        await front.lose_nothing_in_kills(receiver)
        groups = {group.name: group for group in front.plugins.statistics()}
        assert groups["workers"].counters["restarts"] == 2
        assert groups["workers"].gauges == {"running": 1, "subscribers": 1}


async def test_an_unsubscribed_peer_gets_what_was_raised_before(workers, receiver):
    """After the end of a lease, the events that were raised before are delivered, and no others."""
    async with workers(1) as front:
        front.subscribe_event("E_TEST", receiver.udp)
        for number in range(10):
            front.raise_event("E_TEST", {"n": number})
        assert front.unsubscribe_event("E_TEST", receiver.udp)
        front.raise_event("E_TEST", {"n": 10})
        await until(lambda: len(front.events.statistics) == 1)  # the subscriber is released
        await until(lambda: len(receiver.numbers) == 10)
        assert_exactly(receiver.numbers, 10)
        assert front.events.statistics[-1].delivered == 10
        front.subscribe_event("E_TEST", receiver.udp)
        await front.raise_event_and_wait("E_TEST", {"n": 10})
        await until(lambda: len(receiver.numbers) == 11)
        assert front.counters(receiver.udp).delivered == 1


async def test_an_unsubscribed_peer_that_stays_away(workers):
    """What it has not taken in time fails once, and the subscriber is released."""
    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        text = f"tcp:127.0.0.1:{peer.getsockname()[1]}"
        async with workers(1, "[core]\ndrain_timeout_s = 0.3") as front:
            front.subscribe_event("E_TEST", text)
            await front.ready()
            report = asyncio.create_task(front.raise_event_and_wait("E_TEST", {"n": 1}))
            await until(lambda: front.counters(text).away)
            front.unsubscribe_event("E_TEST", text)
            (outcome,) = await report
            assert outcome.reason in {"refused", "unsubscribed"}  # of the last attempt, or of the end
            await until(lambda: len(front.events.statistics) == 1)
            assert front.events.statistics[-1].reasons == {outcome.reason: 1}
            assert front.plugin.statistics()[0].gauges == {"running": 1, "subscribers": 0}


async def test_policies_are_followed(workers, receiver):
    """The front filters, the worker paces, and what is too old fails with the worker's reason."""
    async with workers(1) as front:
        policy = Policy(where="n >= 5", only=["n"], rate=1.0, burst=3, max_age_s=0.2)
        front.events.subscribe_event("E_TEST", receiver.udp, policy=policy)
        await front.ready()
        waits = [front.raise_event_and_wait("E_TEST", {"n": number, "x": number}) for number in range(10)]
        outcomes = [report[0].reason for report in await asyncio.gather(*waits) if report]
        assert outcomes == [None, None, None, "expired", "expired"]
        await until(lambda: len(receiver.params) == 3)
        assert receiver.params == [{"n": 5}, {"n": 6}, {"n": 7}]
        assert front.counters(receiver.udp).reasons == {"expired": 2}


async def test_a_peer_that_is_away_is_shown_and_comes_back(workers):
    """The front shows why a worker cannot reach a peer, keeps the events, and reports each change once."""
    changes = []

    class Watch:
        @evframe.hookimpl
        def delivery_changed(self, socket, reason, event):
            changes.append((socket.canonical, reason, None if event is None else event.get("n")))

    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        text = f"tcp:127.0.0.1:{peer.getsockname()[1]}"
        async with workers(1) as front:
            front.plugins.register(Watch(), name="watch")
            lease = front.subscribe_event("E_TEST", text)
            front.raise_event("E_TEST", {"n": 1})
            await until(lambda: front.events.state(lease) == "away")
            counters = front.counters(text)
            assert (counters.depth, counters.away, counters.state) == (1, "refused", "away")
            assert lease.subscriber.queue.oldest is not None
            await until(lambda: changes)
            assert changes == [(text, "refused", 1)]
            front.kill(0)
            await until(lambda: not front.are_ready)
            await front.ready()
            await until(lambda: front.counters(text).away == "refused")
            peer.listen()
            await front.settled()
            await until(lambda: front.events.state(lease) == "connected")
            await until(lambda: changes[1:])
            assert changes[1:] == [(text, None, None)]


async def test_a_reload_reaches_the_workers(workers, receiver, tmp_path):
    """A reload subscribes, ends, and exchanges a transport in the workers; the number of workers stays."""
    async with workers(1, f'[[subscriptions]]\nevent = "E_TEST"\nsocket = "{receiver.udp}"') as front:
        assert (await front.raise_event_and_wait("E_TEST", {"n": 0}))[0].delivered
        path = tmp_path / "evframe.toml"
        before = path.read_text()
        path.write_text(before.replace(receiver.udp, receiver.tcp) + "[plugins.stream]\nreliable_mode = true\n")
        front.events.reload()
        report = await front.raise_event_and_wait("E_TEST", {"n": 1}, timeout_s=0.5)
        assert [(each.socket, each.reason) for each in report] == [(receiver.tcp, "pending")]  # for its reply
        await until(lambda: len(receiver.numbers) == 2)
        assert receiver.numbers == [0, 1]
        path.write_text(before.replace("count = 1", "count = 2"))
        with pytest.raises(ConfigError, match=r"plugins\.workers\.count: expected 1 as before"):
            front.events.reload()
        path.write_text(before)
        front.events.reload()
        assert (await front.raise_event_and_wait("E_TEST", {"n": 2}))[0].delivered


async def test_a_reload_without_the_plugin(workers, receiver, tmp_path):
    """The process delivers what the workers have not, and what comes; workers that come back deliver again."""
    async with workers(1) as front:
        front.subscribe_event("E_TEST", receiver.udp)
        front.raise_event("E_TEST", {"n": 0})  # before the worker is ready
        report = asyncio.create_task(front.raise_event_and_wait("E_TEST", {"n": 1}))
        await asyncio.sleep(0)
        path = tmp_path / "evframe.toml"
        before = path.read_text()
        path.write_text(before.replace("disable = [", 'disable = ["workers", '))
        front.events.reload()
        assert (await report)[0].delivered
        assert (await front.raise_event_and_wait("E_TEST", {"n": 2}))[0].delivered
        await until(lambda: len(receiver.numbers) >= 3)
        assert_in_order(receiver.numbers, 3)
        assert not front.pids or not any(each.is_running for each in front.plugin.processes)
        path.write_text(before)
        front.events.reload()
        await until(lambda: front.events.describe(receiver.udp) == {"Worker": 0})
        assert (await front.raise_event_and_wait("E_TEST", {"n": 3}))[0].delivered


async def test_a_reload_without_the_plugin_loses_nothing_for_a_peer_that_is_away(workers, tmp_path):
    """What a worker has for it when it ends is delivered by the process when the peer is back, and counted once."""
    numbers = []

    async def serve(reader, _):
        while data := await reader.read(65536):
            numbers.extend(map(int, re.findall(rb'"n":([0-9]+)', data)))

    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))  # no process listens yet
        text = f"tcp:127.0.0.1:{peer.getsockname()[1]}"
        async with workers(1) as front:
            front.subscribe_event("E_TEST", text)
            for number in range(5):
                front.raise_event("E_TEST", {"n": number})
            await until(lambda: front.counters(text).away)
            path = tmp_path / "evframe.toml"
            path.write_text(path.read_text().replace("disable = [", 'disable = ["workers", '))
            front.events.reload()
            await until(lambda: not any(each.is_running for each in front.plugin.processes))
            assert front.counters(text).depth == 5
            async with StreamServer(serve, sock=peer.dup()):
                await until(lambda: len(numbers) == 5)
                await front.settled()
            counters = front.counters(text)
            assert (counters.raised, counters.delivered, counters.failed) == (5, 5, 0)
    assert numbers == list(range(5))


async def test_a_reload_without_the_plugin_takes_over_from_a_worker_that_hangs(workers, receiver, tmp_path):
    """A worker that is stopped is killed, and the process delivers what it had, though this takes longer than a drain."""
    async with workers(1, "[core]\ndrain_timeout_s = 0.3") as front:
        front.subscribe_event("E_TEST", receiver.udp)
        await front.ready()
        (pid,) = front.pids
        os.kill(pid, signal.SIGSTOP)
        report = asyncio.create_task(front.raise_event_and_wait("E_TEST", {"n": 0}))
        await asyncio.sleep(0)
        path = tmp_path / "evframe.toml"
        path.write_text(path.read_text().replace("disable = [", 'disable = ["workers", '))
        front.events.reload()
        assert (await report)[0].delivered
        assert receiver.numbers == [0]


async def test_the_front_keeps_what_only_it_can_deliver(workers, receiver):
    """Callables and the subscribers of an option are delivered by the front itself."""
    more = f"""
[routes]
E_TEST = "builtins:repr"
[plugins.workers]
local = ["{receiver.tcp}"]
"""
    async with workers(1, more) as front:
        front.subscribe_event("E_TEST", receiver.tcp)
        front.subscribe_event("E_TEST", receiver.udp)
        queues = {
            each.socket.canonical: each.queue
            for each in front.events.composition.loaded["workers"].context.roster.subscribers
        }
        assert {text for text, queue in queues.items() if isinstance(queue, Ledger)} == {receiver.udp}


async def test_a_full_queue_fails_the_newest_or_the_oldest(workers, receiver):
    """What finds no room fails with `queue_full`, as without workers."""
    for overflow, lost in (("drop_newest", 5), ("drop_oldest", 0)):
        receiver.numbers.clear()
        async with workers(1, f'[core]\nqueue_size = 10\noverflow = "{overflow}"') as front:
            front.subscribe_event("E_TEST", receiver.udp)
            for number in range(15 if lost else 25):
                front.raise_event("E_TEST", {"n": number})
            await front.settled()
            await until(lambda: len(receiver.numbers) == 10)
            reasons = front.counters(receiver.udp).reasons
        assert receiver.numbers == list(range(10) if lost else range(15, 25))
        assert reasons == {"queue_full": lost or 15}


async def test_another_overflow_of_a_reload(workers, receiver, tmp_path):
    """A reload decides which events of present subscribers find no room from then on."""
    async with workers(1, '[core]\nqueue_size = 10\noverflow = "drop_newest"') as front:
        front.subscribe_event("E_TEST", receiver.udp)
        path = tmp_path / "evframe.toml"
        path.write_text(path.read_text().replace("drop_newest", "drop_oldest"))
        front.events.reload()
        for number in range(25):
            front.raise_event("E_TEST", {"n": number})
        await front.settled()
        await until(lambda: len(receiver.numbers) == 10)
        assert receiver.numbers == list(range(15, 25))
        assert front.counters(receiver.udp).reasons == {"queue_full": 15}


async def test_what_is_left_at_the_end_fails(workers):
    """The end waits for the drain, then counts what no worker has delivered, and ends the processes."""
    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        text = f"tcp:127.0.0.1:{peer.getsockname()[1]}"
        async with workers(1, "[core]\ndrain_timeout_s = 0.3") as front:
            front.subscribe_event("E_TEST", text)
            front.raise_event("E_TEST", {"n": 1})
            await until(lambda: front.counters(text).away)
            pids = front.pids
        assert front.counters(text).reasons == {"shutdown": 1}
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)


CRASHING = """
import os
from pathlib import Path
import evframe
import attrs

@attrs.frozen
class Socket:
    canonical: str
    expires = True

class Crashing:
    schemes = ("crash",)

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Socket("crash:" + rest) if scheme == "crash" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        path = Path(socket.canonical.partition(":")[2])
        if not path.exists():
            path.write_text("")
            os.abort()
        with path.open("a") as file:
            file.writelines(f"{event.get('n')}\\n" for event in batch.events)
        return True
"""


async def test_a_transport_that_crashes_its_process(workers, receiver, install, tmp_path, monkeypatch):
    """A crash takes one worker for a moment, and neither the front nor an event."""
    folder = install(crash="crashing:Crashing")
    (folder / "crashing.py").write_text(CRASHING)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = tmp_path / "delivered"
    async with workers(1) as front:
        front.subscribe_event("E_TEST", f"crash:{path}")
        front.subscribe_event("E_TEST", receiver.udp)
        for number in range(20):
            front.raise_event("E_TEST", {"n": number})
        await front.settled()
        assert path.read_text().split() == [str(number) for number in range(20)]
        await until(lambda: len(set(receiver.numbers)) == 20)
        assert_in_order(receiver.numbers, 20)
        reports = [each.text for each in front.status.group("workers").find("0").reports]
        assert reports == ["ended by SIGABRT"]


async def test_a_file_and_a_unix_socket(workers, tmp_path):
    """One worker alone writes a file, whatever their number."""
    file, path = tmp_path / "events", tmp_path / "peer"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(str(path))
        peer.setblocking(False)
        async with workers(2) as front:
            front.subscribe_event("E_TEST", f"flatstore:{file}")
            front.subscribe_event("E_TEST", f"unix:{path}")
            for number in range(50):
                front.raise_event("E_TEST", {"n": number})
            loop = asyncio.get_running_loop()
            got = [json.loads(await loop.sock_recv(peer, 4096))["params"]["n"] for _ in range(50)]
            await front.settled()
        assert got == list(range(50))
        assert len(file.read_text().splitlines()) == 50


async def test_rabbitmq(workers, rabbitmq):
    """A worker waits for the broker's confirmation."""
    async with workers(1) as front:
        front.subscribe_event("E_TEST", f"rabbitmq:127.0.0.1:{rabbitmq.port}/no-such-queue")
        outcome = (await front.raise_event_and_wait("E_TEST", {"n": 1}))[0]
        assert outcome.reason == "unroutable"


async def test_a_command_about_a_file_reaches_its_worker(workers, tmp_path):
    """A file is rotated by the worker that writes it, and the events of the transport are raised at the front."""
    file = tmp_path / "events"
    async with workers(2) as front, front.events.listen("E_FLATSTORE_ROTATION") as rotations:
        front.subscribe_event("E_TEST", f"flatstore:{file}")
        assert (await front.raise_event_and_wait("E_TEST", {"n": 0}))[0].delivered
        file.rename(tmp_path / "old")
        command = front.events.commands.find("event_flatstore:rotate")
        assert await command.run({"path_to_file": str(file)}) == "OK"
        event = await anext(rotations)
        assert event.get("filename") == str(file)
        assert (await front.raise_event_and_wait("E_TEST", {"n": 1}))[0].delivered
        assert len((tmp_path / "old").read_text().splitlines()) == len(file.read_text().splitlines()) == 1
        with pytest.raises(CommandError, match="File not found"):
            await command.run({"path_to_file": "/no/such/file"})


NUMBERING = """
import os
from pathlib import Path
import evframe
from evframe_wire.ids import id_of
from crashing import Crashing

class Numbering(Crashing):
    @evframe.hookimpl
    def deliver(self, socket, batch):
        path = Path(socket.canonical.partition(":")[2])
        is_first = not path.exists()
        with path.open("a") as file:
            file.writelines(f"{event.get('n')} {id_of(event)}\\n" for event in batch.events)
        if is_first:
            os.abort()
        return True
"""


async def test_an_event_that_is_sent_again_has_its_id(workers, install, tmp_path, monkeypatch):
    """A worker gives an event the id that the one before it gave, by which streams and queues drop the second one."""
    folder = install(crash="numbering:Numbering")
    (folder / "crashing.py").write_text(CRASHING)
    (folder / "numbering.py").write_text(NUMBERING)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = tmp_path / "sent"
    async with workers(1) as front, front.events.listen("E_TEST") as stream:
        front.subscribe_event("E_TEST", f"crash:{path}")
        for number in range(20):
            front.raise_event("E_TEST", {"n": number})
        ids = {event.get("n"): id_of(event) for event in [await anext(stream) for _ in range(20)]}
        await front.settled()
    sent = [line.split() for line in path.read_text().splitlines()]
    assert len(sent) > 20
    assert {(int(number), name) for number, name in sent} == set(ids.items())
