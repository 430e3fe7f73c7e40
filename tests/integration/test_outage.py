"""A peer that is gone for two seconds in the middle of eight: nothing is lost with default options."""

import asyncio
import json
import os
import socket
import time
from contextlib import AsyncExitStack

import pytest
from brokers.load import LIMIT_S, RATE
from evframe_datagram import DatagramTransport
from evframe_flatstore import FlatstoreTransport
from evframe_stream import Options, StreamTransport
from evframe_wire.framing import Splitter
from numbered import assert_exactly, assert_in_order
from stream_servers import StreamServer

import evframe

SECONDS, GONE_FROM, GONE_TO = 8, 3, 5


class TcpPeer(StreamServer):
    """Reads messages, answers those with an id, and goes away as it is told."""

    def __init__(self):
        super().__init__(self.serve)
        self.numbers = []
        self.paused = asyncio.Event()
        self.paused.set()

    def go_away(self):
        self.refuse()
        self.reset()

    async def serve(self, reader, writer):
        splitter = Splitter(1 << 20)
        while data := await reader.read(65536):
            await self.paused.wait()
            for message in splitter.read(data):
                self.numbers.append(message["params"]["n"])
                if "id" in message:
                    writer.write(b'{"jsonrpc":"2.0","result":1,"id":%d}' % message["id"])


class DatagramPeer:
    """Reads datagrams at an address."""

    family = socket.AF_UNIX

    def __init__(self, address):
        self.address = address
        self.numbers = []
        self.sock = None

    def open(self):
        self.sock = socket.socket(self.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.bind(self.address)
        self.address = self.sock.getsockname()
        self.resume()

    def read(self):
        try:
            while True:
                self.numbers.append(json.loads(self.sock.recv(4096))["params"]["n"])
        except BlockingIOError:
            pass

    def pause(self):
        asyncio.get_running_loop().remove_reader(self.sock)

    def resume(self):
        asyncio.get_running_loop().add_reader(self.sock, self.read)

    def close(self):
        self.read()
        self.pause()
        self.sock.close()
        if self.family == socket.AF_UNIX:
            os.unlink(self.address)


class UdpPeer(DatagramPeer):
    """Reads UDP."""

    family = socket.AF_INET


async def schedule(begin, steps):
    """Run each step at its second."""
    for at, step in steps:
        await asyncio.sleep(max(0.0, begin + at - time.monotonic()))
        result = step()
        if asyncio.iscoroutine(result):
            await result


async def raise_all(begin, events):
    """Raise at the rate, whatever the subscribers do."""
    for number in range(RATE * SECONDS):
        due = begin + number / RATE
        if time.monotonic() < due:
            await asyncio.sleep(due - time.monotonic())
        events.raise_event("E_OUT", {"n": number})


def check_outcomes(statistics, sure_hung, udp):
    """Fail unless the counters say of each peer what became of its events."""
    count = RATE * SECONDS
    for counters in statistics:
        assert counters.raised == counters.delivered + counters.failed, counters
        if str(sure_hung.port) in counters.socket:
            # Requests without a reply for a second count as failed; the peer reads them later all the same.
            assert set(counters.reasons) <= {"timeout"}, counters
        elif counters.socket.startswith("udp:"):
            # Each datagram that nobody got is a failure, and none that somebody got is one.
            assert counters.reasons == {"refused": count - len(udp.numbers)}, counters
            assert counters.failed > RATE * (GONE_TO - GONE_FROM) / 2, counters
        else:
            assert counters.failed == 0, counters


@pytest.mark.timeout(60 + LIMIT_S)
async def test_outage_loses_nothing(request, tmp_path):
    """Closed or hung for 2 s of 8, at `RATE` events a second: UNIX datagram, tcp, tcp reliable and flatstore lose none."""
    closed, hung = TcpPeer(), TcpPeer()
    sure_closed, sure_hung = TcpPeer(), TcpPeer()
    unix_closed, unix_hung = DatagramPeer(str(tmp_path / "closed")), DatagramPeer(str(tmp_path / "hung"))
    udp = UdpPeer(("127.0.0.1", 0))
    tcp = [closed, hung]
    sure = [sure_closed, sure_hung]
    datagram = [unix_closed, unix_hung, udp]
    for peer in datagram:
        peer.open()
    flat = {name: tmp_path / f"{name}.log" for name in ("renamed", "unlinked")}
    old = {name: open(path, "a+") for name, path in flat.items()}  # noqa: SIM115 kept over the whole test
    for file in old.values():
        request.addfinalizer(file.close)

    plain = evframe.EventInterface(
        plugins={"datagram": DatagramTransport(), "flatstore": FlatstoreTransport(), "stream": StreamTransport()}
    )
    reliable = evframe.EventInterface(plugins={"stream": StreamTransport(Options(reliable_mode=True))})
    async with AsyncExitStack() as stack:
        for peer in (*tcp, *sure):
            await stack.enter_async_context(peer)
            stack.push_async_callback(peer.ended)
        for events in (plain, reliable):
            await stack.enter_async_context(events)
        for events in (plain, reliable):
            events.register_event("E_OUT")
        for peer in tcp:
            plain.subscribe_event("E_OUT", f"tcp:127.0.0.1:{peer.port}")
        for peer in sure:
            reliable.subscribe_event("E_OUT", f"tcp:127.0.0.1:{peer.port}")
        for text in (f"unix:{unix_closed.address}", f"unix:{unix_hung.address}", "udp:%s:%d" % udp.address):
            plain.subscribe_event("E_OUT", text)
        for path in flat.values():
            plain.subscribe_event("E_OUT", f"flatstore:{path}")
        begin = time.monotonic() + 0.1

        def go_away():
            for peer in (closed, sure_closed):
                peer.go_away()
            for peer in (unix_closed, udp):
                peer.close()
            hung.paused.clear()
            sure_hung.paused.clear()
            unix_hung.pause()

        await asyncio.gather(
            raise_all(begin, plain),
            raise_all(begin, reliable),
            schedule(
                begin,
                [
                    (GONE_FROM, go_away),
                    (GONE_FROM, lambda: flat["renamed"].rename(tmp_path / "renamed.1")),
                    (GONE_FROM, lambda: flat["unlinked"].unlink()),
                    (GONE_TO, closed.open),
                    (GONE_TO, sure_closed.open),
                    (GONE_TO, unix_closed.open),
                    (GONE_TO, udp.open),
                    (GONE_TO, lambda: [hung.paused.set(), sure_hung.paused.set(), unix_hung.resume()]),
                ],
            ),
        )
        async with asyncio.timeout(LIMIT_S):
            while any(counters.depth for events in (plain, reliable) for counters in events.statistics):
                await asyncio.sleep(0.01)
        statistics = [*plain.statistics, *reliable.statistics]
    for peer in datagram:
        peer.close()

    check_outcomes(statistics, sure_hung, udp)
    count = RATE * SECONDS
    assert_exactly(hung.numbers, count)
    assert_exactly(sure_hung.numbers, count)
    assert_exactly(unix_hung.numbers, count)
    assert_exactly(unix_closed.numbers, count)
    assert_in_order(closed.numbers, count)  # what was under way when the connection ended may come again
    assert_in_order(sure_closed.numbers, count)
    assert udp.numbers == sorted(set(udp.numbers))
    for name, path in flat.items():
        old[name].seek(0)
        lines = old[name].read().splitlines() + path.read_text().splitlines()
        old[name].close()
        assert_exactly([int(line.split(",")[1]) for line in lines], count)
