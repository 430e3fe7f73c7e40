"""What every transport does, for UDP and UNIX datagrams."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest
from evframe_datagram import DatagramTransport

from evframe.testing import Peer, TransportContract


@asynccontextmanager
async def receiving(family, address, text):
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as receiver:
        receiver.bind(address)

        async def receive(count):
            loop = asyncio.get_running_loop()
            return [await loop.sock_recv(receiver, 4096) for _ in range(count)]

        yield Peer(text(receiver), receive)


class TestUdp(TransportContract):
    """UDP."""

    bad_sockets = ("udp:", "udp:127.0.0.1", "udp:127.0.0.1:0", "udp:127.0.0.1:70000")
    lost_sockets = ("unix:/no/such/path",)

    def transport(self):
        return DatagramTransport()

    def peer(self):
        return receiving(socket.AF_INET, ("127.0.0.1", 0), lambda sock: "udp:127.0.0.1:%d" % sock.getsockname()[1])


class TestUdp6(TestUdp):
    """UDP over IPv6 (D3)."""

    bad_sockets = ("udp:[]:1", "udp:[::1]", "udp:[::1]:0", "udp:[nosuch]:1")

    def peer(self):
        return receiving(socket.AF_INET6, ("::1", 0), lambda sock: "udp:[::1]:%d" % sock.getsockname()[1])


class TestUnix(TransportContract):
    """UNIX datagrams."""

    bad_sockets = ("unix:", "unix:" + "x" * 108, "unix:@")
    lost_sockets = ("unix:/no/such/path",)

    @pytest.fixture(autouse=True)
    def path(self, tmp_path):
        self.address = str(tmp_path / "ev")

    def transport(self):
        return DatagramTransport()

    def peer(self):
        return receiving(socket.AF_UNIX, self.address, lambda _: f"unix:{self.address}")
