"""Host names of tcp subscribers: looked up when a connection is made, and followed when they move."""

import json
import socket
from contextlib import asynccontextmanager

import pytest
from evframe_stream import Options, StreamTransport, parse
from silent import silent_listener
from stream_servers import StreamServer

import evframe
from evframe import Batch, Unavailable
from evframe.config import Config, CoreOptions
from evframe.testing import FakeNames, until

decode = json.JSONDecoder().raw_decode
OLD, NEW = "127.0.0.1", "127.0.0.2"


class Homes:
    """Peers with one port at two addresses, which keep the numbers of events with the address that read them."""

    def __init__(self, answers):
        self.answers = answers
        self.read = []
        self.connections = []

    async def serve(self, reader, writer):
        home = writer.get_extra_info("sockname")[0]
        self.connections.append(home)
        text = ""
        while data := await reader.read(1 << 16):
            text += data.decode()
            while text.endswith("}"):
                message, end = decode(text)
                text = text[end:]
                self.read.append((home, message["params"][0]))
                if self.answers:
                    writer.write(b'{"id":%d,"result":1}' % message["id"])


@asynccontextmanager
async def homes_of_peer(*, answers=False):
    homes = Homes(answers)
    async with StreamServer(homes.serve, OLD) as old, StreamServer(homes.serve, NEW, old.port) as new:
        homes.port = old.port
        yield homes
        await old.ended()
        await new.ended()


def named(names, every_s=0.0, **options):
    core = CoreOptions(resolve_every_s=every_s, resolve_timeout_s=0.5)
    events = evframe.EventInterface(Config(core), plugins={"stream": StreamTransport(Options(**options))})
    events.resolver.lookup = names
    events.register_event("E_TEST")
    return events


def test_parsing_looks_no_name_up(monkeypatch):
    """A socket is parsed without a lookup, and has the endpoint that it connects to."""

    def fail(*_, **__):
        raise AssertionError("a lookup")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert parse("nosuch.invalid:80/m").endpoints == (("nosuch.invalid", 80),)
    assert parse("[::1]:80").endpoints == (("::1", 80),)


async def test_a_name_that_does_not_resolve_is_away():
    """A subscriber whose name does not resolve is away, and gets its events once it does."""
    with FakeNames() as names:
        async with homes_of_peer() as homes, named(names) as events:
            lease = events.subscribe_event("E_TEST", f"tcp:peer.example:{homes.port}")
            events.raise_event("E_TEST", [1])
            await until(lambda: lease.subscriber.attempts)
            assert events.statistics[0].away == "unresolved"
            names["peer.example"] = [OLD]
            await until(lambda: homes.read == [(OLD, 1)])


@pytest.mark.parametrize("reliable", [False, True])
async def test_events_that_flow_follow_the_name(reliable):
    """While events flow, the connection is exchanged when the address changes: each arrives once, in order."""
    with FakeNames({"peer.example": [OLD]}) as names:
        options = {"reliable_mode": reliable, "timeout_ms": 20_000}
        async with homes_of_peer(answers=reliable) as homes, named(names, every_s=0.05, **options) as events:
            lease = events.subscribe_event("E_TEST", f"tcp:peer.example:{homes.port}")
            await events.raise_event_and_wait("E_TEST", [0])
            names["peer.example"] = [NEW]
            raised = 1

            def has_moved():
                nonlocal raised
                for _ in range(20):
                    events.raise_event("E_TEST", [raised])
                    raised += 1
                return NEW in homes.connections

            await until(has_moved)
            for _ in range(5):
                has_moved()
            await until(lambda: not lease.subscriber.depth)
            await until(lambda: len(homes.read) >= raised)

    assert homes.connections == [OLD, NEW]
    assert [number for _, number in homes.read] == list(range(raised))
    assert lease.subscriber.delivered == raised


@pytest.mark.parametrize("reliable", [False, True])
async def test_connection_to_an_address_that_the_name_keeps_stays(reliable):
    """A connection stays while its address is among those of the name."""
    with FakeNames({"peer.example": [OLD]}) as names:
        async with (
            homes_of_peer(answers=reliable) as homes,
            named(names, every_s=0.05, reliable_mode=reliable) as events,
        ):
            events.subscribe_event("E_TEST", f"tcp:peer.example:{homes.port}")
            await events.raise_event_and_wait("E_TEST", [0])
            names["peer.example"] = [NEW, OLD]
            await until(lambda: len(events.resolver.known("peer.example", 1)) == 2)
            await events.raise_event_and_wait("E_TEST", [1])

    assert homes.connections == [OLD]


async def test_after_a_failure_the_name_is_looked_up_again():
    """A connection that fails has its name looked up again, and the next one goes to the new address."""
    with FakeNames({"peer.example": ["127.0.0.3"]}) as names:
        async with homes_of_peer() as homes, named(names) as events:
            lease = events.subscribe_event("E_TEST", f"tcp:peer.example:{homes.port}")
            events.raise_event("E_TEST", [1])
            await until(lambda: lease.subscriber.attempts)
            names["peer.example"] = [NEW]
            await until(lambda: homes.read == [(NEW, 1)])


async def test_idle_connection_follows_the_name():
    """An idle connection to an address that the name has no more is closed, and the next event goes to the new one."""
    with FakeNames({"peer.example": [OLD]}) as names:
        async with homes_of_peer() as homes, named(names, every_s=0.05) as events:
            events.subscribe_event("E_TEST", f"tcp:peer.example:{homes.port}")
            await events.raise_event_and_wait("E_TEST", [0])
            (connection,) = events.plugin("stream").connections
            names["peer.example"] = [NEW]
            await until(lambda: connection._kernel is None)
            await events.raise_event_and_wait("E_TEST", [1])
            await until(lambda: homes.read == [(OLD, 0), (NEW, 1)])


async def test_an_address_that_does_not_answer_leaves_time_to_the_next():
    """Of two addresses, the first of which answers no connection, the second gets the events."""
    silent = "127.0.0.3"
    with FakeNames({"peer.example": [silent, NEW]}) as names:
        async with homes_of_peer() as homes, named(names, connect_timeout_ms=400) as events:
            with silent_listener(silent, homes.port):
                lease = events.subscribe_event("E_TEST", f"tcp:peer.example:{homes.port}")
                events.raise_event("E_TEST", [1])
                await until(lambda: homes.read == [(NEW, 1)])
                assert lease.subscriber.attempts == 0


async def test_a_connection_that_is_closed_while_it_is_exchanged_opens_no_other():
    """What comes while a connection is exchanged is given back when it is closed for good, and nothing is opened."""
    with FakeNames({"peer.example": [OLD]}) as names:
        async with homes_of_peer(answers=True) as homes, named(names, reliable_mode=True) as events:
            lease = events.subscribe_event("E_TEST", f"tcp:peer.example:{homes.port}")
            await events.raise_event_and_wait("E_TEST", [0])
            transport = events.plugin("stream")
            (connection,) = transport.connections
            connection.addresses_changed(())
            sent = transport.deliver(lease.subscriber.socket, Batch(()))
            transport.stop()
            with pytest.raises(Unavailable):
                await sent
            assert connection._connecting is None
