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
from forks import starter
from processes import bound

BIN = Path(sys.executable).parent


class Gateway:
    """A running `evframe run`, with the lines of its log."""

    def __init__(self, process):
        self.process = process
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

    def start(toml="", port=0, command=None):
        file = tmp_path / "evframe.toml"
        file.write_text(f'[plugins.mi-http]\nbind = "127.0.0.1:{port}"\n' + toml)
        words, env = ("run", "-c", str(file)), {**os.environ, "PYTHONUNBUFFERED": "1"}
        if command is None:
            process = starter().start(BIN / "evframe", *words, env=env, output="stderr")
        else:
            process = subprocess.Popen(bound(*command, *words), stderr=subprocess.PIPE, text=True, env=env)
        running.append(Gateway(process))
        return running[-1]

    yield start
    for one in running:
        one.end()
