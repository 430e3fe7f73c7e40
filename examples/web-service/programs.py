"""What runs beside the demonstration, and what it prints."""

from __future__ import annotations

import json
import os
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
ORDER = "E_ORDER_PLACED"
_INDENT = " " * 10
_WIDTH = min(80, shutil.get_terminal_size((80, 24)).columns)
_AT_A_TIME = 10
_printing = threading.Lock()


def show(who: str, text: str) -> None:
    """Print one line, after the name of its program; what is too long continues below."""
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


def mark(text: str) -> None:
    """Print a line that matters, in bold on a terminal, after the orders that were placed before."""
    orders.show()
    is_bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    with _printing:
        sys.stdout.write(f"\x1b[1m==>       {text}\x1b[0m\n" if is_bold else f"==>       {text}\n")
        sys.stdout.flush()


class Orders:
    """The orders that each program has seen: the first one is printed as it is, the rest ten in a line."""

    def __init__(self) -> None:
        self._adding = threading.Lock()
        self._seen: dict[str, list[int]] = {}

    def add(self, who: str, number: int, text: str) -> None:
        """Add an order, with the text of its event."""
        with self._adding:
            if who not in self._seen:
                self._seen[who] = []
                show(who, text)
                return
            self._seen[who].append(number)
            if len(self._seen[who]) == _AT_A_TIME:
                self._show(who)

    def show(self) -> None:
        """Print those that are not printed yet."""
        with self._adding:
            for who in self._seen:
                self._show(who)

    def _show(self, who: str) -> None:
        if numbers := self._seen[who]:
            show(who, f"{ORDER} {in_short(numbers)}")
            self._seen[who] = []


def in_short(numbers: list[int]) -> str:
    """Return numbers as text, such as `1-3, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


orders = Orders()


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = LIMIT_S) -> None:
    """Wait until *condition* holds; TimeoutError with *what* was waited for when it takes too long."""
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"expected within {timeout_s:.0f} s: {what}")
        time.sleep(0.02)


class Program:
    """A Python program as another process.

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
            name, params = event["method"], event["params"]
            self.events.append((name, params))
            text = f"{name} {json.dumps(params)}"
            if name == ORDER:
                orders.add(self._who, params["id"], text)
            else:
                show(self._who, text)

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
    """Shows the lines of a file as they are appended, from when it exists."""

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
                    name, first, *_ = line.split(",")
                    if name == ORDER:
                        orders.add("file", int(first), line)
                    else:
                        show("file", line)
                else:
                    time.sleep(0.05)
