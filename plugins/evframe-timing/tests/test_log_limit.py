"""`evframe_timing`: one line for each key in a period."""

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from evframe_timing import LogLimiter

from evframe.testing import FakeClock


def test_one_line_in_a_period_and_the_count_of_the_others():
    """The first line of a key passes; the next one that passes says how many were held back."""
    clock = FakeClock()
    limiter = LogLimiter(10.0, clock=clock)
    assert limiter.due("a") == 0
    assert [limiter.due("a") for _ in range(3)] == [None, None, None]
    assert limiter.due("b") == 0
    clock.advance(10)
    assert limiter.due("a") == 3
    clock.advance(10)
    assert limiter.due("a") == 0


def test_a_line_that_is_written_says_how_many_were_held_back(caplog):
    """It has what its caller says besides, and is one of the caller's module."""
    clock = FakeClock()
    limiter = LogLimiter(10.0, clock=clock)
    for number in range(3):
        limiter.log("a", logging.getLogger("test").warning, "refused", number=number)
    clock.advance(10)
    limiter.log("a", logging.getLogger("test").warning, "refused", number=3)
    assert [(each.msg, each.number, each.repeated) for each in caplog.records] == [("refused", 0, 0), ("refused", 3, 2)]
    assert {each.pathname for each in caplog.records} == {__file__}


def test_a_key_that_is_forgotten_may_log_at_once():
    """After `forget` a key is as new."""
    limiter = LogLimiter(clock=FakeClock())
    limiter.due("a")
    limiter.forget("a")
    assert limiter.due("a") == 0
    limiter.forget("never seen")


def test_what_is_remembered_is_bounded():
    """Beyond the bound, the key that logged longest ago is forgotten, and no other."""
    clock = FakeClock()
    limiter = LogLimiter(10.0, most=2, clock=clock)
    for key in ("a", "b", "c"):
        clock.advance(1)
        assert limiter.due(key) == 0
    assert limiter.due("b") is None
    assert limiter.due("c") is None
    assert limiter.due("a") == 0


def test_lines_of_several_threads():
    """Threads that log at once all get an answer."""
    limiter = LogLimiter(0.0, most=2, clock=lambda: 0.0)
    together = Barrier(4)

    def log(_):
        together.wait()
        return {limiter.due(key) for _ in range(20_000) for key in "abc"}

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(log, range(4))) == [{0}] * 4
    finally:
        sys.setswitchinterval(before)
