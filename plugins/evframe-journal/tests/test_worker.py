"""The thread of the file beside a loop that is busy, and one that is not."""

import asyncio
import itertools
import sys
import threading

from evframe_journal.worker import Worker


class Watch:
    """Counts the looks at the clock, and sees from another thread whether the loop's thread waits for a lock."""

    def __init__(self, used):
        self.loop = threading.get_ident()
        self.looks = itertools.count()
        self.looked = 0
        self.used = used
        self.has_waited = False

    def clock(self):
        self.looked = next(self.looks)
        return float(self.looked)

    def processor_time(self):
        return self.looked * self.used

    def see(self):
        """Return once the loop's thread waits, or has looked often enough for that."""
        while not self.has_waited and self.looked < 40:
            frame = sys._current_frames()[self.loop]
            self.has_waited = frame.f_code is threading.Condition.wait.__code__
        return self.has_waited


async def result(worker, work):
    ended = asyncio.get_running_loop().create_future()
    worker.run(work, lambda future: ended.set_result(future.result()))
    return await ended


async def seen_by(watch, prepare=lambda worker: None):
    worker = Worker("tests", clock=watch.clock, used=watch.processor_time)
    await result(worker, lambda: None)  # the start of a thread is waited for, too

    def work():
        prepare(worker)
        return watch.see()

    has_waited = await result(worker, work)
    worker.close()
    return has_waited


async def test_a_busy_loop_waits_for_the_thread():
    assert await seen_by(Watch(used=1.0))


async def test_a_loop_with_time_left_does_not():
    assert not await seen_by(Watch(used=0.5))


async def test_nothing_waits_for_a_thread_that_waits_for_the_disk():
    assert not await seen_by(Watch(used=1.0), Worker.rest)


async def test_the_loop_looks_only_while_something_is_under_way():
    watch = Watch(used=1.0)
    await seen_by(watch)
    before = watch.looked
    for _ in range(100):
        await asyncio.sleep(0.0001)
    assert watch.looked <= before + 1


async def test_what_is_under_way_at_the_end_calls_for_more():
    """It is not begun, because nothing can be read any more, and no callback has an error."""
    worker = Worker("tests")
    begins, ended = threading.Event(), asyncio.get_running_loop().create_future()

    def done(future):
        worker.run(ended.cancel, ended.set_result)
        ended.set_result(future.result())

    worker.run(lambda: begins.wait(10), done)
    closing = asyncio.get_running_loop().run_in_executor(None, worker.close)
    begins.set()
    assert await ended
    await closing


async def test_one_look_is_due_however_fast_one_call_follows_another():
    due = []

    class Looking(Worker):
        def _look_later(self, loop):
            due.append(due[-1] + 1 if due else 1)
            super()._look_later(loop)

        def _look(self, loop):
            due.append(due[-1] - 1)
            super()._look(loop)

    worker = Looking("tests")
    for _ in range(100):
        await result(worker, lambda: None)
    worker.close()
    assert max(due) == 1
