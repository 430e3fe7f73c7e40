"""Queues of shards, with the real subscribers of an interface: what leaves, what comes, and how it is counted."""

import asyncio

import pytest
from evframe_shards.frames import SAME, Frame
from evframe_shards.lane import INDEX_BITS, deliveries
from evframe_shards.leases import Lease, restore
from evframe_shards.outgoing import Outgoing, Room, Way
from evframe_shards.queue import ShardQueue

from evframe import EventInterface, Unavailable, hookimpl
from evframe.config import Config, CoreOptions
from evframe.plugin import STORED, Policy
from evframe.testing import MemoryTransport, until


class Shards:
    """A process that divides its subscribers into one shard, with a log that acknowledges when the test says so."""

    kind = "extension"
    policy_keys = frozenset({"keep"})

    def __init__(self, room=None):
        self.sent = []  # the bytes of each frame, and what is called
        self.way = Way(
            writer="w", send=self.send, soon=self.soon, max_bytes=2000, room=room or Room(), on_room=self.on_room
        )
        self.outgoing = Outgoing(0, self.way)
        self.queues = {}
        self.is_open = True
        self.with_room = []

    def soon(self, call):
        asyncio.get_running_loop().call_soon(call)

    def send(self, shard, data, done):
        self.sent.append((data, done))

    def check(self):
        return self.is_open

    def has_room(self, queue):
        self.with_room.append(queue)

    @hookimpl
    def open_queue(self, subscriber, room, policy, wake):
        queue = ShardQueue(subscriber, room, wake, self.outgoing, lambda definition: definition.name == "E_LOCAL")
        self.queues[subscriber.socket.canonical] = queue
        return queue

    def on_room(self):
        self.was_freed = True

    def frames(self):
        """Return the frames that were sent since the last call, and what acknowledges each."""
        sent, self.sent = self.sent, []
        return [(Frame.decode(data, self.context.raising.event, 0.0), done) for data, done in sent]

    @hookimpl
    def loaded(self, context):
        self.context = context

    def deliver(self, frame, offset):
        """Take a frame as its owner does."""
        for key, entries in deliveries(offset, frame):
            queue = self.queues[key]
            if queue.lane is None:
                queue.enter(self, 0)
            if queue.lane.behind is None:
                queue.lane.behind = queue.accept(entries)


def compose(shards, memory, sockets=("memory:a", "memory:b"), room=5):
    core = CoreOptions(queue_size=room, drain_timeout_s=0.05)
    interface = EventInterface(Config(core=core), plugins={"memory": memory, "shards": shards})
    for name in ("E_A", "E_LOCAL"):
        interface.register_event(name)
        for socket in sockets:
            interface.subscribe_event(name, socket, policy=Policy(keep="disk"))
    return interface


def counts(interface):
    found = {}
    for each in interface.statistics:
        if each.socket:
            assert each.raised == each.delivered + each.failed + each.depth
            found[each.socket] = (each.delivered, each.failed, each.depth)
    return found


async def turn():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_events_leave_in_order_and_are_acknowledged_once_they_are_kept():
    """What is raised in a turn is in one frame; while that is under way the others wait, and go in the next one."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory) as interface:
        interface.raise_event("E_A", [1])
        interface.raise_event("E_A", [2])
        await turn()
        ((first, done),) = shards.frames()
        interface.raise_event("E_A", [3])
        await turn()
        assert shards.frames() == []
        assert counts(interface) == {"memory:a": (0, 0, 3), "memory:b": (0, 0, 3)}

        done(7)
        ((second, done),) = shards.frames()
        assert counts(interface) == {"memory:a": (0, 0, 1), "memory:b": (0, 0, 1)}
        done(8)

        assert counts(interface) == {"memory:a": (0, 0, 0), "memory:b": (0, 0, 0)}
        assert [[event.params for event in frame.events] for frame in (first, second)] == [[(1,), (2,)], [(3,)]]
        assert (sorted(first.targets[0]), first.targets[1:]) == ([0, 1], [SAME])
        assert (first.number, second.number) == (1, 2)
        assert shards.outgoing.is_empty


async def test_a_frame_that_fails_is_sent_again_before_the_next():
    """The bytes are the same, so that a receiver knows the frame again."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory) as interface:
        interface.raise_event("E_A", [1])
        await turn()
        data, done = shards.sent.pop()
        done(None)
        interface.raise_event("E_A", [2])
        await turn()
        assert shards.sent == []

        shards.outgoing.resume()
        again, done = shards.sent.pop()
        shards.outgoing.resume()
        assert shards.sent == []
        done(1)

        assert again == data
        ((second, done),) = shards.frames()
        assert [event.params for event in second.events] == [(2,)]
        done(2)


async def test_what_is_not_acknowledged_at_the_end_is_given_up():
    """Frames of any state are failed with the reason, and their callbacks are called."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory, ["memory:a"]) as interface:
        wait = asyncio.ensure_future(interface.raise_event_and_wait("E_A", [1]))
        await turn()
        for _ in range(2):
            interface.raise_event("E_A", ["x" * 1000])
        interface.raise_event("E_A", ["x" * 3000])
        assert shards.outgoing.give_up("shutdown") == 3
        assert [outcome.reason for outcome in await wait] == ["shutdown"]
        assert counts(interface) == {"memory:a": (0, 4, 0)}
        assert interface.statistics[0].reasons == {"shutdown": 3, "too_large": 1}
        assert shards.outgoing.is_empty
        assert shards.way.room.taken == 0


async def test_a_callback_gets_stored_when_the_frame_is_acknowledged():
    """Whatever is waited for: what the owner does with the event is not known here."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory, ["memory:a"]) as interface:
        waits = [
            asyncio.ensure_future(interface.raise_event_and_wait("E_A", [1], until=until))
            for until in ("stored", "delivered")
        ]
        await turn()
        assert not any(wait.done() for wait in waits)
        for _, done in shards.frames():
            done(0)
        outcomes = [outcome.reason for wait in waits for outcome in await wait]
        assert outcomes == [STORED, STORED]


async def test_what_finds_no_room_fails_and_room_comes_back():
    """The bound is one of bytes for all subscribers; it is announced when there is room again."""
    shards, memory = Shards(Room(most_bytes=400)), MemoryTransport()
    shards.was_freed = False
    async with compose(shards, memory, ["memory:a"]) as interface:
        for number in range(10):
            interface.raise_event("E_A", [number])
        await turn()
        ((frame, done),) = shards.frames()
        kept = len(frame.events)
        assert 0 < kept < 10
        assert counts(interface) == {"memory:a": (0, 10 - kept, kept)}
        assert interface.statistics[0].reasons == {"queue_full": 10 - kept}
        assert not shards.was_freed
        done(0)
        assert shards.was_freed
        assert shards.way.room.taken == 0
        interface.raise_event("E_A", [11])
        await turn()
        ((_, done),) = shards.frames()
        done(1)


async def test_a_frame_is_divided_and_an_event_that_fits_none_is_too_large():
    """No frame is larger than the bound, also where one event is for many subscribers."""
    shards, memory = Shards(), MemoryTransport()
    sockets = [f"memory:{number:050}" for number in range(70)]
    async with compose(shards, memory, sockets) as interface:
        wait = asyncio.ensure_future(interface.raise_event_and_wait("E_A", ["x" * 3000]))
        interface.raise_event("E_A", [1])
        interface.raise_event("E_A", ["x" * 1000])
        interface.raise_event("E_A", ["x" * 1000])
        await turn()
        assert {outcome.reason for outcome in await wait} == {"too_large"}
        got = []
        while shards.sent:
            assert len(shards.sent[0][0]) < 2000
            ((frame, done),) = shards.frames()
            got += [(key, event.params) for key, entries in deliveries(0, frame) for _, event, _ in entries]
            done(0)
        for socket in sockets:
            assert [len(str(params)) for other, params in got if other == socket] == [4, 1005, 1005]
        assert all(value == (0, 1, 0) for value in counts(interface).values())


async def test_events_are_delivered_where_their_shard_is():
    """They have names that are the same in each process, wait in memory as far as there is room, and are counted."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory, ["memory:a"]) as interface:
        seen = []

        def look(batch):
            seen.extend(zip([event.params for event in batch.events], batch.ids, strict=True))
            return True

        memory.when("a", look)
        for number in range(9):
            interface.raise_event("E_A", [number])
        await turn()
        ((frame, done),) = shards.frames()
        done(0)
        shards.deliver(frame, 5)
        queue = shards.queues["memory:a"]
        assert len(queue) == 5
        assert queue.lane.behind == 5 << INDEX_BITS | 5
        assert queue.lane.low(99 << INDEX_BITS) == 5 << INDEX_BITS
        await until(lambda: len(seen) == 5)
        await turn()
        assert [params for params, _ in seen] == [(number,) for number in range(5)]
        assert len({name for _, name in seen}) == 5
        assert all(name.startswith("w-0-1-") for _, name in seen)
        assert counts(interface) == {"memory:a": (5, 0, 0)}
        assert queue.lane.low(99 << INDEX_BITS) == 5 << INDEX_BITS | 5
        assert shards.with_room


async def test_no_batch_begins_while_the_gate_is_closed():
    """The events count as stored, so that the subscriber gets no turns; what comes back then waits, too."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory, ["memory:a"]) as interface:
        await take(shards, interface, [1])
        queue, subscriber = shards.queues["memory:a"], interface.subscriptions[0].subscriber
        shards.is_open = False
        await turn()
        assert memory.delivered.get("a", []) == []
        assert (len(queue), queue.stored, subscriber.state.name) == (0, 1, "IDLE")

        shards.is_open = True
        queue.wake()
        await until(lambda: memory.delivered.get("a"))
        assert queue.lane.is_idle


async def test_what_waits_is_dropped_when_the_shard_is_delivered_elsewhere():
    """Events in memory are not counted any more, nor put back when their batch fails afterwards."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory, ["memory:a"]) as interface:
        ends = asyncio.get_running_loop().create_future()
        memory.when("a", lambda batch: ends if batch.events else True)
        await take(shards, interface, [1])
        await turn()
        queue = shards.queues["memory:a"]
        assert queue.lane.taken == 1
        await take(shards, interface, [2])
        queue.leave()
        assert counts(interface) == {"memory:a": (0, 0, 1)}
        ends.set_exception(Unavailable("away"))
        await turn()
        assert counts(interface) == {"memory:a": (0, 0, 0)}
        assert len(queue) == queue.stored == 0


async def take(shards, interface, params):
    interface.raise_event("E_A", params)
    await turn()
    ((frame, done),) = shards.frames()
    done(0)
    shards.deliver(frame, frame.number)


async def test_local_events_do_not_leave():
    """They are delivered beside those of the log, in another batch, with their outcomes."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory, ["memory:a"]) as interface:
        answers = iter([Unavailable("away"), None])

        async def look():
            answer = next(answers)
            if answer is not None:
                raise answer

        memory.when("a", lambda batch: look() if batch.events else True)
        outcomes = await interface.raise_event_and_wait("E_LOCAL", [1])
        assert [outcome.reason for outcome in outcomes] == [None]
        assert shards.sent == []
        assert counts(interface) == {"memory:a": (1, 0, 0)}


async def test_a_lease_is_the_same_in_another_process():
    """Text, time, interface and policy are those that were subscribed."""
    shards, memory = Shards(), MemoryTransport()
    async with compose(shards, memory, []) as interface, compose(other := Shards(), MemoryTransport(), []) as second:
        interface.subscribe_event("E_A", "memory:a", expire_s=60, policy=Policy(keep="disk"))
        (subscription,) = interface.subscriptions
        lease = Lease.of(subscription, 59.5, 1000.0)

        read = Lease.decode(lease.encode())
        assert read == lease
        assert restore(other.context, read, 1010.0)

        (made,) = second.subscriptions
        assert (made.event.name, made.subscriber.text, made.expire_s) == ("E_A", "memory:a", 60)
        assert made.requested == Policy(keep="disk")
        assert made.interface == ""
        assert 49 < other.context.leases.seconds_left(made) <= 49.5
    for wrong in (b"{}", b'{"event":"E","key":"k","text":1}', b"["):
        with pytest.raises(ValueError):
            Lease.decode(wrong)


async def test_a_frame_has_the_size_it_may_have_whatever_is_in_it():
    """Headers, many names, and sockets that grow when they are encoded count: a frame too large is never taken."""
    shards, memory = Shards(), MemoryTransport()
    sockets = [f"memory:{letter * 60}" for letter in "äöü"]
    async with compose(shards, memory, sockets) as events:
        queues = list(shards.queues.values())
        raised = 0
        for number in range(60):
            name = f'E_"""""""""""""""""{number}'
            events.register_event(name)
            event = shards.context.raising.event(name).snapshot(None, 1.0)
            if number % 2:
                event = event.carrying({"traceparent": "0" * 55, "baggage": '"' * number * 4})
            raised += all(shards.outgoing.put(queue, event) for queue in queues)
        frames = []
        while not shards.outgoing.is_empty:
            await until(lambda: shards.sent)
            data, done = shards.sent.pop()
            frames.append(data)
            done(0)
    assert raised == 60
    found = [Frame.decode(data, shards.context.raising.event, 0.0) for data in frames]
    assert len({event.name for frame in found for event in frame.events}) == 60
    assert max(map(len, frames)) <= shards.way.max_bytes
