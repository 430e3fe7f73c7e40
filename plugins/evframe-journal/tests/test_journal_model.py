"""The journal against a model: random schedules of raises, batches, commits, faults, crashes and restarts."""

from json import loads

from evframe_journal.bounds import Bounds, Kept
from evframe_journal.frames import Frame
from evframe_journal.journal import Journal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from evframe.events.event import EventRegistry

DEFINITION = EventRegistry().register("E")
GRACE_S = 0.02
KEY = "udp:127.0.0.1:1"
MOST_ROOM = 9
MOST_IN_FRAME = 5


class FakeFile:
    """A file whose commits and reads end when the schedule says so; what is not committed is lost in a crash."""

    def __init__(self):
        self.frames = {}  # by subscriber and first position
        self.lows = {}
        self.is_full = False
        self._work = []

    @property
    def has_work(self):
        return bool(self._work)

    def write(self, commit, done):
        def work():
            if self.is_full:
                done(OSError(28, "no space"))
                return
            for frame in commit.frames:
                self.frames[frame.key, frame.first] = Frame.decoded(frame.key, *frame.encoded())
            self.lows.update(commit.lows)
            for (key, first), frame in list(self.frames.items()):
                if frame.last < self.lows.get(key, 0):
                    del self.frames[key, first]
            done(None)

        self._work.append(work)

    def read(self, key, position, done):
        def work():
            found = [frame for (other, _), frame in self.frames.items() if other == key and frame.last >= position]
            done(sorted(found, key=lambda frame: frame.first)[:2], None)

        self._work.append(work)

    def do(self, index=0):
        """End the work that was begun first, or another one: reads and commits are independent."""
        self._work.pop(index)()

    def crash(self):
        self._work.clear()

    def kept(self):
        """Return by subscriber the lowest position that is not settled, the next one, and the number of events."""
        found = {key: (low, low, 0) for key, low in self.lows.items()}  # no position is used again
        for (key, _), frame in sorted(self.frames.items()):
            low, _, count = found.get(key, (0, 0, 0))
            found[key] = (low, frame.last + 1, count + sum(place >= low for place in frame.positions))
        return {key: Kept(*each) for key, each in found.items()}


class JournalMachine(RuleBasedStateMachine):
    """Calls the queue as a subscriber does, and the journal as its clock does; the model knows where each event is."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self.file = FakeFile()
        self.raised = 0  # events are numbered in the order of their raises
        self.outcome = {}  # by number, "delivered" or a reason; others are not settled
        self.announced = set()  # numbers of events that are on disk, as far as the journal has said
        self.accepted = []  # in the order in which the queue took them
        self.times = {}  # by number, of the raise
        self.bound = Bounds(fresh_events=7, frame_events=3, store_after_s=GRACE_S)
        self.room = 6
        self.start()

    def start(self):
        self.woken = 0
        self.came_back = 0  # events that were given back, which need no room
        self.awaited = set()  # by callers of this process
        self.under_way = {}  # batches: number to events
        self.returned = {}
        self.number = 0
        self.journal = Journal(
            file=self.file,
            bounds=self.bound,
            event_of=self.event_of,
            report=lambda _: None,
            clock=lambda: self.now,
            wall=lambda: self.now,
        )
        self.journal.restore(self.file.kept())
        self.queue = self.journal.open(KEY, self.room, self.wake)

    def wake(self):
        self.woken += 1

    def event_of(self, payload, raised_at):
        return DEFINITION.snapshot(loads(payload)["params"], raised_at)

    def waiting(self):
        begun = {number for numbers, _ in (*self.under_way.values(), *self.returned.values()) for number in numbers}
        return [number for number in self.unsettled() if number not in begun]

    def unsettled(self):
        return [number for number in self.accepted if number not in self.outcome]

    # events

    @rule(count=st.integers(1, 9), awaited=st.booleans())
    def events_come(self, count, awaited):
        for _ in range(count):
            self.raised += 1
            event = DEFINITION.snapshot([self.raised], self.now)
            if self.queue.has_room_for(event):
                self.queue.append(event)
            elif not self.queue.spill(event):
                continue  # refused, and counted by the subscriber
            if awaited:
                self.queue.track(self.raised)
                self.awaited.add(self.raised)
            self.accepted.append(self.raised)
            self.times[self.raised] = self.now

    @rule(most=st.integers(1, 5))
    def batch_begins(self, most):
        self.number += 1
        oldest = self.waiting()[: min(most, len(self.queue))]
        events, dones = self.queue.take(most, self.number)
        numbers = [event.params[0] for event in events]
        assert numbers == oldest
        assert dones == {index: number for index, number in enumerate(numbers) if number in self.awaited}
        if numbers:
            self.under_way[self.number] = numbers, events

    @precondition(lambda self: self.under_way)
    @rule(data=st.data())
    def batch_ends(self, data):
        number = data.draw(st.sampled_from(sorted(self.under_way)))
        numbers, events = self.under_way.pop(number)
        kept = sorted(data.draw(st.sets(st.integers(0, len(numbers) - 1)) | st.just(set())))
        for index, event in enumerate(numbers):
            if index not in kept:
                self.outcome[event] = "delivered"
        self.queue.settle(number, kept)
        if kept:
            self.returned[number] = [numbers[index] for index in kept], [events[index] for index in kept]
        if not self.under_way and self.returned:
            for number in sorted(self.returned, reverse=True):
                numbers, events = self.returned.pop(number)
                dones = {index: event for index, event in enumerate(numbers) if event in self.awaited}
                self.queue.give_back(number, events, dones)
                self.came_back += len(events)

    # the file

    @rule(seconds=st.sampled_from([0.001, 0.01, 0.03]))
    def time_passes(self, seconds):
        self.now += seconds
        self.journal.tick()

    @precondition(lambda self: self.file.has_work)
    @rule()
    def work_ends(self):
        self.file.do()
        self.announced = self.on_disk()

    @precondition(lambda self: not self.file.is_full)
    @rule()
    def commits_end(self):
        """After a tick and a commit, each event that is older than the grace is settled or on disk."""
        for _ in range(2):  # the first commit may be one that began before
            self.journal.tick()
            while self.file.has_work:
                self.file.do()
        self.announced = self.on_disk()
        old = {number for number in self.unsettled() if self.times[number] <= self.now - GRACE_S}
        assert old <= self.announced

    def on_disk(self):
        return {loads(payload)["params"][0] for frame in self.file.frames.values() for payload in frame.payloads}

    @rule(is_full=st.booleans())
    def disk_is_full(self, is_full):
        self.file.is_full = is_full

    @rule()
    def process_is_killed(self):
        lost = [number for number in self.unsettled() if number not in self.announced]
        for number in lost:
            self.outcome[number] = "crash"
        self.file.crash()
        # What was settled and not acknowledged comes again: it is on disk above the lowest unsettled position.
        again = {
            loads(payload)["params"][0]
            for frame in self.file.frames.values()
            for place, payload in zip(frame.positions, frame.payloads, strict=True)
            if place >= self.file.lows.get(KEY, 0)
        }
        for number in again:
            self.outcome.pop(number, None)
        self.start()

    @rule(room=st.integers(3, MOST_ROOM), frame=st.integers(1, MOST_IN_FRAME))
    def options_change(self, room, frame):
        self.room = room
        self.bound = Bounds(fresh_events=7, frame_events=frame, store_after_s=GRACE_S)
        self.journal.bounds = self.bound
        self.queue.set_room(room)

    # what holds at any time

    @invariant()
    def every_event_is_somewhere(self):
        waiting = len(self.queue) + self.queue.stored
        returned = [number for numbers, _ in self.returned.values() for number in numbers]
        begun = [number for numbers, _ in self.under_way.values() for number in numbers]
        assert waiting + len(begun) + len(returned) == len(self.unsettled())

    @invariant()
    def memory_holds_the_oldest(self):
        assert [event.params[0] for event in self.queue] == self.waiting()[: len(self.queue)]

    @invariant()
    def memory_is_bounded(self):
        assert len(self.queue) <= MOST_ROOM + 2 * MOST_IN_FRAME + self.came_back

    @precondition(lambda self: not self.unsettled() and not self.under_way)
    @rule()
    def subscriber_comes_again(self):
        """End the last lease when everything is settled, and begin another one."""
        self.journal.release(KEY)
        self.came_back = 0
        self.queue = self.journal.open(KEY, self.room, self.wake)

    def teardown(self):
        """Every event that is not settled comes, once the file works and the peer takes all."""
        self.file.is_full = False
        for number in list(self.under_way):
            numbers, _ = self.under_way.pop(number)
            self.outcome.update(dict.fromkeys(numbers, "delivered"))
            self.queue.settle(number, ())
        for number in sorted(self.returned, reverse=True):
            numbers, events = self.returned.pop(number)
            self.queue.give_back(number, events, {})
        expected = self.unsettled()
        came = []
        for _ in range(10_000):
            if len(came) >= len(expected):
                break
            self.number += 1
            events, _ = self.queue.take(2, self.number)
            came += [event.params[0] for event in events]
            self.queue.settle(self.number, ())
            self.now += 0.03
            self.journal.tick()
            while self.file.has_work:
                self.file.do()
        assert came == expected
        assert not len(self.queue) + self.queue.stored
        for _ in range(2):  # the first commit may be one that began before
            self.journal.tick()
            while self.file.has_work:
                self.file.do()
        assert not self.file.frames  # what is settled takes no room


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
test_journal = JournalMachine.TestCase


def test_a_subscriber_that_comes_again_leaves_no_frame():
    """What was settled before the last lease ended is deleted, also when another lease begins before the commit."""
    machine = JournalMachine()
    queue = machine.journal.open("other", 10, lambda: None)
    queue.append(DEFINITION.snapshot([1], machine.now))
    machine.now += 1.0
    machine.journal.tick()
    machine.file.do()
    assert machine.file.frames
    queue.take(1, 1)
    queue.settle(1, ())
    machine.journal.release("other")
    machine.journal.open("other", 10, lambda: None)
    for _ in range(3):
        machine.journal.tick()
        while machine.file.has_work:
            machine.file.do()
    assert not machine.file.frames
    assert not machine.journal.tick()  # nothing is left to be written
