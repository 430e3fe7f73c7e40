"""The main job, shown: a gateway delivers to four subscribers, one of which dies and comes back.

Run it with the Python of an environment in which evframe and its plugins are installed::

    python examples/demo.py

It starts `evframe run` with `demo.toml` in a temporary folder, raises an event every 0.2 s over
the management interface, and prints who has received it. It ends by itself, with exit code 0 when
every event reached every subscriber.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evframe_client import Client, ManagementError

HERE = Path(__file__).resolve().parent
SUBSCRIBERS = ("udp", "tcp", "file", "route")
EVENTS = 12
DIES_AFTER, COMES_BACK_AFTER = 4, 8
PAUSE_S = 0.2
PATIENCE_S = 60.0


class Board:
    """What each subscriber has received, in its order, and the first event as each of them got it."""

    def __init__(self) -> None:
        self.received: dict[str, list[int]] = {name: [] for name in SUBSCRIBERS}
        self.first: dict[str, str] = {}

    def add(self, subscriber: str, number: int, text: str) -> None:
        """Add an event that a subscriber has received."""
        self.first.setdefault(subscriber, text)
        self.received[subscriber].append(number)

    def missing(self, number: int) -> list[str]:
        """Return the subscribers that have not received an event."""
        return [name for name, numbers in self.received.items() if number not in numbers]


class UdpReceiver(threading.Thread):
    """Receives datagrams."""

    def __init__(self, board: Board) -> None:
        super().__init__(daemon=True)
        self.board = board
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    def run(self) -> None:
        """Add each datagram."""
        while True:
            text = self.sock.recv(65536).decode()
            self.board.add("udp", json.loads(text)["params"]["seconds"], text)


class TcpReceiver(threading.Thread):
    """Receives messages on a connection; it can die, and another one can take its port."""

    def __init__(self, board: Board, port: int = 0) -> None:
        super().__init__(daemon=True)
        self.board = board
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.connection: socket.socket | None = None

    def run(self) -> None:
        """Add each message of each connection."""
        decode = json.JSONDecoder().raw_decode
        while True:
            try:
                self.connection, _ = self.listener.accept()
                text = ""
                while data := self.connection.recv(65536):
                    text += data.decode()
                    while text:
                        message, end = decode(text)
                        self.board.add("tcp", message["params"]["seconds"], text[:end])
                        text = text[end:]
            except OSError:
                return

    def die(self) -> None:
        """Close everything, as a process that ends would."""
        self.listener.close()
        if self.connection is not None:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.connection.close()


class LineReader(threading.Thread):
    """Adds the lines of a file, or of a pipe, that end in a number of seconds."""

    def __init__(self, board: Board, subscriber: str, read_line: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self.board, self.subscriber, self.read_line = board, subscriber, read_line

    def run(self) -> None:
        """Add each line; look twenty times a second where reading does not wait."""
        while True:
            line = self.read_line().strip()
            if found := re.search(r"(\d+)( s)?$", line):
                self.board.add(self.subscriber, int(found[1]), line)
            else:
                time.sleep(0.05)


def lines_of(path: Path) -> Callable[[], str]:
    """Return what reads the next line of a file, which may be missing yet."""
    opened: list[Any] = []

    def read_line() -> str:
        if not opened and path.exists():
            opened.append(path.open())
        return opened[0].readline() if opened else ""

    return read_line


def free_port() -> int:
    """Return a port that no process uses now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def start_gateway(folder: Path, ports: dict[str, int]) -> subprocess.Popen[str]:
    """Start the gateway with the configuration of the demonstration, on free ports; its log goes to a file."""
    text = (HERE / "demo.toml").read_text()
    for original, name in (("8899", "mi"), ("8081", "udp"), ("8082", "tcp")):
        text = re.sub(rf"\b{original}\b", str(ports[name]), text)
    (folder / "demo.toml").write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "evframe", "run", "-c", "demo.toml"]
    with (folder / "log").open("w") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=log)


def wait_until(condition: Callable[[], object]) -> bool:
    """Wait until *condition* holds, and return whether it does, in time."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def answers(client: Client) -> bool:
    """Return whether the gateway answers."""
    try:
        client.call("pwd")
    except ManagementError:
        return False
    return True


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def mark(text: str) -> None:
    """Print a line that matters, in bold on a terminal."""
    is_bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    say(f"\x1b[1m==> {text}\x1b[0m" if is_bold else f"==> {text}")


def show_row(board: Board, number: int) -> None:
    """Print who has received an event."""
    missing = board.missing(number)
    say(f"{number:>5}" + "".join(f"{'waits' if name in missing else 'ok':>8}" for name in SUBSCRIBERS))


def show_first(board: Board) -> None:
    """Print the first event as each subscriber got it."""
    for name in SUBSCRIBERS:
        lines = board.first.get(name, "nothing").replace(',"params"', ',\n"params"').splitlines()
        say("\n".join(f"{'' if index else name:8}{line}" for index, line in enumerate(lines)))


class Story:
    """The subscribers, and what happens to them."""

    def __init__(self, client: Client, board: Board, tcp: TcpReceiver) -> None:
        self.client, self.board, self.tcp = client, board, tcp

    def run(self) -> None:
        """Raise the events, and print what comes of them."""
        for number in range(1, EVENTS + 1):
            if number == DIES_AFTER + 1:
                mark("the TCP subscriber dies; its events wait in the gateway")
                self.tcp.die()
            if number == COMES_BACK_AFTER + 1:
                self.come_back()
            self.raise_event(number)
            time.sleep(PAUSE_S)

    def raise_event(self, number: int) -> None:
        """Raise an event, and print who has received it, once every connected one has."""
        self.client.call(
            "raise_event", ["E_CALL_ENDED", {"caller": f"sip:user{number}@example.com", "seconds": number}]
        )
        away = ["tcp"] if DIES_AFTER < number <= COMES_BACK_AFTER else []
        wait_until(lambda: self.board.missing(number) == away)
        if number == 1:
            mark("a gateway delivers an event to four subscribers, each in its own way")
            show_first(self.board)
            mark("the events after it, and who has received them")
            say("event" + "".join(f"{name:>8}" for name in SUBSCRIBERS))
        show_row(self.board, number)

    def come_back(self) -> None:
        """Have the TCP subscriber come back, and print what it gets."""
        mark("the TCP subscriber is back; it gets what it missed, then what is new")
        before = len(self.board.received["tcp"])
        TcpReceiver(self.board, self.tcp.port).start()
        wait_until(lambda: not any("tcp" in self.board.missing(each) for each in range(1, COMES_BACK_AFTER + 1)))
        got = self.board.received["tcp"][before:]
        say(f"{'':5}{'':8}{', '.join(map(str, got)):>8}")


def main() -> int:
    """Run the demonstration."""
    board = Board()
    udp, tcp = UdpReceiver(board), TcpReceiver(board)
    ports = {"mi": free_port(), "udp": udp.port, "tcp": tcp.port}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        gateway = start_gateway(folder, ports)
        assert gateway.stdout is not None
        file = LineReader(board, "file", lines_of(folder / "calls.log"))
        route = LineReader(board, "route", gateway.stdout.readline)
        for receiver in (udp, tcp, file, route):
            receiver.start()
        client = Client(f"http://127.0.0.1:{ports['mi']}/mi")
        try:
            wait_until(lambda: gateway.poll() is not None or answers(client))
            Story(client, board, tcp).run()
            statistics = client.call("evi:statistics")["Subscribers"]
        except ManagementError as error:
            say(f"{error}; the gateway says:\n{(folder / 'log').read_text()}")
            return 1
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(30)
    for counters in statistics:
        outcome = f"raised {counters['raised']}, delivered {counters['delivered']}, failed {counters['failed']}"
        say(f"{counters['socket']:24}{outcome}")
    complete = not any(board.missing(number) for number in range(1, EVENTS + 1))
    mark("every event reached every subscriber" if complete else "events are missing")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
