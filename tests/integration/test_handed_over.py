"""Gateways that take their sockets over from the process that holds them, as systemd does."""

import json
import os
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers.own import free_port
from evframe_client import Client, ManagementError
from processes import child, until

EVENT = "E_PIKE_BLOCKED"
REMOTE = f'[core]\nstate_path = ""\n[[events]]\nname = "{EVENT}"\n'
VERSION = b'{"jsonrpc":"2.0","id":5,"method":"version"}'
BIN = Path(sys.executable).parent
HOLDER = """
import os, sys
names, words = sys.argv[1].split(":"), sys.argv[2 + len(sys.argv[1].split(":")):]
for number, descriptor in enumerate(sys.argv[2:2 + len(names)], 100):
    os.dup2(int(descriptor), number)
for number in range(len(names)):
    os.dup2(100 + number, 3 + number)
    os.close(100 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
os.execv(words[0], words)
"""


@pytest.fixture(params=["udp", "unix", "tcp"])
def held(request, tmp_path):
    """Return a socket that the test holds, and the options of an instance whose events arrive at it."""
    path = f"{tmp_path}/proxy.sock"
    family = socket.AF_UNIX if request.param == "unix" else socket.AF_INET
    kind = socket.SOCK_STREAM if request.param == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as sock:
        sock.bind(path if request.param == "unix" else ("127.0.0.1", 0))
        if request.param == "tcp":
            sock.listen(16)
        place = f'path = "{path}"' if request.param == "unix" else f"port = {sock.getsockname()[1]}"
        yield sock, f'transport = "{request.param}"\n{place}\n'


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(60)
        yield sock


class Fleet:
    """An instance, and gateways one after the other, or beside each other, that bridge it with the same socket."""

    def __init__(self, remote, held, receiver, folder):
        self.remote, self._receiver, self._folder = remote, receiver, folder
        self._held, self._place = held
        self.raised = 0

    @contextmanager
    def bridge(self, name):
        """Run a gateway until the end of the block, with SIGTERM; it is attached at the beginning."""
        port = free_port()
        file = self._folder / f"{name}.toml"
        file.write_text(
            f'[core]\nstate_path = ""\n[plugins.mi-http]\nbind = "127.0.0.1:{port}"\n'
            '[plugins.opensips]\nmodules = ["pike"]\ncheck_interval_s = 0.1\n'
            f'[[plugins.opensips.instances]]\nname = "proxy"\nurl = "{self.remote.url}"\n{self._place}'
            f'[[subscriptions]]\nevent = "{EVENT}"\nsocket = "udp:127.0.0.1:{self._receiver.getsockname()[1]}"\n'
        )
        words = ("-c", HOLDER, "proxy", str(self._held.fileno()), str(BIN / "evframe"), "run", "-c", str(file))
        with child(sys.executable, *words, pass_fds=[self._held.fileno()]) as process:
            client = Client(f"http://127.0.0.1:{port}/mi")
            until(lambda: process.poll() is None and self._is_attached(client))
            yield
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0

    @staticmethod
    def _is_attached(client):
        try:
            return any(each["ready"] for each in client.call("opensips:instances")["Instances"])
        except ManagementError:
            return False

    def raise_events(self, count):
        for _ in range(count):
            self.remote.client.call("raise_event", [EVENT, {"ip": str(self.raised)}])
            self.raised += 1

    def received(self, count):
        """Return the numbers of the next *count* events, in the order in which they come."""
        return [int(json.loads(self._receiver.recv(65536))["params"]["ip"]) for _ in range(count)]


@pytest.fixture
def fleet(gateway, held, receiver, tmp_path):
    return Fleet(gateway(REMOTE), held, receiver, tmp_path)


def test_restart(fleet):
    """What an instance sends while no gateway runs waits in the kernel, and is raised by the next one, in order."""
    with fleet.bridge("first"):
        fleet.raise_events(5)
        assert fleet.received(5) == [0, 1, 2, 3, 4]
    fleet.raise_events(9)
    with fleet.bridge("second"):
        assert fleet.received(9) == [5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert fleet.remote.client.call("subscribers_list")["Events"]


def test_one_beside_the_other(fleet):
    """A gateway that starts beside the old one shares its socket, and each event is raised by one of them."""
    with fleet.bridge("old"):
        fleet.raise_events(5)
        with fleet.bridge("new"):
            fleet.raise_events(20)
        fleet.raise_events(5)
        assert sorted(fleet.received(30)) == list(range(30))


class Ports:
    """Management interfaces and metrics at sockets that the test holds, of one gateway after the other."""

    def __init__(self, folder):
        self.folder, self.log = folder, folder / "log"
        self.path = f"{folder}/mi.sock"
        self.http, self.metrics = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
        self.datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.datagrams.bind(self.path)
        os.chmod(self.path, 0o640)
        self.client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.client.bind(f"{folder}/client")
        self.client.settimeout(60)
        self.socks = {"web": self.http, "scrape": self.metrics, "mi": self.datagrams}
        self.configure(self.http.getsockname()[1])

    def configure(self, port):
        (self.folder / "evframe.toml").write_text(
            f'[core]\nstate_path = ""\n[plugins.mi-http]\nbind = "127.0.0.1:{port}"\n'
            f'[plugins.metrics]\nbind = "127.0.0.1:{self.metrics.getsockname()[1]}"\n'
            f'[plugins.mi-datagram]\nsocket_name = "{self.path}"\n'
        )

    def ask(self, number):
        self.client.sendto(b'{"jsonrpc":"2.0","id":%d,"method":"pwd"}' % number, self.path)

    def answered(self):
        return json.loads(self.client.recv(65536))["id"]

    def close(self):
        for sock in (*self.socks.values(), self.client):
            sock.close()

    @contextmanager
    def gateway(self):
        descriptors = [sock.fileno() for sock in self.socks.values()]
        words = [sys.executable, "-c", HOLDER, ":".join(self.socks), *map(str, descriptors)]
        words += [str(BIN / "evframe"), "run", "-c", f"{self.folder}/evframe.toml"]
        with self.log.open("a") as log, child(*words, pass_fds=descriptors, stderr=log) as process:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0


@pytest.fixture
def ports(tmp_path):
    ports = Ports(tmp_path)
    yield ports
    ports.close()


def test_ports_of_management_and_metrics(ports):
    """What clients send while no gateway runs is answered by the next one; a path and its mode stay."""
    for first in (0, 10):
        for number in range(first, first + 9):
            ports.ask(number)
        with socket.create_connection(ports.http.getsockname(), 60) as early, ports.gateway():
            early.sendall(
                b"POST /mi HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(VERSION), VERSION)
            )
            assert [ports.answered() for _ in range(9)] == list(range(first, first + 9))
            assert b"200 OK" in early.recv(65536)
            with socket.create_connection(ports.metrics.getsockname(), 60) as scrape:
                scrape.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
                assert b"200 OK" in scrape.recv(65536)
        assert os.stat(ports.path).st_mode & 0o777 == 0o640
    assert "handed over" not in ports.log.read_text()


def test_sockets_that_are_not_used(ports):
    """A socket whose address is not configured, and one that a reload leaves, are logged with their names."""

    def unused():
        found = map(json.loads, ports.log.read_text().splitlines())
        return [line["socket"] for line in found if line["message"] == "a socket that was handed over is not used"]

    with socket.create_server(("127.0.0.1", 0)) as other:
        ports.socks["other"] = other
        with ports.gateway() as process:
            ports.ask(1)
            assert ports.answered() == 1
            until(lambda: unused() == ["other"])
            ports.configure(free_port())
            process.send_signal(signal.SIGHUP)
            until(lambda: unused() == ["other", "web"])
            ports.configure(ports.http.getsockname()[1])
            process.send_signal(signal.SIGHUP)
            until(lambda: _is_answered(ports.http.getsockname()))
    assert unused() == ["other", "web"]


def _is_answered(address):
    return Client("http://{}:{}/mi".format(*address)).call("core:uptime") is not None
