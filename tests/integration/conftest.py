"""The gateway as a process of its own, with every plugin of this repository."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from evframe_client import Client
from processes import bound

BIN = Path(sys.executable).parent


class Gateway:
    """A running `evframe run`, with the lines of its log."""

    def __init__(self, file, command=(BIN / "evframe",)):
        self.process = subprocess.Popen(
            bound(*command, "run", "-c", file),
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines = []
        self._new = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            bind = self.line("the management interface listens")["bind"]
        except BaseException:
            self.end()
            raise
        self.url = f"http://{bind}/mi"
        self.port = int(bind.rpartition(":")[2])
        self.client = Client(self.url)

    def _read(self):
        for line in self.process.stderr:
            self._new.put(line)
        self._new.put(None)

    def line(self, message):
        """Return the next line of the log that says *message*."""
        while True:
            line = self._new.get(timeout=30)
            if line is None:
                raise AssertionError(f"the gateway has ended: {self.lines}")
            self.lines.append(line)
            if message in line:
                return json.loads(line)

    def told(self, message):
        """Return the first line of the log that says *message*, which may have been passed already."""
        passed = next((line for line in self.lines if message in line), None)
        return self.line(message) if passed is None else json.loads(passed)

    def end(self):
        """Kill it, if it still runs."""
        self.process.kill()
        self._reader.join()  # to the end of the log
        with self.process:
            pass

    def stop(self):
        """Return the exit code after SIGTERM."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=30)
        return code


@pytest.fixture
def gateway(tmp_path):
    """Start gateways: `gateway(toml)`, at a port of their own or at a given one; *command* stands for `evframe`."""
    running = []

    def start(toml="", port=0, **options):
        file = tmp_path / "evframe.toml"
        file.write_text(f'[plugins.mi-http]\nbind = "127.0.0.1:{port}"\n' + toml)
        running.append(Gateway(str(file), **options))
        return running[-1]

    yield start
    for one in running:
        one.end()
