"""The gateway's log."""

import logging

import orjson

from evframe.logs import JsonFormatter, Repetitions
from evframe.testing import FakeClock


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

    assert len(repetitions._passed) <= 1000
