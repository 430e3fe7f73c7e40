"""What the brokers that the tests start have in common: a folder, free ports, and an end that is sure."""

import contextlib
import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MARK = "EVFRAME_TESTS_FOLDER"
START_S = 90
LOCKS = Path(tempfile.gettempdir(), f"evframe-tests-ports-{os.getuid()}")

# Runs in a process of its own, which outlives this one however it ends: the pipe then ends as well.
END = """
import os, shutil, signal, sys
mark = sys.argv[1].encode()
sys.stdin.buffer.read()
for _ in range(3):  # a process may be starting another one
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environment:
                if mark in environment.read().split(b"\\0") and int(pid) != os.getpid():
                    os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


def free_port():
    """Return a port that nobody has, and that nobody gets while a broker is started and stopped.

    The kernel chooses higher ones, and the other processes of the tests respect the locks, which end with this one.
    """
    LOCKS.mkdir(exist_ok=True)
    while True:
        port = random.randrange(20_000, 32_000)
        lock = os.open(LOCKS / str(port), os.O_WRONLY | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.create_server(("127.0.0.1", port)):
                return port
        os.close(lock)


class OwnBroker:
    """A broker as a process of this one; it ends with it, even if this one is killed."""

    name = "a broker"

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="evframe-tests-"))
        mark = f"{MARK}={self.folder}"
        read, self._alive = os.pipe()
        command = [sys.executable, "-I", "-S", "-c", END, mark, str(self.folder)]
        self._end = subprocess.Popen(command, stdin=read, start_new_session=True)
        os.close(read)
        self.output = (self.folder / "output").open("w")
        self.process = None

    @property
    def environment(self):
        """The variables of its processes, by which each of them is found at the end."""
        return {**os.environ, MARK: str(self.folder)}

    def run(self, *command):
        """Start a program in the folder, with its output in a file there."""
        return subprocess.Popen(
            command,
            env=self.environment,
            cwd=self.folder,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def launch(self):
        """Return the process of the broker, which has begun to start."""
        raise NotImplementedError

    def answers(self):
        """Return whether the broker can be used."""
        raise NotImplementedError

    def start(self):
        """Start the broker, and return once it can be used."""
        self.process = self.launch()
        until = time.monotonic() + START_S
        while not self.answers():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > until:
                how = f"did not answer in {START_S} s" if ended is None else f"ended with {ended}"
                raise RuntimeError(f"{self.name} {how}: {self.printed}")
            time.sleep(0.05)

    @property
    def printed(self):
        """The end of what its processes have printed."""
        return (self.folder / "output").read_text(errors="replace")[-4000:]

    def stop(self, how=signal.SIGTERM):
        """End the broker; SIGKILL ends it as a crash would."""
        if self.process is None:
            return
        self.signal(how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=30)
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def signal(self, what):
        """Send a signal to the broker, such as SIGSTOP to have it hang."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, what)

    def remove(self):
        """End everything and remove the folder."""
        self.output.close()
        os.close(self._alive)
        self._end.wait()
        if self.process is not None:
            self.process.wait()
