"""Programs on a terminal: what they show, and the keys that are pressed."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import contextmanager
from select import select

# The terminal controls the session, so that Ctrl-C is a signal; no signal of a terminal is ignored, as nohup has it.
LEADER = """
import ctypes, fcntl, os, signal, sys, termios
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """A terminal with a running program."""

    def __init__(self, process, ours):
        self.process = process
        self._ours = ours
        self.shown = ""

    def read_until(self, text):
        """Read what is shown after all that was read before, up to *text*."""
        read = ""
        while text not in read:
            while not select([self._ours], [], [], 1)[0]:
                assert self.process.poll() is None, self.shown + read
            read += os.read(self._ours, 65536).decode(errors="replace")
        self.shown += read
        return read

    def press(self, key):
        os.write(self._ours, key)

    def resize(self, columns):
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def rest(self):
        """Return the exit code, once the program has left the screen of its own."""
        self.read_until("\x1b[?1049l")
        return self.process.wait(30)


@contextmanager
def terminal(*words, columns=80, leader=LEADER, **more):
    """Run the program *words* on a terminal, whose settings are the same afterwards.

    Args:
        words: the program and its arguments.
        columns: the width of the terminal.
        leader: the program in Python that runs *words* as the leader of the session.
        more: variables of the environment.
    """
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        before = termios.tcgetattr(theirs)
        environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        with subprocess.Popen(
            [sys.executable, "-c", leader, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm-256color", **more},
            start_new_session=True,
        ) as process:
            try:
                yield Terminal(process, ours)
            finally:
                process.kill()
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)
