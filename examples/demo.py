"""The main job, shown: a gateway delivers to four subscribers, one of which dies and comes back.

Run it with the Python of an environment in which evframe and its plugins are installed::

    python examples/demo.py

It starts `evframe run` with `demo.toml` in a folder of its own, raises an event every 0.1 s over
the management interface, and prints what each subscriber receives. It ends by itself, with exit
code 0 when every event reached every subscriber.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from evframe.client import Client, ManagementError

HERE = Path(__file__).resolve().parent
EVENTS = 30
DIES_AFTER, COMES_BACK_AFTER = 8, 18


def show(subscriber: str, text: str) -> None:
    """Print one line, with who received it first."""
    sys.stdout.write(f"{subscriber:12}{text}\n")
    sys.stdout.flush()


class UdpReceiver(threading.Thread):
    """Receives datagrams."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.received: list[int] = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def run(self) -> None:
        """Print each datagram."""
        while True:
            text = self.sock.recv(65536).decode()
            self.received.append(json.loads(text)["params"]["seconds"])
            show("udp", text)


class TcpReceiver(threading.Thread):
    """Receives messages on connections; it can die and come back."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.received: list[int] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.connection: socket.socket | None = None

    def run(self) -> None:
        """Print each message of each connection."""
        decode = json.JSONDecoder().raw_decode
        while True:
            try:
                self.connection, _ = self.listener.accept()
                text = ""
                while data := self.connection.recv(65536):
                    text += data.decode()
                    while text:
                        message, end = decode(text)
                        self.received.append(message["params"]["seconds"])
                        show("tcp", text[:end])
                        text = text[end:]
            except OSError:
                return

    def die(self) -> None:
        """Close everything, as a process that ends would."""
        self.listener.close()
        if self.connection is not None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.connection.close()

    def come_back(self) -> TcpReceiver:
        """Return a new receiver at the same port, with what this one has received."""
        again = TcpReceiver.__new__(TcpReceiver)
        threading.Thread.__init__(again, daemon=True)
        again.received = self.received
        again.listener = socket.create_server(("127.0.0.1", self.port))
        again.port = self.port
        again.connection = None
        again.start()
        return again


class FileFollower(threading.Thread):
    """Prints the lines of a file as they are appended."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.lines = 0

    def run(self) -> None:
        """Look for new lines twenty times a second."""
        while not self.path.exists():
            time.sleep(0.05)
        with self.path.open() as file:
            while True:
                if line := file.readline():
                    self.lines += 1
                    show("file", line.rstrip("\n"))
                else:
                    time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def start_gateway(folder: Path, ports: dict[str, int]) -> subprocess.Popen[str]:
    """Start the gateway with the configuration of the demonstration, on free ports."""
    text = (HERE / "demo.toml").read_text()
    for original, name in (("8899", "mi"), ("8081", "udp"), ("8082", "tcp")):
        text = re.sub(rf"\b{original}\b", str(ports[name]), text)
    (folder / "demo.toml").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "evframe", "run", "-c", "demo.toml", "--log-level", "warning"]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True)


def wait_for(client: Client) -> None:
    """Wait until the gateway answers."""
    until = time.monotonic() + 30
    while True:
        try:
            client.call("pwd")
        except ManagementError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def main() -> int:
    """Run the demonstration."""
    udp, tcp = UdpReceiver(), TcpReceiver()
    udp.start()
    tcp.start()
    ports = {"mi": free_port(), "udp": udp.port, "tcp": tcp.port}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gateway = start_gateway(folder, ports)
        follower = FileFollower(folder / "calls.log")
        follower.start()
        client = Client(f"http://127.0.0.1:{ports['mi']}/mi")
        try:
            wait_for(client)
            for number in range(1, EVENTS + 1):
                if number == DIES_AFTER:
                    show("----", "the TCP subscriber dies; its events wait in the gateway")
                    tcp.die()
                if number == COMES_BACK_AFTER:
                    show("----", "the TCP subscriber is back; it gets what it missed, then what is new")
                    tcp = tcp.come_back()
                client.call(
                    "raise_event", ["E_CALL_ENDED", {"caller": f"sip:user{number}@example.com", "seconds": number}]
                )
                time.sleep(0.1)
            until = time.monotonic() + 20
            while len(set(tcp.received)) < EVENTS and time.monotonic() < until:
                time.sleep(0.05)
            statistics = client.call("evi:statistics")["Subscribers"]
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(30)
        while follower.lines < EVENTS and time.monotonic() < until:
            time.sleep(0.05)
    for counters in statistics:
        show(
            "counted",
            f"{counters['socket']:28} raised {counters['raised']}, delivered {counters['delivered']}, failed {counters['failed']}",
        )
    expected = set(range(1, EVENTS + 1))
    complete = set(udp.received) == set(tcp.received) == expected and follower.lines == EVENTS
    show("result", "every event reached every subscriber" if complete else "events are missing")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
