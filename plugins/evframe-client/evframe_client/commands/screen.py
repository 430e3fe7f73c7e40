"""The table of subscribers on a terminal, until a key ends it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from select import select
from typing import Final

from evframe_wire.visible import visible
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from evframe_client import ManagementError
from evframe_client.commands.samples import Sample, Sampler
from evframe_client.commands.table import SubscriberTable

_QUIT: Final = b"qQ\x03"


class _View:
    """The last sample below a line about it."""

    def __init__(self, url: str, sample: Sample) -> None:
        self.url = url
        self.sample = sample
        self.problem: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line and the table."""
        at = time.strftime("%H:%M:%S", time.localtime(self.sample.time))
        if self.problem is None:
            line = Text(f"{at}  subscribers: {len(self.sample.rows)}  {visible(self.url)}  q quits")
        else:
            line = Text(f"as of {at}: {visible(self.problem)}", "bold red")
        line.truncate(options.max_width, overflow="ellipsis")
        yield line
        yield SubscriberTable(self.sample)


def show(sampler: Sampler, url: str, interval_s: float, console: Console) -> None:
    """Show a new sample each *interval_s* seconds on the terminal, until q, Ctrl-C or SIGTERM.

    A gateway that does not answer is asked again; its last sample stays, below the reason.

    Raises:
        ManagementError: if the first sample has none.
    """
    view = _View(url, sampler.sample())
    found: deque[Sample | ManagementError] = deque()
    ended = threading.Event()
    with _woken() as (waker, woken):

        def ask() -> None:
            while not ended.wait(interval_s):
                try:
                    found.append(sampler.sample())
                except ManagementError as error:
                    found.append(error)
                with suppress(OSError):  # closed, because this is the end
                    waker.send(b"\0")

        # A gateway that hangs does not delay the end: the thread is not waited for.
        threading.Thread(target=ask, name="evframe top", daemon=True).start()
        try:
            with _keys() as keys, Live(view, console=console, screen=True, auto_refresh=False) as live:
                while not _is_over(keys, woken):
                    while found:
                        one = found.popleft()
                        if isinstance(one, Sample):
                            view.sample, view.problem = one, None
                        else:
                            view.problem = str(one)
                    live.refresh()
        finally:
            ended.set()


def _is_over(keys: int, woken: socket.socket) -> bool:
    """Wait for a key, a sample or another size of the terminal; return whether the key ends the command."""
    waited_for: list[int | socket.socket] = [keys, woken]
    ready, _, _ = select(waited_for, [], [])
    if woken in ready:
        woken.recv(4096)
    if keys not in ready:
        return False
    try:
        pressed = os.read(keys, 64)
    except OSError:  # the terminal has hung up
        return True
    return not pressed or any(key in _QUIT for key in pressed)


@contextmanager
def _woken() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield two ends: a byte for the first one, or a change of the terminal's size, wakes who waits for the second."""
    waker, woken = socket.socketpair()
    with waker, woken:
        waker.setblocking(False)
        handler = signal.signal(signal.SIGWINCH, lambda *_: None)
        number = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        try:
            yield waker, woken
        finally:
            signal.set_wakeup_fd(number)
            signal.signal(signal.SIGWINCH, handler)


@contextmanager
def _keys() -> Iterator[int]:
    """Have the terminal pass on each key at once, without showing it; at the end it is as it was."""
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    try:
        tty.setcbreak(keys)
        yield keys
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
