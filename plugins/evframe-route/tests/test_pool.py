"""The workers: their number, their load, and the replacement of one that is held up."""

import threading
import time

import pytest
from evframe_route.pool import WorkerPool
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from evframe.testing import FakeClock

WAIT_S = 30


class Job:
    """Work that lasts until a test ends it."""

    def __init__(self, slices=1):
        self.slices = slices
        self.begun = threading.Event()
        self.go = threading.Event()
        self.ended = threading.Event()
        self.threads = []

    def run(self, waiting):
        self.threads.append(threading.current_thread())
        self.begun.set()
        assert self.go.wait(WAIT_S)
        self.slices -= 1
        return not self.slices

    def end(self):
        self.ended.set()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def make(clock):
    pools = []

    def make(smallest, largest):
        pools.append(WorkerPool(smallest, largest, clock))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def begin(pool, count):
    """Have *count* workers do something."""
    jobs = [Job() for _ in range(count)]
    for job in jobs:
        pool.put(job)
        assert job.begun.wait(WAIT_S)
    return jobs


def finish(*jobs):
    for job in jobs:
        job.go.set()
        assert job.ended.wait(WAIT_S)


def test_so_many_at_a_time(make):
    """As many work as there are workers; the next one begins when one has ended."""
    pool = make(2, 2)
    first, second = begin(pool, 2)
    third = Job()
    pool.put(third)
    assert not third.begun.wait(0.01)
    finish(first)
    assert third.begun.wait(WAIT_S)
    finish(second, third)


def test_one_more_and_one_less(make):
    """A worker that is added takes what waits; one that is stopped ends its thread."""
    pool = make(1, 2)
    first, second = begin(pool, 1)[0], Job()
    pool.put(second)
    assert pool.grow() == 2
    assert second.begun.wait(WAIT_S)
    assert pool.shrink() == 2
    finish(first, second)
    left = first.threads[0], second.threads[0]
    deadline = time.monotonic() + WAIT_S
    while all(thread.is_alive() for thread in left):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    finish(*begin(pool, 1))
    assert pool.size == 1


def test_bounds(make):
    """The number stays within its bounds."""
    pool = make(1, 1)
    with pytest.raises(ValueError, match="expected 1 to 1 workers, got 2"):
        pool.grow()
    with pytest.raises(ValueError, match="expected 1 to 1 workers, got 0"):
        pool.shrink()
    assert pool.size == 1


def test_held_up_worker_is_replaced(make):
    """What never returns costs no worker, and its thread ends when it does return."""
    pool = make(1, 1)
    (stuck,) = begin(pool, 1)
    pool.replace(stuck)
    pool.replace(stuck)
    finish(*begin(pool, 1))
    finish(stuck)
    stuck.threads[0].join(WAIT_S)
    assert not stuck.threads[0].is_alive()
    first = begin(pool, 1)[0]
    second = Job()
    pool.put(second)
    assert not second.begun.wait(0.01)  # there is still one
    finish(first, second)


def test_gives_way(make):
    """Work that gives way continues after what has waited."""
    pool = make(1, 1)
    long = Job(slices=2)
    pool.put(long)
    assert long.begun.wait(WAIT_S)
    (short,) = jobs = [Job()]
    pool.put(short)
    long.go.set()
    finish(*jobs)
    assert long.ended.wait(WAIT_S)
    assert len(long.threads) == 2


def test_load(make, clock):
    """The load is the part of the workers' time that they work, since it was asked for last."""
    pool = make(2, 4)
    assert pool.load_percent() == 0
    (job,) = begin(pool, 1)
    clock.advance(10)
    assert pool.load_percent() == 50
    pool.grow()
    pool.grow()
    clock.advance(10)
    assert pool.load_percent() == 25
    clock.advance(10)
    finish(job)
    clock.advance(10)
    assert pool.load_percent() == 12
    assert pool.load_percent() == 0


def test_again_after_the_end(make):
    """A pool that was closed opens again."""
    pool = make(2, 2)
    finish(*begin(pool, 2))
    pool.close()
    finish(*begin(pool, 2))


class Pool(RuleBasedStateMachine):
    """Whatever happens to it, a pool does as much at a time as it has workers, and ends everything."""

    def __init__(self):
        super().__init__()
        self.pool = WorkerPool(1, 4)
        self.working, self.waiting, self.stuck = [], [], []

    @rule()
    def put(self):
        job = Job()
        self.pool.put(job)
        self.waiting.append(job)

    @precondition(lambda self: self.working)
    @rule(data=st.data())
    def end(self, data):
        job = data.draw(st.sampled_from(self.working))
        self.working.remove(job)
        finish(job)

    @precondition(lambda self: self.working)
    @rule()
    def replace(self):
        job = self.working.pop(0)
        self.pool.replace(job)
        self.stuck.append(job)

    @precondition(lambda self: self.stuck)
    @rule()
    def return_(self):
        finish(self.stuck.pop())

    @precondition(lambda self: self.pool.size < 4)
    @rule()
    def grow(self):
        assert self.pool.grow() == self.pool.size

    @precondition(lambda self: self.pool.size > 1)
    @rule()
    def shrink(self):
        assert self.pool.shrink() == self.pool.size + 1

    @invariant()
    def works(self):
        while self.waiting and len(self.working) < self.pool.size:
            job = self.waiting.pop(0)
            assert job.begun.wait(WAIT_S)
            self.working.append(job)
        assert not any(job.begun.is_set() for job in self.waiting)

    def teardown(self):
        while self.working or self.waiting:
            self.works()
            finish(self.working.pop())
        finish(*self.stuck)
        self.pool.close()


TestPool = Pool.TestCase
TestPool.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
