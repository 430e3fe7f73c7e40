"""What runs beside the demonstration, and what it prints."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

LIMIT_S = 30.0
_INDENT = " " * 10
_WIDTH = min(100, shutil.get_terminal_size((100, 24)).columns)
_printing = threading.Lock()


def show(who: str, text: str) -> None:
    """Print one line, with who tells it first; what is too long goes on below."""
    text = textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"{who:10}",
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    with _printing:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = LIMIT_S) -> None:
    """Wait until *condition* holds; TimeoutError with *what* was waited for when it takes too long."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"expected within {timeout_s:.0f} s: {what}")
        time.sleep(0.02)


class Program:
    """A Python program as a process of its own.

    Args:
        who: what it is called where its events are shown.
        words: its command line, without the interpreter.
        folder: where it runs.
    """

    def __init__(self, who: str, *words: str | Path, folder: Path) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        """Name and parameters of the events that it has printed."""
        self.messages: list[str] = []
        """The lines that it has printed to standard error."""
        self._who = who
        self._process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_messages)]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self.events.append((event["method"], event["params"]))
            show(self._who, f"{event['method']} {json.dumps(event['params'])}")

    def _read_messages(self) -> None:
        assert self._process.stderr is not None
        self.messages.extend(self._process.stderr)

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self._process.poll() is not None

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and read what it has printed to the end."""
        self._process.send_signal(how)
        self._process.wait(LIMIT_S)
        for reader in self._readers:
            reader.join(LIMIT_S)


class File:
    """Shows the lines of a file as they are appended, from when it is there."""

    def __init__(self, path: Path) -> None:
        self.lines: list[str] = []
        self._path = path
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while not self._path.exists():
            time.sleep(0.05)
        with self._path.open() as file:
            while True:
                if line := file.readline().rstrip("\n"):
                    self.lines.append(line)
                    show("file", line)
                else:
                    time.sleep(0.05)
