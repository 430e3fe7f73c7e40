"""The table of subscribers on a terminal, until a key ends it."""

from __future__ import annotations

import curses
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
from contextlib import ExitStack, contextmanager, suppress
from select import select
from typing import Final

from evframe_wire.visible import visible
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from evframe_client import ManagementError
from evframe_client.commands.controls import Controls, Pressed
from evframe_client.commands.rows import Query, Sample
from evframe_client.commands.samples import Sampler
from evframe_client.commands.table import SubscriberTable, duration, total_line

_COLOURS: Final = 8  # that a terminal has, if it has any
_AROUND: Final = 6  # lines round the rows: two at the top, the names of the columns, two empty ones, and the keys
_SAMPLE: Final = 0  # what wakes the screen, beside the numbers of signals
_ENDS: Final = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def console() -> Console:
    """Return the console of the terminal, without colours where it has none, or where `NO_COLOR` is set."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # of a locale that lacks the arrows
    return Console(highlight=False, markup=False, no_color=True if not _has_colours() else None)


def _has_colours() -> bool:
    try:
        curses.setupterm()
        return curses.tigetnum("colors") >= _COLOURS
    except curses.error:  # a terminal that the system does not know
        return True


class _View:
    """The last sample between lines about it and the line of keys."""

    def __init__(self, url: str, interval_s: float, sample: Sample, controls: Controls) -> None:
        self.url = url
        self.interval_s = interval_s
        self.sample = sample
        self.controls = controls
        self.problem: str | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        room = max(1, console.size.height - _AROUND)
        rows = self.sample.rows
        hidden = self.sample.total.matched - min(len(rows), room)
        if hidden > 0:
            room = max(1, room - 1)
            hidden = self.sample.total.matched - min(len(rows), room)
        yield _fitting(self._title(), options)
        yield total_line(self.sample.total, options.max_width)
        yield Text()
        yield SubscriberTable(self.sample, self.controls.query.column, room)
        if hidden > 0:
            yield Text(f"… {hidden} more", "dim")
        shown = min(len(rows), room) + (hidden > 0)
        for _ in range(console.size.height - _AROUND + 1 - shown):
            yield Text()
        yield _fitting(self.controls.line(), options)

    def _title(self) -> Text:
        at = time.strftime("%H:%M:%S", time.localtime(self.sample.time))
        if self.problem is None:
            return Text.assemble(("evframe top  ", "bold"), f"{at}  {visible(self.url)}  every {self.interval_s:g} s")
        passed = duration(time.time() - self.sample.time)
        return Text(f"as of {at}, {passed} ago: {visible(self.problem)}", "bold red")


def _fitting(line: Text, options: ConsoleOptions) -> Text:
    line.truncate(options.max_width, overflow="ellipsis")
    return line


class _Asker:
    """Takes samples on a thread, each interval and whenever it is asked to.

    A gateway that hangs does not delay the end: the thread is not waited for.
    """

    def __init__(self, sampler: Sampler, interval_s: float, waker: socket.socket) -> None:
        self.found: deque[Sample | ManagementError] = deque()
        self._sampler = sampler
        self._interval_s = interval_s
        self._waker = waker
        self._due = threading.Event()
        self._is_over = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="evframe top", daemon=True).start()

    def ask(self, query: Query) -> None:
        """Take a sample of *query* now."""
        self._sampler.query = query
        self._due.set()

    def end(self) -> None:
        self._is_over = True
        self._due.set()

    def _run(self) -> None:
        while True:
            self._due.wait(self._interval_s)
            self._due.clear()
            if self._is_over:
                return
            try:
                self.found.append(self._sampler.sample())
            except ManagementError as error:
                self.found.append(error)
            with suppress(OSError):  # closed, because this is the end
                self._waker.send(bytes([_SAMPLE]))


def show(sampler: Sampler, url: str, interval_s: float, console: Console) -> None:
    """Show a new sample each *interval_s* seconds on the terminal, until q, Ctrl-C, SIGTERM or SIGHUP.

    A gateway that does not answer is asked again; its last sample stays, below the reason. Ctrl-Z leaves the terminal
    as it was, until the command continues.

    Raises:
        ManagementError: if the first sample has none.
    """
    controls = Controls(sampler.query)
    most = sampler.query.limit
    sampler.query = controls.query = _with_limit(sampler.query, console, most)
    view = _View(url, interval_s, sampler.sample(), controls)
    keys = sys.stdin.fileno()
    before = termios.tcgetattr(keys)
    with _woken() as (waker, woken):
        asker = _Asker(sampler, interval_s, waker)
        asker.start()
        try:
            while True:
                with _keys(keys, before), Live(view, console=console, screen=True, auto_refresh=False) as live:
                    number = _run(live, view, asker, woken, most)
                if number is None:
                    return
                if number == signal.SIGTSTP:
                    _stop()
                    with suppress(BlockingIOError):
                        woken.recv(4096)  # the signal that has continued it
        finally:
            asker.end()


def _run(live: Live, view: _View, asker: _Asker, woken: socket.socket, most: int | None) -> int | None:
    """Show samples until a key ends the command; return the signal that stops the command, or has continued it."""
    controls = view.controls
    while True:
        live.refresh()
        keys, signals = _wait(woken)
        if signals & _ENDS:
            return None
        pressed = None if keys is None else controls.press(keys)
        if pressed is Pressed.QUIT:
            return None
        query = _with_limit(controls.query, live.console, most)
        if pressed is Pressed.SAMPLE or query != controls.query:
            controls.query = query
            asker.ask(query)
        while asker.found:
            one = asker.found.popleft()
            if isinstance(one, Sample):
                view.sample, view.problem = one, None
            else:
                view.problem = str(one)
        for number in (signal.SIGTSTP, signal.SIGCONT):
            if number in signals:
                return number


def _wait(woken: socket.socket) -> tuple[str | None, set[int]]:
    """Wait for keys, a sample or a signal; return the keys, Ctrl-C for a terminal that has hung up, and the signals."""
    keys = sys.stdin.fileno()
    ready, _, _ = select([keys, woken], [], [])
    signals = set(woken.recv(4096)) if woken in ready else set()
    if keys not in ready:
        return None, signals
    try:
        return os.read(keys, 256).decode(errors="ignore") or "\x03", signals
    except OSError:
        return "\x03", signals


def _with_limit(query: Query, console: Console, most: int | None) -> Query:
    """Return *query* for as many rows as the terminal has lines, and at most *most*."""
    limit = max(1, console.size.height - _AROUND)
    return Query(query.order, query.pattern, query.state, limit if most is None else min(limit, most))


def _stop() -> None:
    """Stop this process as Ctrl-Z does, until it is continued; do nothing where no shell would continue it."""
    handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    # To this thread: another one might be stopped a moment later, when the terminal is taken again.
    signal.pthread_kill(threading.get_ident(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, handler)


@contextmanager
def _woken() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield two ends: a byte for the first one, or a signal, wakes who waits for the second.

    No handler raises an exception meanwhile: it would come anywhere, and be ignored in a finaliser, or leave the
    library that draws in the midst of its work.
    """
    waker, woken = socket.socketpair()
    with waker, woken, ExitStack() as stack:
        waker.setblocking(False)
        woken.setblocking(False)
        for number in (signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT, *_ENDS):
            if number not in _ENDS or signal.getsignal(number) is not signal.SIG_IGN:
                stack.callback(signal.signal, number, signal.signal(number, lambda *_: None))
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False))
        yield waker, woken


@contextmanager
def _keys(keys: int, before: list[int | list[bytes | int]]) -> Iterator[None]:
    """Have the terminal pass on each key at once, without showing it; at the end it is as it was *before*."""
    try:
        tty.setcbreak(keys, termios.TCSADRAIN)  # keeps the keys that were pressed while the command was stopped
        yield
    finally:
        termios.tcsetattr(keys, termios.TCSADRAIN, before)
