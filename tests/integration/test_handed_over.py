"""Gateways that take the sockets of a bridge over from the process that holds them, as systemd does."""

import json
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from evframe_client import Client, ManagementError
from processes import child, until

EVENT = "E_PIKE_BLOCKED"
REMOTE = f'[core]\nstate_path = ""\n[[events]]\nname = "{EVENT}"\n'
BIN = Path(sys.executable).parent
HOLDER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="proxy")
os.execv(sys.argv[2], sys.argv[2:])
"""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


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
        words = ("-c", HOLDER, str(self._held.fileno()), str(BIN / "evframe"), "run", "-c", str(file))
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
