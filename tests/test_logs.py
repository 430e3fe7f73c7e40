"""The log: for a person on a terminal, for a program otherwise."""

import io
import json
import logging
import os
import pty
import subprocess
import sys
from datetime import datetime

import orjson
import pytest

from evframe.logs import JsonFormatter, Repetitions, TextFormatter, fold_libraries, set_up_logs
from evframe.testing import FakeClock


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


def test_an_extra_key_never_replaces_one_of_the_line():
    """A key such as ``level``, also one of a library, is beside the level of the line, on which alerts depend."""
    odd = record("a sentence")
    vars(odd).update(level=4, time=5, logger="other")
    line = json.loads(JsonFormatter().format(odd))
    assert (line["level"], line["logger"]) == ("ERROR", "library")
    assert (line["extra_level"], line["extra_time"], line["extra_logger"]) == (4, 5, "other")


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


def record(text, *arguments, level=logging.ERROR, name="library"):
    return logging.LogRecord(name, level, "file.py", 1, text, arguments, None)


def test_same_warning_comes_once_in_a_while():
    """A library's warning is logged at most every ten seconds, with how often it was repeated, whoever else warns."""
    clock = FakeClock()
    repetitions = Repetitions(clock)
    lines = []
    for _ in range(25):
        for host in "ab":
            line = record("no answer from %s", host)
            if repetitions.filter(line):
                lines.append((clock(), line.getMessage(), orjson.loads(JsonFormatter().format(line)).get("repeated")))
        clock.advance(1)

    start = lines[0][0]
    assert [(at - start, *rest) for at, *rest in lines] == [
        (0, "no answer from a", None),
        (0, "no answer from b", None),
        (10, "no answer from a", 9),
        (10, "no answer from b", 9),
        (20, "no answer from a", 9),
        (20, "no answer from b", 9),
    ]


def test_other_lines_are_left_alone():
    """What is no warning, and what evframe says itself, is logged each time."""
    repetitions = Repetitions(FakeClock())
    for other in ({"level": logging.INFO}, {"name": "evframe"}, {"name": "evframe.delivery"}):
        assert all(repetitions.filter(record("the same", **other)) for _ in range(3))


def test_memory_is_bounded():
    """Texts that are never the same do not fill the memory."""
    repetitions = Repetitions(FakeClock())
    for number in range(5000):
        assert repetitions.filter(record("number %d", number))

    assert len(repetitions._limiter) <= 1000


HOSTILE = "x\x1b[2J\r\n2026-01-01 00:00:00,000 INFO    evframe: forged\u202e\x85\udcff\ud800\x7f"


class Broken:
    def __str__(self):
        raise RuntimeError("broken")


def hostile_record():
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        found = record("a sentence about %s", HOSTILE)
        found.exc_info = sys.exc_info()
    found.stack_info = HOSTILE
    found.socket, found.number, found.odd, found.items = HOSTILE, 10**30, Broken(), {HOSTILE: [HOSTILE]}
    return found


def test_text_from_outside_for_a_person():
    """Nothing from outside moves the cursor, hides text or begins a line, in a sentence, a key or a traceback."""
    lines = TextFormatter("%(asctime)s %(levelname)s %(message)s").format(hostile_record()).split("\n")

    assert all(line.isprintable() for line in lines)
    assert all(line.startswith("  ") for line in lines[1:])
    assert r"socket=x\x1b[2J\r\n2026-01-01" in lines[0]
    assert "number=1000000000000000000000000000000 " in lines[0]


def test_text_from_outside_for_a_program():
    """The same text is escaped as JSON, whatever else is in the line."""
    line = JsonFormatter().format(hostile_record())

    assert line.isprintable()
    assert json.loads(line)["socket"] == HOSTILE
    assert json.loads(line)["exception"].endswith(HOSTILE)


@pytest.mark.parametrize(("level", "count"), [("debug", 2), ("info", 0)])
def test_lines_of_libraries_are_left_out_unless_the_log_is_at_debug(root, monkeypatch, level, count):
    """A problem that a plugin logs is no line of its library as well; DEBUG shows both."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logs(level)
    library = logging.getLogger("some_library")
    try:
        fold_libraries(["some_library"])
        library.error("first")
        logging.getLogger("some_library.connection").critical("second")
    finally:
        library.setLevel(logging.NOTSET)
    assert len(stream.getvalue().splitlines()) == count


FACTORY = """
import logging
made = logging.getLogRecordFactory()
def factory(*args, **kwargs):
    record = made(*args, **kwargs)
    record.otelTraceID = "7"
    return record
logging.setLogRecordFactory(factory)
from evframe.logs import JsonFormatter
print(JsonFormatter().format(logging.makeLogRecord({"msg": "sentence"})))
"""


def test_keys_of_a_factory_that_was_set_before():
    """What a factory of records adds is shown, also when it was set before evframe was imported."""
    run = subprocess.run([sys.executable, "-c", FACTORY], capture_output=True, text=True, check=True, timeout=60)

    assert json.loads(run.stdout)["otelTraceID"] == "7"
