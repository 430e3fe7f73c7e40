"""The log: for a person on a terminal, for a program otherwise."""

import io
import json
import logging
import os
import pty
import sys
from datetime import datetime

import pytest

from evframe.logs import set_up_logs


@pytest.fixture
def root():
    """Give the root logger back as it was."""
    log = logging.getLogger()
    before, level = log.handlers[:], log.level
    yield log
    log.handlers[:] = before
    log.setLevel(level)


def test_lines_for_a_program(root, monkeypatch):
    """Where no terminal is, a line is a JSON object with its time in UTC, its keys and its traceback."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs("info")
    log = logging.getLogger("evframe.test")
    log.debug("not this")
    log.info("a sentence", extra={"socket": "udp:h:1", "lost": 7, "odd": {1}})
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("another")
    first, second = map(json.loads, stream.getvalue().splitlines())

    time = datetime.fromisoformat(first.pop("time"))
    assert time.utcoffset().total_seconds() == 0
    assert abs(time.timestamp() - datetime.now().timestamp()) < 60
    assert first == {
        "level": "INFO",
        "logger": "evframe.test",
        "message": "a sentence",
        "socket": "udp:h:1",
        "lost": 7,
        "odd": "{1}",
    }
    assert second["exception"].endswith("ValueError: broken")


def test_lines_for_a_person(root, monkeypatch):
    """On a terminal a line is readable, with its keys at its end."""
    terminal, program = pty.openpty()
    try:
        with os.fdopen(program, "w") as stream:
            monkeypatch.setattr(sys, "stderr", stream)
            set_up_logs("warning")
            log = logging.getLogger("evframe.test")
            log.info("not this")
            log.warning("a sentence", extra={"socket": "udp:h:1", "lost": 7})
            line = os.read(terminal, 4096).decode()
    finally:
        os.close(terminal)

    assert line.endswith("WARNING evframe.test: a sentence  socket=udp:h:1 lost=7\r\n")
