"""The file of leases against a model, through full disks, locks of other processes, kills and damage."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor

from disks import file_size_limit
from evframe_state import LeaseKeeper, Options
from evframe_state import writing as state
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from processes import bound

import evframe
from evframe.testing import FakeClock, MemoryTransport

PAGE = 4096
HOLDER = """
import sqlite3, sys
held = None
for line in sys.stdin:
    path, _, alone = line.rstrip("\\n").partition("\\t")
    if held is not None:
        held.close()
        held = None
    if path:
        held = sqlite3.connect(path, timeout=5, isolation_level=None)
        if alone:
            held.execute("PRAGMA locking_mode = EXCLUSIVE")
        held.execute("BEGIN EXCLUSIVE")  # and no change: a damaged page that is free would end this process
    print("done", flush=True)
"""


class Holder:
    """Another process that holds a lock on the file, as a backup or a shell does."""

    def __init__(self):
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(bound(sys.executable, "-c", HOLDER), stdin=pipe, stdout=pipe, text=True)

    def hold(self, path, *, alone=False):
        self._process.stdin.write(f"{path}\t{'alone' if alone else ''}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def let_go(self):
        self.hold("")

    def close(self):
        with self._process:
            self._process.kill()


class ThreadsInTurn(ThreadPoolExecutor):
    """Does what is for a thread at once, so that a schedule is the same each time it is run."""

    def submit(self, function, /, *args, **kwargs):
        done = Future()
        try:
            done.set_result(function(*args, **kwargs))
        except BaseException as error:
            done.set_exception(error)
        return done


class StateMachine(RuleBasedStateMachine):
    """What was said to be on disk comes back, and nothing else but what it was meanwhile."""

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "leases")
        self.clock = FakeClock()
        self.holder = Holder()
        self.is_full = self.is_locked = False
        self.model = {}  # by key: its expire_s and when it ends
        self.said = {}  # by key: what it was since it was on disk, the last one is what it is
        self.is_up = False
        self.loop.set_default_executor(ThreadsInTurn())
        self.real = state._LEAVE_S, state._MEND_S
        state._LEAVE_S, state._MEND_S = 0.0, 1e6  # the keeper has its turns from the rules

    @initialize()
    def first_start(self):
        self.start()

    def start(self):
        self.keeper = LeaseKeeper(Options(self.path), clock=self.clock)
        plugins = {"memory": MemoryTransport(), "state": self.keeper}
        self.events = evframe.EventInterface(plugins=plugins, clock=self.clock)
        for name in ("E_A", "E_B"):
            self.events.register_event(name)
        self.run(self.events.__aenter__())
        self.is_up = True

    def run(self, work):
        async def bounded():
            async with asyncio.timeout(20):
                return await work

        if not self.is_full:
            return self.loop.run_until_complete(bounded())
        with file_size_limit(0):
            return self.loop.run_until_complete(bounded())

    def call(self, function, *args):
        async def call():
            return function(*args)

        return self.run(call())

    def changed(self, key, now):
        if now is None:
            self.model.pop(key, None)
        else:
            self.model[key] = now
        before = self.said.get(key, [None])
        self.said[key] = [*before, now] if self.is_unwritten(key) else [now]

    def is_unwritten(self, key):
        return key in self.keeper._writer._unwritten or key in self.keeper._writer._rebuilding

    def look(self):
        """Note what is on disk by now."""
        for key, states in self.said.items():
            if not self.is_unwritten(key):
                self.said[key] = states[-1:]

    keys = st.tuples(st.sampled_from(["E_A", "E_B"]), st.sampled_from([f"memory:{name}" for name in "abcd"]))

    @rule(key=keys, expire_s=st.sampled_from([0, 5, 50, 500]))
    def subscribe(self, key, expire_s):
        lease = self.call(self.events.subscribe_event, *key, expire_s)
        self.changed(key, (lease.expire_s, self.clock.now + lease.expire_s if lease.expire_s else None))

    @rule(key=keys)
    def end(self, key):
        if self.call(self.events.unsubscribe_event, *key):
            self.changed(key, None)

    @rule(seconds=st.integers(1, 60))
    def wait(self, seconds):
        self.clock.advance(seconds)
        self.call(self.events.expire)
        for key, (_, ends_at) in list(self.model.items()):
            if ends_at is not None and ends_at <= self.clock.now:
                self.changed(key, None)

    @rule()
    def fill_or_clear_the_disk(self):
        self.is_full = not self.is_full

    @rule()
    def lock_or_unlock(self):
        if self.is_locked:
            self.holder.let_go()
        elif not self.is_full:
            self.holder.hold(self.path)
        else:
            return
        self.is_locked = not self.is_locked

    @rule()
    def time_passes(self):
        """Let the keeper have its turn."""
        self.have_a_turn()
        self.look()

    def have_a_turn(self):
        self.run(self.keeper._writer.catch_up())
        if not self.is_full and not self.is_locked:
            assert not self.keeper._writer.unwritten

    @rule()
    def fold(self):
        """Have the journal moved into the file."""
        self.run(self.keeper._writer.fold())

    @rule()
    def restart(self):
        self.leave()
        self.start()
        self.compare()

    @rule()
    def restart_while_a_process_has_the_file_for_itself(self):
        self.leave()
        if self.is_full:
            self.is_full = False
        self.unlock()
        self.holder.hold(self.path, alone=True)
        self.start()
        assert self.call(lambda: self.events.subscriptions) == []
        assert self.events.status.find("core").find("state").status == -1
        self.holder.let_go()
        self.have_a_turn()
        self.compare()

    @rule()
    def kill(self):
        """End the process in this moment: what it has written is in the hands of the kernel."""
        old, self.folder = self.folder, tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "leases")
        for name in os.listdir(old):
            if not name.endswith("-shm"):
                shutil.copy(os.path.join(old, name), self.folder)
        self.unlock()
        self.loop.run_until_complete(self.events.__aexit__(None, None, None))
        shutil.rmtree(old)
        self.start()
        self.compare()

    @precondition(lambda self: not self.is_full and not self.is_locked)
    @rule(data=st.data())
    def damage(self, data):
        self.leave()
        size = os.path.getsize(self.path)
        first = data.draw(st.integers(0, size // PAGE - 1)) * PAGE
        with open(self.path, "r+b") as file:
            file.seek(first)
            file.write(data.draw(st.binary(min_size=1, max_size=2)) * (PAGE // 2))
        self.start()
        self.compare(damaged=True)
        self.have_a_turn()

    def leave(self):
        self.run(self.events.__aexit__(None, None, None))
        self.look()

    def unlock(self):
        if self.is_locked:
            self.is_locked = False
            self.holder.let_go()

    def compare(self, *, damaged=False):
        """Compare what came back with what was said."""
        found = {
            (lease.event.name, lease.subscriber.socket.canonical): (
                lease.expire_s,
                lease.deadline if lease.expire_s else None,
            )
            for lease in self.call(lambda: self.events.subscriptions)
        }
        for key in {*found, *self.said}:
            states = [
                None if was is None or (was[1] is not None and was[1] <= self.clock.now) else was
                for was in self.said.get(key, [None])
            ]
            assert found.get(key) in (states if not damaged else [None, *states]), (key, states)
        self.model = found
        self.said = {key: [self.model.get(key)] for key in {*found, *self.said}}
        for key in self.keeper._writer._unwritten:
            self.said.setdefault(key, [None])

    @invariant()
    def listing_is_the_model(self):
        if self.is_up:
            listed = {(each.event.name, each.subscriber.socket.canonical) for each in self.events.subscriptions}
            assert listed == set(self.model)

    @invariant()
    def files_are_private(self):
        for name in os.listdir(self.folder):
            assert os.stat(os.path.join(self.folder, name)).st_mode & 0o077 == 0

    @invariant()
    def status_says_what_is_missing(self):
        if self.is_up and self.keeper._writer.unwritten:
            found = self.events.status.find("core").find("state")
            assert found.status == -1
            assert found.details.startswith(f"{self.keeper._writer.unwritten} subscriptions are not on disk: ")

    def teardown(self):
        state._LEAVE_S, state._MEND_S = self.real
        try:
            self.unlock()
            if self.is_up:
                self.loop.run_until_complete(self.events.__aexit__(None, None, None))
        finally:
            self.holder.close()
            self.loop.close()
            shutil.rmtree(self.folder)


StateMachine.TestCase.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
TestStateMachine = StateMachine.TestCase
