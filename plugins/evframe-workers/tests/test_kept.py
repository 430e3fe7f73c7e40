"""Subscribers whose events the journal keeps: a worker delivers them, and neither side's death loses one."""

import asyncio
import socket

from evframe_workers.kept import KeptLedger
from numbered import assert_exactly, assert_in_order

from evframe.plugin import Policy
from evframe.testing import until


def kept(tmp_path, more=""):
    """Return the configuration of subscribers that are all kept."""
    return f"""{more}
[plugins.journal]
path = "{tmp_path / "journal"}"
[[policies]]
socket = "*"
keep = "disk"
"""


async def test_kept_subscribers_are_divided(workers, receiver, tmp_path):
    """Workers deliver the events in order and once; the front counts them and knows the outcomes."""
    async with workers(2, kept(tmp_path)) as front:
        file = tmp_path / "events"
        texts = [receiver.tcp, f"flatstore:{file}", "udp:127.0.0.1:9"]  # no process listens at this port
        leases = [front.subscribe_event("E_TEST", text) for text in texts]
        assert {type(lease.subscriber.queue) for lease in leases} == {KeptLedger}
        for number in range(500):
            front.raise_event("E_TEST", {"n": number})
        outcomes = await front.raise_event_and_wait("E_TEST", {"n": 500}, until="stored")
        assert {each.socket: each.reason for each in outcomes}["udp:127.0.0.1:9"] == "stored"
        await until(lambda: front.counters(receiver.tcp).delivered == 501)
        await until(lambda: front.counters(texts[1]).delivered == 501)
        await until(lambda: len(receiver.numbers) == 501)
        assert_exactly(receiver.numbers, 501)
        assert len(file.read_text().splitlines()) == 501
        await until(lambda: front.counters(texts[2]).away)
        for text in texts:
            each = front.counters(text)
            assert (each.raised, each.failed) == (501, 0)
            assert each.raised == each.delivered + each.depth


async def test_a_killed_worker_gets_the_events_from_the_journal(workers, receiver, tmp_path):
    """While events are raised, the worker is killed twice: each event arrives, in order but for what is sent again."""
    async with workers(1, kept(tmp_path)) as front:
        await front.lose_nothing_in_kills(receiver)


async def test_what_no_worker_has_delivered_is_there_after_the_end(workers, receiver, tmp_path):
    """The end fails no event of a peer that is away; the next process has its workers deliver all of them, in order."""
    with socket.socket() as peer:
        peer.bind(("127.0.0.1", 0))
        text = f"tcp:127.0.0.1:{peer.getsockname()[1]}"
        more = kept(tmp_path, f'[core]\nqueue_size = 100\n[[subscriptions]]\nevent = "E_TEST"\nsocket = "{text}"')
        async with workers(1, more) as front:
            await front.ready()
            for number in range(1000):  # more than there is room for in memory
                front.raise_event("E_TEST", {"n": number})
            await until(lambda: front.counters(text).away)
            assert front.counters(text).depth == 1000
        assert front.counters(text).failed == 0
        port = peer.getsockname()[1]
    await receiver.server.close()
    receiver.server.port = port
    await receiver.server.open()
    async with workers(1, more) as front:
        await until(lambda: len(receiver.numbers) == 1000)
        await front.settled()
        assert front.counters(text).delivered == 1000
    assert_exactly(receiver.numbers, 1000)


async def test_a_kept_subscriber_with_a_pace_and_an_age(workers, receiver, tmp_path):
    """The worker follows the policy; the bound of bytes is the journal's, which has room on disk."""
    async with workers(1, kept(tmp_path)) as front:
        policy = Policy(rate=1.0, burst=3, max_age_s=0.3, max_bytes=10_000, when_full="drop_newest")
        front.events.subscribe_event("E_TEST", receiver.udp, policy=policy)
        await front.ready()
        reports = [front.raise_event_and_wait("E_TEST", {"n": number}) for number in range(5)]
        outcomes = [report[0].reason for report in await asyncio.gather(*reports)]
        assert outcomes == [None, None, None, "expired", "expired"]
        assert front.counters(receiver.udp).reasons == {"expired": 2}


async def test_a_kept_subscriber_that_ends(workers, receiver, tmp_path):
    """Events that were raised before the end are delivered, in memory and on disk; then the worker forgets it."""
    async with workers(1, kept(tmp_path, "[core]\nqueue_size = 64")) as front:
        front.subscribe_event("E_TEST", receiver.tcp)
        for number in range(300):
            front.raise_event("E_TEST", {"n": number})
        front.unsubscribe_event("E_TEST", receiver.tcp)
        await until(lambda: len(front.events.statistics) == 1)
        await until(lambda: len(receiver.numbers) == 300)
        assert_exactly(receiver.numbers, 300)
        front.subscribe_event("E_TEST", receiver.tcp)
        await front.raise_event_and_wait("E_TEST", {"n": 300})
        await until(lambda: len(receiver.numbers) == 301)


async def test_a_reload_without_workers_and_with_kept_events(workers, receiver, tmp_path):
    """The process delivers from the journal what the workers have not."""
    async with workers(1, kept(tmp_path)) as front:
        front.subscribe_event("E_TEST", receiver.tcp)
        for number in range(50):
            front.raise_event("E_TEST", {"n": number})
        path = tmp_path / "evframe.toml"
        path.write_text(path.read_text().replace("disable = [", 'disable = ["workers", '))
        front.events.reload()
        await front.settled()
        assert (await front.raise_event_and_wait("E_TEST", {"n": 50}))[0].delivered
        await until(lambda: len(set(receiver.numbers)) == 51)
        assert_in_order(receiver.numbers, 51)
        assert not any(each.is_running for each in front.plugin.processes)


NAMING = """
import evframe
import attrs

@attrs.frozen
class Socket:
    canonical: str
    expires = True

class Naming:
    schemes = ("name",)

    @evframe.hookimpl
    def on_subscribe(self, scheme, rest):
        return Socket("name:" + rest) if scheme == "name" else None

    @evframe.hookimpl
    def deliver(self, socket, batch):
        with open(socket.canonical.partition(":")[2], "a") as file:
            for event, name in zip(batch.events, batch.ids):
                file.write(f"{event.get('n')} {name} {batch.is_kept}\\n")
        if evframe.__dict__.setdefault("attempts", 0) < 2:
            evframe.attempts += 1
            raise evframe.Unavailable("again", done=1)
        return True
"""


async def test_the_names_of_kept_events(workers, install, tmp_path, monkeypatch):
    """A transport gets the names that the journal gives, the same ones at each attempt and in each worker."""
    folder = install(name="naming:Naming")
    (folder / "naming.py").write_text(NAMING)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    path = tmp_path / "sent"
    async with workers(1, kept(tmp_path)) as front:
        front.subscribe_event("E_TEST", f"name:{path}")
        for number in range(20):
            front.raise_event("E_TEST", {"n": number})
        await front.settled()
    lines = [line.split() for line in path.read_text().splitlines()]
    assert {kept for _, _, kept in lines} == {"True"}
    names = {}
    for number, name, _ in lines:
        names.setdefault(int(number), set()).add(name)
    assert len(lines) > 20
    assert [len(names[number]) for number in range(20)] == [1] * 20
    assert len(set.union(*names.values())) == 20
    assert all(name.endswith(f"{number:016x}") for number, each in names.items() for name in each)
