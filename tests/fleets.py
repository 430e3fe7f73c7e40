"""A fleet of gateways as processes, the subscribers of it, and what has come of the events."""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import Counter, defaultdict
from pathlib import Path

from brokers.own import free_port
from evframe_wire.framing import Splitter
from processes import bound
from stream_servers import StreamServer

SHOWN = 20
PROGRAM = Path(__file__).with_name("fleet_gateway.py")
CONFIGURATION = """
[plugins]
disable = ["mi-fifo", "mi-datagram"]
[core]
drain_timeout_s = 5
[plugins.mi-http]
bind = "127.0.0.1:{port}"
[plugins.stream]
reliable_mode = true
timeout_ms = 60000
[plugins.fleet]
brokers = "127.0.0.1:{broker}"
name = "{name}"
group_id = "{run}"
leases_topic = "{run}.leases"
events_topic = "{run}.events"
partitions = {partitions}
replication_factor = 1
{tuning}
"""


def call(port, method, params=(), timeout_s=10):
    """Return the answer to a request to a gateway."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/mi", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        return json.load(answer)


class Received:
    """What the subscribers have got."""

    def __init__(self):
        self.seen = defaultdict(set)
        """The numbers, by subscriber and raising gateway."""
        self.repeated = Counter()
        """How often an event came again, by subscriber."""
        self.disorder = []
        self.last = {}
        """When each subscriber has last got an event that it did not have."""
        self.gaps = defaultdict(float)
        """The longest time without such an event, by subscriber, since the last call of `begin`."""
        self.count = 0
        self._highest = {}

    def begin(self):
        """Measure anew."""
        self.gaps.clear()
        self.repeated.clear()

    def take(self, subscriber, params):
        key, number, now = (subscriber, params["from"]), params["n"], time.monotonic()
        seen = self.seen[key]
        self.count += 1
        if number in seen:
            self.repeated[subscriber] += 1
            return
        if number < self._highest.get(key, -1):
            self.disorder.append((*key, number, self._highest[key]))
        self._highest[key] = max(number, self._highest.get(key, -1))
        seen.add(number)
        self.gaps[subscriber] = max(self.gaps[subscriber], now - self.last.get(subscriber, now))
        self.last[subscriber] = now


class Datagrams:
    """Subscribers with UDP sockets."""

    def __init__(self, received, names):
        self._sockets, self.texts = [], {}
        for name in names:
            each = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            with contextlib.suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE: what finds no room is lost
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
            self._sockets.append(each)
            self.texts[name] = f"udp:127.0.0.1:{each.getsockname()[1]}"
            asyncio.get_running_loop().add_reader(each, self._read, each, name, received)

    def _read(self, each, name, received):
        with contextlib.suppress(BlockingIOError):
            while True:
                received.take(name, json.loads(each.recv(65536))["params"])

    async def close(self):
        for each in self._sockets:
            asyncio.get_running_loop().remove_reader(each)
            each.close()


class Streams:
    """Subscribers with TCP servers that answer each request."""

    def __init__(self, received, names):
        self._received, self._names = received, names
        self._servers, self.texts = contextlib.AsyncExitStack(), {}

    async def open(self):
        for name in self._names:

            async def serve(reader, writer, name=name):
                splitter = Splitter(1 << 20)
                while data := await reader.read(1 << 16):
                    answers = []
                    for message in splitter.read(data):
                        self._received.take(name, message["params"])
                        answers.append(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": 1}))
                    writer.write("".join(answers).encode())

            server = await self._servers.enter_async_context(StreamServer(serve))
            self.texts[name] = f"tcp:127.0.0.1:{server.port}"
        return self

    async def close(self):
        await self._servers.aclose()


class Queues:
    """Subscribers with a routing key each at a RabbitMQ."""

    def __init__(self, received, names, broker, run):
        self._received, self._broker, self._run = received, broker, run
        self.texts = {name: f"rabbitmq:guest:guest@127.0.0.1:{broker.port}/{run}-{name}" for name in names}

    async def open(self):
        import aio_pika

        self._connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{self._broker.port}/")
        channel = await self._connection.channel()
        for name in self.texts:
            queue = await channel.declare_queue(f"{self._run}-{name}", auto_delete=True)

            async def take(message, name=name):
                self._received.take(name, json.loads(message.body)["params"])

            await queue.consume(take, no_ack=True)
        return self

    async def close(self):
        await self._connection.close()


class Gateway:
    """One gateway, which may be killed and started again."""

    def __init__(self, fleet, name, broker_port):
        self.fleet, self.name, self.broker_port = fleet, name, broker_port
        self.port = free_port()
        self.life = 0
        self.process = None
        self.acknowledged = defaultdict(set)
        """The numbers, by kind and life."""
        self._reader = None

    async def start(self, *, raises=True):
        """Start the process, and return when it can be asked."""
        self.life += 1
        self.is_over = asyncio.Event()
        fleet = self.fleet
        config = CONFIGURATION.format(
            port=self.port,
            broker=self.broker_port,
            name=self.name,
            run=fleet.run,
            partitions=fleet.partitions,
            tuning=fleet.tuning,
        ) + "".join(f'[[events]]\nname = "E_{kind}"\n' for kind in range(fleet.kinds))
        settings = {"config": config, "name": f"{self.name}{self.life}", "rate": fleet.rate / 3, "kinds": fleet.kinds}
        self.output = open(fleet.folder / f"{self.name}-{self.life}.log", "wb")  # noqa: SIM115 a log
        self.process = await asyncio.create_subprocess_exec(
            *bound(sys.executable, str(PROGRAM), json.dumps(settings)),
            stdout=subprocess.PIPE,
            stderr=self.output,
            limit=1 << 24,
        )
        line = await asyncio.wait_for(self.process.stdout.readline(), 60)
        assert line == b"ready\n", (fleet.folder / f"{self.name}-{self.life}.log").read_text()[-3000:]
        self._reader = asyncio.ensure_future(self._read(self.process.stdout, self.life))
        if raises:
            self.send(signal.SIGUSR1)

    async def _read(self, output, life):
        while line := await output.readline():
            if line == b"over\n":
                self.is_over.set()
            elif line.endswith(b"\n"):
                number, kind = map(int, line.split())
                self.acknowledged[kind, f"{self.name}{life}"].add(number)

    def send(self, what):
        os.kill(self.process.pid, what)

    async def stop(self, what=signal.SIGTERM):
        """End the process."""
        self.send(what)
        await self.process.wait()
        await self._reader
        self.output.close()

    async def call(self, method, params=(), timeout_s=10):
        return await asyncio.to_thread(call, self.port, method, params, timeout_s)

    async def status(self):
        return (await self.call("fleet:status"))["result"]


class Fleet:
    """Three gateways and their subscribers.

    Args:
        folder: for logs.
        kafka: the broker.
        kinds: of events; each has one subscriber of each sort.
        rate: events a second, of all gateways together.
        tuning: more options.
        lease_s: how long the subscriptions last that are renewed at any gateway, those of every tenth kind.
    """

    def __init__(self, folder, kafka, *, kinds, rate, lease_s, tuning="", partitions=12, rabbitmq=None, ports=None):
        self.folder, self.kafka, self.kinds, self.rate, self.tuning = Path(folder), kafka, kinds, rate, tuning
        self.partitions, self.rabbitmq, self.lease_s = partitions, rabbitmq, lease_s
        self.renewals = 0
        self.shown = []
        """After how many seconds the other gateways have shown a subscription."""
        self._renewing = None
        self.run = f"fleet-{uuid.uuid4().hex[:10]}"
        self.received = Received()
        self.gateways = [Gateway(self, name, (ports or {}).get(name, kafka.port)) for name in "abc"]
        self.targets = {}

    async def __aenter__(self):
        kinds = range(self.kinds)
        self._sorts = [
            Datagrams(self.received, [f"u{kind}" for kind in kinds]),
            await Streams(self.received, [f"t{kind}" for kind in kinds]).open(),
        ]
        if self.rabbitmq is not None:
            queues = Queues(self.received, [f"r{kind}" for kind in kinds], self.rabbitmq, self.run)
            self._sorts.append(await queues.open())
        for sort in self._sorts:
            self.targets |= sort.texts
        await asyncio.gather(*(each.start(raises=False) for each in self.gateways))
        await self.until_joined()
        await self.subscribe()
        self._renewing = asyncio.ensure_future(self._renew())
        for each in self.gateways:
            each.send(signal.SIGUSR1)
        while len(self.received.last) < len(self.targets):  # else there is nothing to measure gaps from
            await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_):
        if self._renewing is not None:
            self._renewing.cancel()
        for each in self.gateways:
            if each.process is not None and each.process.returncode is None:
                each.send(signal.SIGCONT)
                await each.stop(signal.SIGKILL)
        for sort in self._sorts:
            await sort.close()

    async def subscribe(self):
        """Subscribe each at any gateway, and wait until all gateways show all."""
        for name in self.targets:
            gateway = random.choice(self.gateways)
            answer = await self._subscribe(gateway, name)
            assert answer.get("result") == "OK", answer
            if len(self.shown) < SHOWN:
                await self._until_shown(gateway, name)
        for each in self.gateways:
            while (await each.status())["Leases"] < len(self.targets):
                await asyncio.sleep(0.01)

    def _is_renewed(self, name):
        return int(name[1:]) % 10 == 0

    async def _subscribe(self, gateway, name, timeout_s=10):
        expire_s = self.lease_s if self._is_renewed(name) else 36000
        return await gateway.call("event_subscribe", [f"E_{name[1:]}", self.targets[name], expire_s], timeout_s)

    async def _until_shown(self, gateway, name):
        begun = time.monotonic()
        for each in self.gateways:
            params = [f"E_{name[1:]}", self.targets[name]]
            while each is not gateway and "result" not in await each.call("subscribers_list", params):
                assert time.monotonic() < begun + 30, f"{each.name} does not show {name}"
        self.shown.append(time.monotonic() - begun)

    async def _renew(self):
        """Renew subscriptions at any gateway, as clients do that try the next one when one does not answer."""
        names = [name for name in self.targets if self._is_renewed(name)]
        while True:
            for name in names:
                await asyncio.sleep(self.lease_s / 4 / len(names))
                for gateway in random.sample(self.gateways, len(self.gateways)):
                    with contextlib.suppress(OSError, ValueError):
                        if (await self._subscribe(gateway, name, 0.5)).get("result") == "OK":
                            self.renewals += 1
                            break

    async def until_joined(self, timeout_s=90):
        """Wait until the partitions are divided among all gateways."""
        until = time.monotonic() + timeout_s
        while True:
            with contextlib.suppress(OSError, ValueError):
                found = [await each.status() for each in self.gateways]
                mine = [[m for m in f["Members"] if m["name"] == f["Name"]] for f in found]
                counts = [len(m[0]["partitions"]) if m else 0 for m in mine]
                if sum(counts) == self.partitions and all(counts):
                    return
            assert time.monotonic() < until, "the gateways have not joined"
            await asyncio.sleep(0.05)

    async def until_received(self, timeout_s=90):
        """Wait until each subscriber has got an event that is new to it."""
        begun = time.monotonic()
        while any(self.received.last[name] < begun for name in self.targets):
            late = [name for name in self.targets if self.received.last[name] < begun]
            assert time.monotonic() < begun + timeout_s, f"nothing comes for {late}"
            await asyncio.sleep(0.02)

    async def settled(self, timeout_s=60):
        """End the raising, and wait until each acknowledged event has arrived; return those that have not."""
        for each in self.gateways:
            each.send(signal.SIGUSR2)
        async with asyncio.timeout(timeout_s):
            for each in self.gateways:
                await each.is_over.wait()
        until = time.monotonic() + timeout_s
        while (missing := self.missing()) and time.monotonic() < until:
            await asyncio.sleep(0.05)
        return missing

    def missing(self):
        """Return the acknowledged events that a subscriber does not have: subscriber, gateway and numbers."""
        found = []
        for gateway in self.gateways:
            for (kind, name), numbers in gateway.acknowledged.items():
                for sort in "utr" if self.rabbitmq is not None else "ut":
                    lost = numbers - self.received.seen[f"{sort}{kind}", name]
                    if lost:
                        found.append((f"{sort}{kind}", name, sorted(lost)))
        return found

    @property
    def acknowledged(self):
        """How many events were acknowledged."""
        return sum(len(each) for gateway in self.gateways for each in gateway.acknowledged.values())

    @property
    def per_subscriber_s(self):
        """How many events a second each subscriber gets."""
        return self.rate / self.kinds

    @property
    def slowest(self):
        """The subscriber that has waited longest since the last call of `Received.begin`."""
        return max(self.received.gaps, key=self.received.gaps.get, default=None)

    def figures(self):
        """Return the longest gap in seconds, and the most repeated events of a subscriber, as seconds of its rate."""
        now = time.monotonic()
        gaps = [max(gap, now - self.received.last.get(name, now)) for name, gap in self.received.gaps.items()]
        return max(gaps, default=0.0), max(self.received.repeated.values(), default=0) / self.per_subscriber_s
