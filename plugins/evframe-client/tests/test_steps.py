"""Steps of a transport, taken by a thread and by an event loop."""

import asyncio
import os
import threading

import pytest
from evframe_client.steps import Aside, Pause, Ready, run, run_async
from evframe_client.streams import receive


@pytest.fixture(params=["thread", "loop"])
def take(request):
    """Take steps: `take(steps, timeout_s)`."""
    if request.param == "thread":
        return run
    return lambda steps, timeout_s: asyncio.run(run_async(steps, timeout_s))


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Ended:
    """Steps that record when they have ended."""

    def __init__(self, *steps):
        self.steps = steps
        self.got = []
        self.ended = False

    def __call__(self):
        try:
            for step in self.steps:
                self.got.append((yield step))
        finally:
            self.ended = True
        return "done"


def test_each_step(take, pipe):
    """Each step has its value, and the steps their result."""
    os.write(pipe[1], b"x")
    steps = Ended(Ready(pipe[0]), Ready(pipe[1], write=True), Pause(0.001), Aside(threading.get_ident))

    assert take(steps(), 20.0) == "done"
    assert steps.got[:3] == [None, None, None]
    assert steps.got[3] != threading.get_ident()


@pytest.mark.parametrize("step", ["ready", "pause", "aside"])
def test_time_limit(take, pipe, step):
    """Whatever a step waits for, the time limit ends it, and what was opened is closed."""
    goes_on = threading.Event()
    threading.Timer(0.5, goes_on.set).start()  # a loop waits for its threads when it is closed
    steps = Ended({"ready": Ready(pipe[0]), "pause": Pause(50.0), "aside": Aside(lambda: goes_on.wait(20))}[step])
    with pytest.raises(TimeoutError):
        take(steps(), 0.05)

    assert steps.ended
    assert steps.got == []


def test_calls_aside_are_shared(take):
    """A call that hangs has one thread, however often it is given up and wanted again, and no thread of a loop."""
    goes_on, calls = threading.Event(), []

    def hangs():
        calls.append(threading.current_thread().daemon)
        return goes_on.wait(20)

    def steps():
        return (yield Aside(hangs, "a name"))

    for _ in range(20):
        with pytest.raises(TimeoutError):
            take(steps(), 0.01)
    goes_on.set()
    assert take(steps(), 20.0) is True
    assert calls[0] is True
    assert len(calls) <= 2, "the last one may have come after the end of the first"


def test_error_aside(take):
    """An error of what was called aside is raised."""

    def fail():
        raise OSError("expected")

    with pytest.raises(OSError, match="expected"):
        take(Ended(Aside(fail))(), 20.0)


@pytest.mark.parametrize("kind", ["ready", "receive"])
def test_bytes_that_never_end(take, pipe, kind):
    """The time limit holds where something always arrives, and an event loop runs meanwhile."""

    class Endless:
        def recv(self, _):
            return b"x"

    def steps():
        while True:
            if kind == "ready":
                yield Ready(pipe[1], write=True)
            else:
                yield from receive(Endless())

    with pytest.raises(TimeoutError):
        take(steps(), 0.05)
