"""What every transport does, for each way to a real rsyslog."""

import asyncio
from contextlib import asynccontextmanager
from itertools import count

import pytest
from evframe_syslog import Options, SyslogTransport

from evframe.testing import Peer, TransportContract

HOSTS = count()


class Contract(TransportContract):
    """The tests; a subclass has the way."""

    @pytest.fixture(autouse=True)
    def _broker(self, rsyslog):
        self.broker = rsyslog
        self.host = f"contract-{next(HOSTS)}"

    def transport(self):
        return SyslogTransport(Options(hostname=self.host, ca_file=str(self.broker.authority)))

    def place(self):
        return f"127.0.0.1:{self.broker.port}"

    @asynccontextmanager
    async def peer(self):
        taken = len(await asyncio.to_thread(self.broker.messages, self.host))

        async def receive(count):
            nonlocal taken
            found = []

            async def are_enough():
                found[:] = await asyncio.to_thread(self.broker.messages, self.host)
                return len(found) >= taken + count

            while not await are_enough():
                await asyncio.sleep(0.01)
            taken += count
            return [each["text"].encode() for each in found[taken - count : taken]]

        yield Peer(f"syslog:{self.way}:{self.place()}", receive)


class TestUdp(Contract):
    """UDP."""

    way = "udp"
    bad_sockets = ("syslog:", "syslog:udp", "syslog:udp:", "syslog:udp:h:0", "syslog:udp:h:70000", "syslog:sctp:h:1")
    lost_sockets = ("syslog:udp:127.0.0.1:1",)


class TestTcp(Contract):
    """TCP."""

    way = "tcp"
    bad_sockets = ("syslog:tcp:", "syslog:tcp:h:x", "syslog:tcp:::1", "syslog:tcp:h:514/path", "syslog:TCP:h")
    lost_sockets = ("syslog:tcp:127.0.0.1:1",)


class TestTls(Contract):
    """TLS."""

    way = "tls"
    bad_sockets = ("syslog:tls:", "syslog:tls:[::1", "syslog:tls://h")
    lost_sockets = ("syslog:tls:127.0.0.1:1",)

    def place(self):
        return f"localhost:{self.broker.tls_port}"


class TestUnix(Contract):
    """A UNIX socket."""

    way = "unix"
    bad_sockets = ("syslog:unix:", "syslog:unix", "syslog:unix:@", "syslog:unix:/" + "x" * 200)
    lost_sockets = ("syslog:unix:/nowhere/log",)

    def place(self):
        return str(self.broker.path)
