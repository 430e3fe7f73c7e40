"""Processes that tests start: each ends with the process of the tests, whatever ends that one."""

import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import contextmanager

_BEFORE = [shutil.which("env"), "--default-signal=INT", shutil.which("setpriv"), "--pdeathsig", "KILL"]


def bound(program, *words):
    """Return the words that run *program*.

    The kernel kills it when the process of the tests ends (PR_SET_PDEATHSIG). SIGINT has its default
    action in it: what a shell starts in the background has that signal ignored.
    """
    return [*_BEFORE, program, *words]


@contextmanager
def child(program, *words, **options):
    """Run *program*, and kill it at the end if it still runs; *options* are those of `subprocess.Popen`."""
    with subprocess.Popen(bound(program, *words), **options) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], object], timeout_s: float = 60) -> None:
    """Ask for *condition* again and again until it holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "the condition did not come to hold"
        time.sleep(0.02)  # the other processes need the processor, too
