"""A fleet without input and output: a broker and a clock of the test, real members and real subscribers.

A schedule is a list of actions, each a name and a number from 0 to 1 that decides what the action chooses, so that a
schedule without some of its actions is one, too. The model checks what holds at any time, and what holds when all is
quiet again at the end.
"""

from collections import defaultdict, deque
from math import inf
from random import Random

from evframe_fleet.log import Reread
from evframe_fleet.member import Member
from evframe_fleet.settings import Settings
from evframe_fleet.table import STALE_S, Table, names_of
from evframe_shards.frames import Frame
from evframe_shards.hashing import shard_of
from evframe_shards.lane import INDEX_BITS
from evframe_shards.leases import Lease

from evframe.delivery.limits import Limits
from evframe.delivery.subscriber import QueueSettings, Subscriber
from evframe.events.event import EventRegistry
from evframe.exceptions import Unavailable
from evframe.plugin import UntilStored

PARTITIONS = 2
SESSION_S = 6.0
GIVE_UP_S = 15.0  # nothing is written later than that
CALM_S = 2.1  # a round a second, that begins with a tick, of which the test has one in a second
LAG_S = 60.0  # the broker compacts only records that are older
SOCKETS = [f"udp:127.0.0.1:{port}" for port in range(1, 6)]
DEFINITION = EventRegistry().register("E")
LIFETIMES = [0, 10, 25, 100]
ROOM = 3
NEAR = 4  # frames


class Carrier:
    name = "sim"
    limits = Limits(batch_events=2, in_flight=4, in_flight_batches=2)

    def unsubscribed(self, socket):
        pass


class Reports:
    """Takes reports that the simulation does not need."""

    def changed(self, *_):
        pass

    lost = dead = away = back = changed


class Socket:
    expires = True

    def __init__(self, canonical):
        self.canonical = canonical


class Broker:
    """Two topics and a group of consumers."""

    def __init__(self, world):
        self.world = world
        self.leases = []  # offset, key, value, time
        self.next_lease = 0
        self.frames = [[] for _ in range(PARTITIONS)]  # offset, value
        self.next_frame = [0] * PARTITIONS
        self.first_frame = [0] * PARTITIONS
        self.committed = dict.fromkeys(range(PARTITIONS), 0)
        self.generation = 0
        self.members = {}  # process: the time of its last contact
        self.waits = {}  # process: what it has to do before the rebalance ends; empty when there is none
        self.owner = {}

    def append_lease(self, key, value):
        self.leases.append((self.next_lease, key, value, self.world.now))
        self.next_lease += 1
        self.world.lease_written(self.next_lease - 1, key, value)
        return self.next_lease - 1

    def append_frame(self, partition, value):
        offset = self.next_frame[partition]
        self.frames[partition].append((offset, value))
        self.next_frame[partition] += 1
        return offset

    def compact(self):
        old = self.world.now - LAG_S  # younger records do not remove others, either
        latest = {key: offset for offset, key, _, at in self.leases if at <= old}
        read = min((process.lease_offset for process in self.world.processes), default=0)  # tombstones stay for a day
        self.leases = [
            record
            for record in self.leases
            if record[3] > old
            or (latest[record[1]] == record[0] and (record[2] is not None or record[0] >= read))
            or record is self.leases[-1]
        ]

    def retain(self, partition, keep):
        """Delete all but the last *keep* frames."""
        self.frames[partition] = self.frames[partition][-keep:] if keep else []
        self.first_frame[partition] = self.next_frame[partition] - len(self.frames[partition])

    # the group

    def rebalance(self):
        self.waits = dict.fromkeys(self.members, "revoke")
        self.owner = {} if not self.members else self.owner
        self.finish()

    def join(self, process):
        self.members[process] = self.world.now
        self.rebalance()
        self.waits[process] = "joined"
        self.finish()

    def remove(self, process):
        self.members.pop(process, None)
        self.rebalance()

    def joined(self, process):
        if process in self.waits:
            self.waits[process] = "joined"
            self.finish()

    def finish(self):
        if not self.members or any(state != "joined" for state in self.waits.values()) or not self.waits:
            return
        self.waits = {}
        self.generation += 1
        ordered = sorted(self.members, key=lambda process: process.name)
        self.owner = {partition: ordered[partition % len(ordered)] for partition in range(self.world.partitions)}
        for process in ordered:
            process.generation = self.generation
            mine = {p: self.committed[p] for p, owner in self.owner.items() if owner is process}
            generation = self.generation
            process.later(
                "group",
                lambda process=process, mine=mine, generation=generation: process.get_assigned(mine, generation),
            )

    def commit(self, process, generation, offsets):
        if process not in self.members or generation != self.generation:
            return False
        self.members[process] = self.world.now
        for partition, offset in offsets.items():
            self.world.check_commit(partition, offset)
            self.committed[partition] = offset
        return True

    def expire(self):
        for process, contact in list(self.members.items()):
            if process.is_running and not process.is_cut:
                self.members[process] = self.world.now
            elif self.world.now - contact > SESSION_S:
                self.remove(process)


class Process:
    """A gateway: its member, its subscribers, and what has arrived and was not handled yet. It is its log, too."""

    def __init__(self, world, name):
        self.world = world
        self.name = name
        self.is_running = True
        self.is_dead = self.is_cut = False
        self.skew = world.random.uniform(-0.3, 0.3)
        self.generation = -1
        self.left_at = inf  # when it has last ceased to own its partitions
        self.owned = set()
        self.channels = defaultdict(deque)  # what was received, by its kind
        self.requests = defaultdict(deque)  # what was sent
        self.positions = {}
        self.paused = set()
        self.lease_offset = 0
        self.leases = {}  # what a listing shows
        self.configured = set()  # sockets
        self.subscribers = {}
        self.turns = deque()
        self.woken = deque()
        self.under_way = {}  # subscriber: batches in their order
        self.away = set()
        self.unsubscribed = 0
        self.number = 0
        self.raised = 0
        self.settings = QueueSettings(Reports(), room=ROOM)
        settings = Settings(
            name=name, partitions=world.partitions, session_s=SESSION_S, near_frames=NEAR, max_bytes=2000
        )
        self.member = Member(
            settings,
            self,
            self,
            soon=lambda call: self.channels["soon"].append(call),
            clock=lambda: world.now,
            wall=lambda: world.now + self.skew,
        )
        world.broker.join(self)

    def __hash__(self):
        return id(self)

    # what arrives

    def later(self, channel, call):
        if not self.is_dead:
            self.channels[channel].append(call)

    def handle(self, choice):
        """Handle something that has arrived."""
        channels = sorted(name for name, calls in self.channels.items() if calls)
        if not channels or not self.is_running:
            return False
        self.channels[channels[int(choice * len(channels))]].popleft()()
        return True

    def get_assigned(self, committed, generation):
        if generation == self.world.broker.generation and self in self.world.broker.members:
            self.owned = set(committed)
            self.member.assigned(committed)

    def revoke(self):
        """Handle the rebalance of the group, or the exclusion from it."""
        broker = self.world.broker
        if broker.waits.get(self) == "revoke":
            broker.waits[self] = "revoking"
            self.channels["group"].clear()
            owned = self.owned
            self.left_at = self.world.now

            def over():
                self.owned = set()
                broker.joined(self)

            self.member.revoked(owned, over)
        elif self not in broker.members:
            self.member.lost(self.owned)
            self.owned = set()
            self.channels["group"].clear()
            broker.join(self)

    # the log

    def put_lease(self, key, value, done):
        self.requests["lease"].append((self.world.now, (key, value, done)))

    def put_frame(self, partition, value, done):
        assert not self.requests[f"frame{partition}"]
        self.requests[f"frame{partition}"].append((self.world.now, (partition, value, done)))

    def commit(self, offsets, done):
        assert offsets
        self.requests["commit"].append((self.world.now, (self.generation, dict(offsets), done)))

    def read_from(self, partition, offset):
        self.positions[partition] = offset
        self.paused.discard(partition)
        self.channels[f"frames{partition}"].clear()

    def read_again(self, partition, offset, end, done):
        assert offset < end
        self.requests["again"].append((self.world.now, (partition, offset, end, done)))

    def pause(self, partition):
        self.paused.add(partition)

    def resume(self, partition):
        self.paused.discard(partition)

    def answer(self, choice, fault):
        """Have the broker handle a request of this process."""
        kinds = sorted(name for name, calls in self.requests.items() if calls)
        if not kinds or self.is_cut:
            return False
        kind = kinds[int(choice * len(kinds))]
        broker = self.world.broker
        sent, request = self.requests[kind].popleft()
        if self.world.now > sent + GIVE_UP_S:
            fault = "refused"
        done = request[-1]
        if kind == "lease":
            offset = broker.append_lease(*request[:2]) if fault != "refused" else None
            self.later("acks", lambda: done(None if fault else offset))
        elif kind == "again":
            partition, start, end, _ = request
            frames = [record for record in broker.frames[partition] if start <= record[0] < end][:2]
            next_offset = frames[-1][0] + 1 if frames else max(start, min(end, broker.next_frame[partition]))
            result = Reread(frames, next_offset, broker.first_frame[partition])
            self.later("again", lambda: done(None if fault else result))
        elif kind == "commit":
            accepted = fault != "refused" and broker.commit(self, *request[:2])
            self.later("acks", lambda: done(accepted and not fault))
        else:
            offset = broker.append_frame(*request[:2]) if fault != "refused" else None
            if fault:
                self.world.repeated.add(request[1])
            self.later(f"{kind} ack", lambda: done(None if fault else offset))
        return True

    def fetch(self, choice):
        """Have the broker send a record to this process."""
        if self.is_cut or self.is_dead:
            return False
        broker = self.world.broker
        ways = []
        record = next((each for each in broker.leases[-200:] if each[0] >= self.lease_offset), None)
        record = record and next(each for each in broker.leases if each[0] >= self.lease_offset)
        if record:
            ways.append(None)
        for partition in self.owned:
            if partition in self.positions and partition not in self.paused:
                found = next((each for each in broker.frames[partition] if each[0] >= self.positions[partition]), None)
                if found:
                    ways.append((partition, found))
        if not ways:
            return False
        way = ways[int(choice * len(ways))]
        if way is None:
            self.lease_offset = record[0] + 1
            self.later("leases", lambda: self.member.lease_read(*record[:3]))
        else:
            partition, (offset, value) = way
            self.positions[partition] = offset + 1
            self.later(f"frames{partition}", lambda: self.pass_frame(partition, offset, value))
        return True

    def pass_frame(self, partition, offset, value):
        if partition in self.owned:
            self.member.frame_read(partition, offset, value)

    # the gateway

    def lease_read(self, lease):
        self.make(lease)

    def lease_ended(self, event, key):
        if key in self.configured:
            return self.leases[event, key]
        return self.unmake(event, key)

    def holds(self, event, key):
        return key in self.configured

    def definition_of(self, event):
        assert event == "E"
        return DEFINITION

    def damaged(self, offset, problem):
        raise AssertionError(problem)

    def lost(self, partition, count, reason):
        self.world.lost[reason] += count

    # subscribers

    def make(self, lease):
        self.leases[lease.event, lease.key] = lease
        subscriber = self.subscribers.get(lease.key)
        if subscriber is None:
            subscriber = self.subscribers[lease.key] = Subscriber(
                Socket(lease.key), Carrier(), lease.key, self.settings
            )
            subscriber.use(self.member.open(subscriber, ROOM, lambda: self.wake(subscriber)))
            self.under_way[subscriber] = deque()
            subscriber.leases = 1
        subscriber.ended = False

    def unmake(self, event, key):
        if self.leases.pop((event, key), None) is None:
            return
        subscriber = self.subscribers[key]
        subscriber.end()
        self.proceed(subscriber)

    def wake(self, subscriber):
        if subscriber.state.name == "IDLE":
            self.proceed(subscriber)

    def proceed(self, subscriber):
        if subscriber.proceed():
            self.turns.append(subscriber)
        elif subscriber.is_over and self.subscribers.get(subscriber.socket.canonical) is subscriber:
            del self.subscribers[subscriber.socket.canonical]
            self.member.close(subscriber)
            subscriber.release()

    def begin(self):
        """Give a subscriber its turn."""
        if not self.turns or not self.is_running:
            return False
        subscriber = self.turns.popleft()
        if subscriber.state.name != "QUEUED":
            return True
        self.number += 1
        batch = subscriber.begin(self.number)
        if batch is None:
            self.proceed(subscriber)
            return True
        entries = subscriber.queue.lane.under_way[batch.number]
        self.world.begun(self, subscriber.socket.canonical, entries, batch.ids)
        self.under_way[subscriber].append((batch, [(place, event.params[0]) for place, event, _ in entries]))
        if subscriber.may_send_more:
            self.proceed(subscriber)
        return True

    def finish(self, choice):
        """End the oldest batch of a subscriber: all of it is delivered, or some; none when the peer is away."""
        batches = [each for each in self.under_way.items() if each[1]]
        if not batches or not self.is_running:
            return False
        subscriber, under_way = batches[int(choice * len(batches))]
        batch, entries = under_way.popleft()
        socket = subscriber.socket.canonical
        error = None
        if socket in self.world.away or subscriber.returned:
            error = Unavailable("away")
        elif choice * 10 % 1 < 0.2:
            batch.confirm(0)
            error = Unavailable("away")
        for index, (place, number) in enumerate(entries):
            if error is None or index in batch.confirmed:
                self.world.delivered(self, socket, place, number)
        subscriber.finish(batch, error)
        if subscriber.state.name == "AWAY":
            if not subscriber.batches:
                subscriber.give_back()
                subscriber.resume()
                self.proceed(subscriber)
        else:
            self.proceed(subscriber)
        return True

    def check_counters(self):
        for subscriber in self.subscribers.values():
            assert subscriber.raised == subscriber.delivered + subscriber.failed + subscriber.depth, (
                subscriber.raised,
                subscriber.delivered,
                subscriber.failed,
                subscriber.depth,
            )
            assert subscriber.depth >= 0
            assert subscriber.raised >= 0


class World:
    """All of it, with the model of what has to come."""

    def __init__(self, seed):
        self.is_calm = seed % 4 == 1  # the broker answers at once, and gateways end or are killed alone
        self.random = Random(seed)
        self.now = 1000.0
        self.seconds_run = 0.0
        self.broker = Broker(self)
        self.processes = []
        self.count = 0
        self.away = set()
        self.lost = defaultdict(int)
        self.table = Table(PARTITIONS)
        self.effective = {}  # by socket
        self.raises = []  # number, socket, process, time, whether it is stored
        self.stored = {}  # number and socket: the time
        self.deliveries = defaultdict(list)  # number and socket: the times
        self.settled = defaultdict(set)  # socket: places
        self.first_begun = defaultdict(dict)  # socket and raiser: numbers in their order
        self.raiser = {}
        self.repeated = set()
        self.keeps = defaultdict(list)  # by socket
        self.ends = {}  # key: when a client has asked for the end
        self.kept_ends = {}  # those that are acknowledged
        self.has_ended = defaultdict(list)
        self.partitions = PARTITIONS
        self.start()
        self.start()

    def grow(self):
        """End all gateways, and have one partition more: most subscribers have another one then."""
        for process in list(self.processes):
            self.kill(process, 1.0)
        broker = self.broker
        for each, begin in ((broker.frames, []), (broker.next_frame, 0), (broker.first_frame, 0)):
            each.append(begin)
        broker.committed[self.partitions] = 0
        self.partitions += 1
        self.table.behind.append({})
        self.effective.clear()

    def start(self):
        self.count += 1
        self.processes.append(Process(self, f"g{self.count}"))

    def pick(self, choice, among):
        return among[int(choice * 997 % 1 * len(among))] if among else None

    @property
    def running(self):
        return [process for process in self.processes if process.is_running]

    # actions

    def act(self, name, choice):
        process = self.pick(choice, self.running)
        if process is not None or name in {"start", "continue", "time", "wait", "long", "away", "compact", "retain"}:
            getattr(self, f"do_{name}")(process, choice)
        if self.is_calm:
            self.settle_down(rounds=6)
        self.check()

    def do_step(self, process, choice):
        self.step(process, choice)

    def do_run(self, process, choice):
        for index in range(30):
            self.step(self.pick((choice + index * 0.137) % 1, self.running), (choice + index * 0.371) % 1)

    def do_fault(self, process, choice):
        process.answer(choice, "refused" if choice < 0.5 else "unknown")

    def do_raise(self, process, choice):
        self.raise_event(process)

    def do_subscribe(self, process, choice):
        self.subscribe(process, self.pick(choice * 31 % 1, SOCKETS), self.pick(choice * 57 % 1, LIFETIMES))

    def do_unsubscribe(self, process, choice):
        self.unsubscribe(process, self.pick(choice * 31 % 1, SOCKETS))

    def do_time(self, process, choice):
        self.advance(choice)

    def do_wait(self, process, choice):
        for _ in range(12):
            self.advance(0.5)
            self.settle_down(rounds=2)

    def do_long(self, process, choice):
        for _ in range(90):
            self.advance(1.0)
            self.settle_down(rounds=1)

    def do_kill(self, process, choice):
        if len(self.running) > 1 or choice < 0.3:
            self.kill(process, choice)

    def do_start(self, process, choice):
        if len(self.processes) < 3:
            self.start()

    def do_stop(self, process, choice):
        if len(self.running) > 1:
            process.is_running = False

    def do_continue(self, process, choice):
        stopped = [each for each in self.processes if not each.is_running]
        if stopped:
            self.pick(choice, stopped).is_running = True

    def do_cut(self, process, choice):
        process.is_cut = not process.is_cut

    def do_away(self, process, choice):
        self.away ^= {self.pick(choice, SOCKETS)}

    def do_compact(self, process, choice):
        self.broker.compact()

    def do_retain(self, process, choice):
        self.broker.retain(int(choice * self.partitions), int(choice * 7 % 1 * 5))

    def do_leave(self, process, choice):
        if len(self.running) > 1:
            process.member.leave(lambda: None)
            self.settle_down(rounds=20)
            self.kill(process, 1.0)

    def kill(self, process, choice):
        process.is_running, process.is_dead = False, True
        process.left_at = self.now
        process.channels.clear()
        for kind, requests in process.requests.items():
            if choice < 0.5:
                requests.clear()
            for _, (key, value, _) in requests if kind == "lease" else ():
                self.broker.append_lease(key, value)
            for _, (partition, value, _) in requests if kind.startswith("frame") else ():
                self.broker.append_frame(partition, value)
        process.requests.clear()
        self.processes.remove(process)
        if choice == 1.0:
            self.broker.remove(process)

    def step(self, process, choice):
        """Do one of the things that are to be done next."""
        ways = [
            lambda: process.handle(choice),
            lambda: process.answer(choice, None),
            lambda: process.fetch(choice),
            process.begin,
            lambda: process.finish(choice),
        ]
        first = int(choice * 7919 % 1 * len(ways))
        return any(ways[(first + index) % len(ways)]() for index in range(len(ways)))

    def advance(self, seconds):
        self.now += seconds
        self.broker.expire()
        for process in self.running:
            process.member.tick()
            if not process.is_cut:
                process.revoke()

    def settle_down(self, rounds=4):
        for _ in range(rounds):
            for process in self.running:
                choice = 0.5
                for _ in range(40):
                    choice = (choice * 7919 + 0.1234) % 1
                    if not self.step(process, choice):
                        break

    def raise_event(self, process):
        targets = [
            (key, subscriber) for (_, key), lease in process.leases.items() for subscriber in [process.subscribers[key]]
        ]
        number = len(self.raises)
        self.raises.append(process.name)
        event = DEFINITION.snapshot([number], self.now)
        for key, subscriber in targets:

            def done(reason, key=key, number=number):
                if reason == "stored":
                    self.stored[number, key] = self.now
                else:
                    assert reason in {"queue_full", "shutdown", "unsubscribed"}, reason

            table = process.member.table  # which lacks a lease that waits for its record, and may never have it
            is_known = key in table.sockets and key in self.table.sockets  # else it has ended, or is not made yet
            self.raiser[number, key] = table.offset if is_known else -1
            if subscriber.put(event, UntilStored(done)):
                process.turns.append(subscriber)

    def subscribe(self, process, socket, expire_s, *, is_configured=False):
        ends_at = self.now + process.skew + expire_s if expire_s else None
        lease = Lease(
            event="E", key=socket, text=socket, expire_s=expire_s, ends_at=ends_at, is_configured=is_configured
        )
        if is_configured:
            process.configured.add(socket)
        process.make(lease)
        request = {"asked": self.now, "ends_at": self.now + expire_s if expire_s else inf, "is_kept": False}
        if not is_configured:  # such a lease lives as long as a gateway has it
            self.keeps[socket].append(request)

        def done():
            request["is_kept"] = True

        process.member.leases.keep(lease, done)

    def unsubscribe(self, process, socket):
        if ("E", socket) not in process.leases:
            return
        process.unmake("E", socket)
        asked = self.ends[socket] = self.now
        self.has_ended[socket].append(self.broker.next_lease)
        process.member.leases.end("E", socket, lambda: self.kept_ends.update({socket: asked}))

    # what is observed

    def lease_written(self, offset, key, value):
        before = set(self.table.leases)
        self.table.read(offset, key, value)
        for gone in before - set(self.table.leases):
            socket = names_of(gone)[2]
            self.has_ended[socket].append(offset)
            self.check_end(socket)
        for socket in SOCKETS:
            place = self.table.effective(shard_of(socket, self.partitions), socket)
            before = self.effective.get(socket, 0)
            assert place >= before, f"the effective position of {socket} fell from {before} to {place}"
            self.effective[socket] = place
            self.check_effective(socket, place)

    def check_end(self, socket):
        """Check that a lease has ended by its time, or because a client has said so since it was renewed."""
        assert not self.must_live(socket), f"{socket}: the renewal of {self.must_live(socket)} is lost"

    def must_live(self, socket):
        """Return when the lease was asked for that must not have ended; None when it may have.

        Of requests within the seconds by which clocks differ, and records are late, any may be the last one.
        """
        asked = max((each["asked"] for each in self.keeps[socket] if each["is_kept"]), default=None)
        if asked is None or self.ends.get(socket, -1.0) >= asked - STALE_S - 1.0:
            return None
        later = [each["ends_at"] for each in self.keeps[socket] if each["asked"] >= asked - STALE_S - 1.0]
        return asked if self.now < min(later) else None

    def places_of(self, socket):
        """Yield the place and the number of each event in the log for a subscriber, and the bytes of its frame."""
        partition = shard_of(socket, self.partitions)
        for offset, value in self.broker.frames[partition]:
            frame = Frame.decode(value, lambda _: DEFINITION, 0.0)
            for index, (event, targets) in enumerate(zip(frame.events, frame.targets, strict=True)):
                indexes = [targets] if type(targets) is int else targets
                if socket in [frame.sockets[at] for at in indexes]:
                    yield offset << INDEX_BITS | index, event.params[0], value

    def check_effective(self, socket, place):
        for at, number, _ in self.places_of(socket):
            if at < place and not self.deliveries[number, socket]:
                assert self.may_miss(socket, number), f"{number} for {socket} at {at} is below {place}"

    def may_miss(self, socket, number):
        """Whether the lease has ended behind what the raiser of an event knew, so that the event may be missing."""
        known = self.raiser[number, socket]
        return any(ended > known for ended in self.has_ended[socket])

    def check_commit(self, partition, offset):
        for socket in SOCKETS:
            if shard_of(socket, self.partitions) == partition:
                self.check_effective(socket, offset << INDEX_BITS)

    def begun(self, process, socket, entries, ids):
        partition = shard_of(socket, self.partitions)
        assert len(set(ids)) == len(ids)
        for other in self.processes:
            if other is not process:
                assert partition not in other.owned or other not in self.broker.members or self.broker.waits, (
                    f"{process.name} begins a batch for {socket}, which {other.name} owns"
                )
        for _, event, frame in entries:
            numbers = self.first_begun[socket, frame.writer]
            number = event.params[0]
            if number not in numbers and not self.may_miss(socket, number):
                assert not numbers or number > max(numbers), f"{socket}: {number} after {max(numbers)}"
                numbers[number] = True

    def delivered(self, process, socket, place, number):
        before = self.deliveries[number, socket]
        if self.is_calm and before:
            settled, _, owner = before[-1]
            # Who gives a partition up waits for what is under way, and says all that is settled.
            repeats_s = CALM_S if owner.is_dead else -owner.member.settings.revoke_s
            assert settled >= owner.left_at - repeats_s, f"{number} for {socket}, settled at {settled}, comes again"
        before.append((self.now, place, process))

    def check(self):
        for process in self.processes:
            process.check_counters()

    # the end

    def finish(self):
        """Have everything healthy, wait, and compare."""
        self.heal()
        expected = {key: entry.lease for key, entry in self.table.leases.items()}
        for process in self.processes:
            assert {("E", lease.key): lease for lease in expected.values()} == process.leases, process.name
        self.broker.compact()
        fresh = Table(self.partitions)
        for offset, key, value, _ in self.broker.leases:
            fresh.read(offset, key, value)
        assert {key: entry.lease for key, entry in fresh.leases.items()} == expected
        for socket in SOCKETS:
            self.check_socket(socket, fresh)
        for (number, socket), at in self.stored.items():
            if not self.deliveries[number, socket] and not self.may_miss(socket, number):
                is_seen = bool(self.broker.frames[shard_of(socket, self.partitions)])  # what was deleted
                assert self.lost["retention"] or not is_seen, f"{number} for {socket}, stored at {at}, is lost"

    def check_socket(self, socket, fresh):
        """Compare what is known of a subscriber with what clients have asked for."""
        partition, key = shard_of(socket, self.partitions), f'["lease","E","{socket}"]'
        last = max((offset for offset, _ in self.broker.frames[partition]), default=-1)
        assert fresh.effective(partition, socket) == self.table.effective(partition, socket)
        assert self.table.effective(partition, socket) >> INDEX_BITS > last
        entry = self.table.leases.get(key)
        assert entry is None or entry.lease.ends_at is None or entry.lease.ends_at + 15 > self.now
        if self.must_live(socket):
            assert entry is not None, f"{socket}: its lease is lost"
        asked = self.kept_ends.get(socket, -1.0)
        if all(each["asked"] + STALE_S + 1.0 < asked for each in self.keeps[socket]):
            assert entry is None, f"{socket}: its client has ended it"

    def heal(self):
        """Have everything healthy, and wait."""
        self.away.clear()
        for process in self.processes:
            process.is_running, process.is_cut = True, False
        if not self.processes:
            self.start()
        for _ in range(40):
            self.advance(0.5)
            self.settle_down()
        for process in self.processes:
            process.check_counters()
            assert not any(process.channels.values()), dict(process.channels)
            for subscriber in process.subscribers.values():
                assert not subscriber.depth, (process.name, subscriber.socket.canonical, subscriber.depth)


ACTIONS = {
    "step": 40,
    "run": 30,
    "raise": 20,
    "time": 16,
    "subscribe": 6,
    "fault": 5,
    "away": 3,
    "kill": 2,
    "start": 3,
    "unsubscribe": 1.5,
    "wait": 2,
    "stop": 1.5,
    "continue": 3,
    "cut": 1.5,
    "compact": 1,
    "long": 0.3,
    "leave": 0.7,
}


CALM = ["run", "raise", "time", "subscribe", "kill", "start", "leave", "wait"]


def schedule_of(seed, length=120):
    """Return the schedule of a seed."""
    random = Random(seed)
    weights = dict(ACTIONS)
    if seed % 4 == 0:
        weights["retain"] = 1
    if seed % 4 == 1:
        weights = {name: weights[name] for name in CALM}
    if seed % 4 == 2:
        weights |= {"fault": 25, "away": 6, "unsubscribe": 6, "cut": 4}
    names = random.choices(list(weights), list(weights.values()), k=length)
    start = [("subscribe", random.random()) for _ in range(3)]
    return [*start, *((name, random.random()) for name in names)]


def run(seed, schedule):
    """Run a schedule; AssertionError when something does not hold."""
    world = World(seed)
    for name, choice in schedule:
        world.act(name, choice)
    world.finish()
    return world


def shortened(seed, schedule, kind=Exception):
    """Return a schedule that fails, too, and has no part that can be left out."""

    def fails(part):
        try:
            run(seed, part)
        except kind:
            return True
        return False

    size = len(schedule) // 2
    while size:
        start = 0
        while start < len(schedule):
            part = schedule[:start] + schedule[start + size :]
            if fails(part):
                schedule = part
            else:
                start += size
        size //= 2
    return schedule
