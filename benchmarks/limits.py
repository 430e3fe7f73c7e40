"""The bare loops, in C and in Python, and the sinks that receive from them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


class Limits:
    """Builds the C program into *folder* and runs its loops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._program = folder / "limits"
        source = Path(__file__).resolve().parent / "limits.c"
        self._peers: dict[Any, Any] = {}
        self._stack = contextlib.ExitStack()
        subprocess.run(["cc", "-O2", "-o", self._program, source], check=True)

    def peer(self, start: Callable[[], contextlib.AbstractContextManager[Any]]) -> Any:
        """Return what a broker yields, such as its port; it runs from its first use to the end."""
        if start not in self._peers:
            self._peers[start] = self._stack.enter_context(start())
        return self._peers[start]

    def close(self) -> None:
        """End the brokers."""
        self._stack.close()

    def c(self, mode: str, target: object, size: int, count: int) -> float:
        """Return how many a second the C loop does."""
        command = [self._program, mode, str(target), str(size), str(count)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    @contextlib.contextmanager
    def sink(self, mode: str, target: object) -> Iterator[None]:
        """Run a C receiver in another process."""
        process = subprocess.Popen([self._program, f"sink-{mode}", str(target)])
        try:
            while not _is_there(mode, target):
                time.sleep(0.01)
            yield
        finally:
            process.kill()
            process.wait()

    def fresh(self, name: str) -> Path:
        """Return a path in the folder that does not exist."""
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return path


def _is_there(mode: str, target: object) -> bool:
    if mode == "unix":
        return Path(str(target)).exists()
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", int(str(target)))) == 0


def loop(call: Callable[[bytes], object], size: int, count: int) -> float:
    """Return how many calls a second a bare Python loop does."""
    data = b"x" * size
    start = time.perf_counter()
    for _ in range(count):
        call(data)
    return count / (time.perf_counter() - start)


def python_udp(port: int, size: int, count: int) -> float:
    """Return the rate of `send` on a connected socket."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        return loop(sender.send, size, count)


def python_unix(path: Path, size: int, count: int) -> float:
    """Return the rate of blocking `send` on a connected UNIX datagram socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(path))
        return loop(sender.send, size, count)


def python_tcp(port: int, size: int, count: int) -> float:
    """Return the rate of `sendall`, one call for each message."""
    with socket.create_connection(("127.0.0.1", port)) as sender:
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return loop(sender.sendall, size, count)


def python_write(path: Path, size: int, count: int) -> float:
    """Return the rate of `os.write`, one call for each line."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        return loop(lambda data: os.write(fd, data), size, count)
    finally:
        os.close(fd)
