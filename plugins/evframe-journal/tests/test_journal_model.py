"""The journal against a model: random schedules of raises, batches, ends, commits, faults, crashes and restarts."""

from json import loads

from evframe_journal.bounds import Bounds, Kept, Mended, Reading
from evframe_journal.dead import DeadLetters
from evframe_journal.discard import Discarded
from evframe_journal.frames import Frame
from evframe_journal.journal import Journal
from evframe_journal.letters import Bounds as DeadBounds
from evframe_journal.letters import Changes
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from evframe_journal.problems import GoneError
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from evframe.events.event import EventRegistry
from evframe.plugin import Policy

DEFINITION = EventRegistry().register("E")
GRACE_S = 0.02
KEY = "udp:127.0.0.1:1"
MOST_ROOM = 9
MOST_IN_FRAME = 5
MEMORY_BYTES = 2 * 7 * 320


class FakeFile:
    """A file whose commits and reads end when the schedule says so; what is not committed is lost in a crash."""

    def __init__(self, on_damaged, on_discarded):
        self.frames = {}  # by subscriber and first position
        self.letters = []  # numbers of events
        self.noted = {}  # by subscriber, whether its events become letters
        self.lows = {}
        self.damaged = set()  # of these
        self.is_full = self.is_locked = self.is_gone = False
        self._on_damaged = on_damaged
        self._on_discarded = on_discarded
        self._work = []

    @property
    def has_work(self):
        return bool(self._work)

    @property
    def problem(self):
        if self.is_gone:
            return GoneError(2, "gone")
        return OSError(28, "no space") if self.is_full or self.is_locked else None

    def _put(self, frame):
        self.frames[frame.key, frame.first] = Frame.decoded(frame.key, *frame.encoded())

    def _found(self, key, position):
        found = [frame for (other, _), frame in self.frames.items() if other == key and frame.last >= position]
        return sorted(found, key=lambda frame: frame.first)

    def _lose(self, frame, position):
        """Remove a damaged frame; return how many events behind *position* are lost."""
        self.damaged.discard((frame.key, frame.first))
        del self.frames[frame.key, frame.first]
        lost = [payload for place, payload in zip(frame.positions, frame.payloads, strict=True) if place >= position]
        self._on_damaged(lost)
        return len(lost)

    def write(self, commit, done):
        def work():
            if self.problem is not None:
                done(None, self.problem)
                return
            for frame in commit.frames:
                self._put(frame)
            self.lows.update(commit.lows)
            self.noted.update(commit.has_letters)
            for (key, first), frame in list(self.frames.items()):
                if frame.last < self.lows.get(key, 0):
                    del self.frames[key, first]
                    self.damaged.discard((key, first))
            done(None, None)

        self._work.append(work)

    def read(self, key, position, most, done):
        def work():
            frames, end, lost, left = [], position, 0, most
            for frame in self._found(key, position)[:2]:
                if left <= 0:
                    break
                end = frame.last + 1
                if (key, frame.first) in self.damaged:
                    lost += self._lose(frame, position)
                    continue
                part = Frame.decoded(key, *frame.encoded(), position, left)
                frames.append(part)
                left -= len(part.positions)
                end = part.last + 1 if left <= 0 else end
            done(Reading(frames, end, lost), None)

        self._work.append(work)

    def discard(self, what, done):
        def work():
            if self.problem is not None:
                done(None, self.problem)
                return
            found = [frame for frame in self._found(what.key, what.start) if frame.last < what.end]
            if what.room:
                found = [frame for frame in found if frame.first >= what.start][:1]
            end, count, buried, lost = what.start, 0, [], []
            for frame in found[:2]:
                end = frame.last + 1
                events = zip(frame.positions, map(number_of, frame.payloads), strict=True)
                numbers = [number for place, number in events if place >= what.start and place not in what.settled]
                count += len(numbers)
                if (what.key, frame.first) in self.damaged:
                    self.damaged.discard((what.key, frame.first))
                    lost += numbers
                else:
                    buried += numbers
                del self.frames[what.key, frame.first]
                if frame.first < what.start and not set(numbers) <= set(lost):
                    self._put(frame.below(what.start))
            self.letters += buried
            self._on_discarded(buried, lost, what.reason)
            changes = Changes((), (), (), what.letters, 0.0, count=len(self.letters))
            begin = max(what.start, found[0].first) if found else what.start
            counts = {"count": count, "damaged": len(lost), "letters": len(buried)}
            size = sum(len(payload) for frame in found[:2] for payload in frame.payloads)
            done(Discarded(first=begin, end=end, size=size, is_last=len(found) <= 2, changes=changes, **counts), None)

        self._work.append(work)

    def check(self, done):
        self._work.append(lambda: done(None, self.problem))

    def mend(self, memory, loaded, failed, done):
        def work():
            is_new, self.is_gone = self.is_gone, False
            if self.problem is not None:
                self.is_gone = is_new
                done(None, self.problem)
                return
            if is_new:
                self._rebuild(memory, loaded, failed)
            left = {key: sum(len(frame.positions) for frame in self._found(key, at)) for key, at in loaded.items()}
            done(Mended(self.kept(), left, None, is_new), None)

        self._work.append(work)

    def _rebuild(self, memory, loaded, failed):
        for (key, first), frame in list(self.frames.items()):
            start = loaded.get(key, -1000)
            if frame.last < failed.get(key, -1000):
                if (key, first) in self.damaged:
                    self.damaged.discard((key, first))
                    del self.frames[key, first]
                    self._on_discarded([], map(number_of, frame.payloads), None)
                continue
            if (key, first) in self.damaged:
                self._lose(frame, max(start, self.lows.get(key, start)))  # those below are settled
                continue
            del self.frames[key, first]
            if frame.last >= start:
                self._put(Frame.decoded(key, *frame.encoded(), start))
        for frame in memory.frames:
            self._put(frame)
        self.lows.update(memory.lows)
        self.noted.update(memory.has_letters)

    def do(self, index=0):
        """End the work that was begun first, or another one: reads and commits are independent."""
        self._work.pop(index)()

    def do_all(self):
        """End all work, with what follows from it."""
        for _ in range(1000):
            if not self._work:
                return
            self.do()
        raise AssertionError("the work does not end")

    def crash(self):
        self._work.clear()

    def kept(self):
        """Return by subscriber the lowest position that is not settled, the next one, and the number of events."""
        found = {key: (low, low, 0) for key, low in self.lows.items()}  # no position is used again
        for (key, _), frame in sorted(self.frames.items()):
            low, _, count = found.get(key, (0, 0, 0))
            found[key] = (low, max(low, frame.last + 1), count + sum(place >= low for place in frame.positions))
        return {key: Kept(*each, has_letters=self.noted.get(key, False)) for key, each in found.items()}


def number_of(payload):
    return loads(payload)["params"][0]


class JournalMachine(RuleBasedStateMachine):
    """Calls the queue as a subscriber does, and the journal as its clock does; the model knows where each event is."""

    def __init__(self):
        super().__init__()
        self.now = 1000.0
        self.file = FakeFile(self.on_damaged, self.on_discarded)
        self.raised = 0  # events are numbered in the order of their raises
        self.outcome = {}  # by number, "delivered" or a reason; others are not settled
        self.announced = set()  # numbers of events that are on disk, as far as the journal has said
        self.accepted = []  # in the order in which the queue took them
        self.times = {}  # by number, of the raise
        self.bound = Bounds(frame_events=3, store_after_s=GRACE_S, retry_s=0.0)
        self.room = 6
        self.lost = 0
        self.failed = set()  # numbers of events that have to be letters
        self.unreadable = set()  # of those that were in damaged frames
        self.start()

    def start(self):
        self.woken = 0
        self.came_back = 0  # events that were given back, which need no room
        self.awaited = set()  # by callers of this process
        self.under_way = {}  # batches: number to events
        self.returned = {}
        self.number = 0
        self.letters = DeadLetters(bounds=DeadBounds(1 << 30, 0), clock=lambda: self.now, wall=lambda: self.now)
        self.journal = Journal(
            file=self.file,
            bounds=self.bound,
            memory=Memory(MEMORY_BYTES),
            event_of=self.event_of,
            report=lambda _: None,
            letters=self.letters,
            clock=lambda: self.now,
            wall=lambda: self.now,
        )
        self.hidden = set()  # numbers of events that the file has, which cannot be read yet
        if self.file.is_locked or self.file.is_gone:
            self.hidden = set(self.unsettled())
        else:
            self.journal.restore(self.file.kept())
        self.open()

    def open(self):
        calls = Calls(self.wake, self.on_lost, self.on_failed, self.on_found)
        self.queue = self.journal.open(KEY, Limits(self.room, has_letters=True), calls)

    def on_damaged(self, payloads):
        numbers = {number_of(payload) for payload in payloads}
        ended = {number for number in numbers if self.outcome.get(number) == "unsubscribed"}
        self.unreadable |= ended
        numbers -= ended
        assert not numbers & self.outcome.keys()
        self.outcome.update(dict.fromkeys(numbers, "damaged"))
        if not self.hidden:
            self.lost += len(numbers)
        self.hidden -= numbers

    def on_lost(self, count, reason):
        assert reason in {"damaged", "unsubscribed", "queue_full"}
        if reason != "unsubscribed":
            self.lost -= count

    def on_failed(self, events, dones, reason):
        self.outcome.update((event.params[0], reason) for event in events)

    def on_discarded(self, buried, lost, reason):
        """Take the numbers of events that are letters now, and of those that could not be read."""
        self.unreadable |= set(lost)
        if reason == "queue_full":
            self.failed |= {*buried, *lost}
            new = {*buried, *lost} - self.outcome.keys()  # unless the subscriber has ended
            self.outcome.update(dict.fromkeys(new, reason))
            self.lost += len(new)

    def on_found(self, count):
        """Have the events of the file behind those that are under way, and before those that wait."""
        assert count == len(self.hidden)
        begun = [number for numbers, _ in (*self.under_way.values(), *self.returned.values()) for number in numbers]
        first = set(begun) | self.hidden
        old = [number for number in self.accepted if number in self.hidden]
        self.accepted = [*sorted(begun), *old, *(number for number in self.accepted if number not in first)]
        self.hidden = set()

    def wake(self):
        self.woken += 1

    def event_of(self, payload, raised_at):
        return DEFINITION.snapshot(loads(payload)["params"], raised_at)

    def waiting(self):
        begun = {number for numbers, _ in (*self.under_way.values(), *self.returned.values()) for number in numbers}
        return [number for number in self.unsettled() if number not in begun and number not in self.hidden]

    def unsettled(self):
        return [number for number in self.accepted if number not in self.outcome]

    # events

    @rule(count=st.integers(1, 9), awaited=st.booleans())
    def events_come(self, count, awaited):
        for _ in range(count):
            self.raised += 1
            event = DEFINITION.snapshot([self.raised], self.now)
            if len(self.queue) < self.queue.room:
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

    @precondition(lambda self: not self.file.is_full and not self.file.is_locked)
    @rule()
    def commits_end(self):
        """After a tick and a commit, each event that is older than the grace is settled or on disk."""
        for _ in range(4):  # the first commit may be one that began before, and the file may have to be mended
            self.journal.tick()
            self.file.do_all()
        self.announced = self.on_disk()
        old = {number for number in self.unsettled() if self.times[number] <= self.now - GRACE_S}
        assert old <= self.announced

    def on_disk(self):
        return {number_of(payload) for frame in self.file.frames.values() for payload in frame.payloads}

    @rule(is_full=st.booleans())
    def disk_is_full(self, is_full):
        self.file.is_full = is_full

    @rule(is_locked=st.booleans())
    def another_process_has_the_file(self, is_locked):
        self.file.is_locked = is_locked

    @rule()
    def file_is_deleted(self):
        self.file.is_gone = True

    @precondition(lambda self: self.file.frames)
    @rule(data=st.data())
    def frame_is_damaged(self, data):
        self.file.damaged.add(data.draw(st.sampled_from(sorted(self.file.frames))))

    @rule()
    def process_is_killed(self):
        lost = [number for number in self.unsettled() if number not in self.announced]
        for number in lost:
            self.outcome[number] = "crash"
        self.file.crash()
        # What was settled and not acknowledged comes again: it is on disk above the lowest unsettled position.
        again = {
            number_of(payload)
            for frame in self.file.frames.values()
            for place, payload in zip(frame.positions, frame.payloads, strict=True)
            if place >= self.file.lows.get(KEY, 0)
        }
        for number in again:
            self.outcome.pop(number, None)
        assert not again & set(self.file.letters)
        self.failed -= again
        self.start()

    @rule(room=st.integers(3, MOST_ROOM), frame=st.integers(1, MOST_IN_FRAME))
    def options_change(self, room, frame):
        self.room = room
        self.bound = Bounds(frame_events=frame, store_after_s=GRACE_S, retry_s=0.0)
        self.journal.bounds = self.bound
        self.queue.configure(room, Policy(dead_letter=True))

    # what holds at any time

    @invariant()
    def every_event_is_somewhere(self):
        waiting = len(self.queue) + self.queue.stored
        returned = [number for numbers, _ in self.returned.values() for number in numbers]
        begun = [number for numbers, _ in self.under_way.values() for number in numbers]
        assert waiting + len(begun) + len(returned) == len(self.unsettled()) - len(self.hidden)
        assert not self.lost

    @invariant()
    def memory_holds_the_oldest(self):
        assert [event.params[0] for event in self.queue] == self.waiting()[: len(self.queue)]

    @invariant()
    def memory_is_bounded(self):
        assert len(self.queue) <= MOST_ROOM + 2 * MOST_IN_FRAME + self.came_back

    @rule()
    def oldest_make_room(self):
        """Have the oldest frame on disk removed, as a full queue has."""
        if self.queue.on_disk:
            self.queue.wants_drop = True

    @precondition(lambda self: not self.under_way and not self.returned)
    @rule()
    def subscriber_comes_again(self):
        """End the last lease, with what waits in memory and elsewhere, and begin another one."""
        while self.queue:  # what is taken makes room for more
            self.number += 1
            events, _ = self.queue.take(len(self.queue), self.number)
            self.queue.settle(self.number, ())
            self.outcome.update((event.params[0], "unsubscribed") for event in events)
        fresh = {event.params[0] for event in self.queue._fresh}
        stored = set(self.waiting())
        self.outcome.update(dict.fromkeys(stored, "unsubscribed"))
        self.failed |= stored - fresh
        if self.queue.stored:
            self.queue.drop_stored("unsubscribed")
        self.journal.release(KEY)
        self.came_back = 0
        self.open()

    def teardown(self):
        """Every event that is not settled comes, once the file works and the peer takes all."""
        self.file.is_full = self.file.is_locked = False
        for number in list(self.under_way):
            numbers, _ = self.under_way.pop(number)
            self.outcome.update(dict.fromkeys(numbers, "delivered"))
            self.queue.settle(number, ())
        for number in sorted(self.returned, reverse=True):
            numbers, events = self.returned.pop(number)
            self.queue.give_back(number, events, {})
        for _ in range(4):  # a file that has to be opened or mended is, before more is delivered
            self.journal.tick()
            self.file.do_all()
        came = []
        for _ in range(10_000):
            if len(came) >= len(self.unsettled()):
                break
            self.number += 1
            events, _ = self.queue.take(2, self.number)
            came += [event.params[0] for event in events]
            self.queue.settle(self.number, ())
            self.now += 0.03
            self.journal.tick()
            self.file.do_all()
        assert came == self.unsettled()
        assert not len(self.queue) + self.queue.stored
        for _ in range(8):  # the first commit may be one that began before, and the file may have to be mended
            self.journal.tick()
            self.file.do_all()
        assert not self.file.frames  # what is settled takes no room
        assert set(self.file.letters) <= self.failed <= {*self.file.letters, *self.unreadable}
        assert len(self.file.letters) == len(set(self.file.letters))
        assert not self.letters.waiting


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
test_journal = JournalMachine.TestCase


def test_a_subscriber_that_comes_again_leaves_no_frame():
    """What was settled before the last lease ended is deleted, also when another lease begins before the commit."""
    machine = JournalMachine()
    queue = machine.journal.open("other", Limits(10), Calls())
    queue.append(DEFINITION.snapshot([1], machine.now))
    machine.now += 1.0
    machine.journal.tick()
    machine.file.do()
    assert machine.file.frames
    queue.take(1, 1)
    queue.settle(1, ())
    machine.journal.release("other")
    machine.journal.open("other", Limits(10), Calls())
    for _ in range(3):
        machine.journal.tick()
        machine.file.do_all()
    assert not machine.file.frames
    assert not machine.journal.tick()  # nothing is left to be written


def test_no_position_behind_a_damaged_frame_is_used_again():
    """An event is not taken for a settled one after a frame was lost with the file, and those around it were dropped."""
    machine = JournalMachine()
    machine.events_come(7, awaited=False)  # one more than there is room for in memory
    for _ in range(2):
        machine.commits_end()
        machine.events_come(1, awaited=False)
    machine.commits_end()
    machine.file.damaged.add((KEY, 7))
    machine.file_is_deleted()
    for _ in range(4):  # the first notices that the file is another one
        machine.oldest_make_room()
        machine.commits_end()
    assert machine.outcome == {8: "damaged", 7: "queue_full", 9: "queue_full"}
    machine.events_come(3, awaited=False)
    machine.teardown()
