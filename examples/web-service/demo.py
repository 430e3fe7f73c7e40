"""The shop with all that belongs to it, shown: a flood, a back end that dies, a broker that goes.

Run it with the Python of an environment in which evframe, its plugins and `requirements.txt` are
installed::

    python examples/web-service/demo.py

It starts a RabbitMQ, two back ends and the service, follows the events with `evframe watch`, and
prints what arrives in the queue and in the file that takes over. Without a RabbitMQ on this machine
the file gets everything. It ends by itself, with exit code 0 when no event is lost.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import re
import signal
import sys
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from brokers import SERVER, OwnBroker, WayToBroker, free_port
from evframe_client import Client, ManagementError
from programs import File, Program, mark, orders, show, wait_until

HERE = Path(__file__).resolve().parent
CUSTOMERS = itertools.cycle(["alice", "bob", "carol", "dave"])
FLOODER = "127.66.6.6"
FLOOD = 200
PAUSE_S = 0.4
SUBSCRIBED = {"E_ORDER_PLACED", "E_PIKE_BLOCKED", "E_DISPATCHER_STATUS"}


class Shop:
    """The service with its broker and its back ends, and those who look at its events."""

    def __init__(self, folder: Path, broker: OwnBroker | WayToBroker | None) -> None:
        self.broker = broker
        self._folder = folder
        self._stack = ExitStack()
        ports = {name: free_port() for name in ("8000", "8888", "9001", "9002", "5672")}
        text = (HERE / "evframe.toml").read_text()
        if broker is not None:
            ports["5672"] = broker.port
            text = text.replace("?shop-events ", f"?{broker.queue} ")
        self.port, self._back_end_ports = ports["8000"], (ports["9001"], ports["9002"])
        text = re.sub(r"(?<=127.0.0.1:)\d+", lambda port: str(ports[port[0]]), text)
        (folder / "evframe.toml").write_text(text)
        self.client = Client(f"http://127.0.0.1:{ports['8888']}/mi")

    def __enter__(self) -> Self:
        with self._stack:
            if self.broker is not None:
                mark("a RabbitMQ starts, and a consumer declares its queue")
                self._stack.callback(self.broker.remove)
                self.broker.start()
                words = (HERE / "consumer.py", self.broker.address, self.broker.queue)
                self.queue = self._run("queue", *words)
                wait_until(lambda: self.consumer_works, "a consumer")
            self.file = File(self._folder / "events.log")
            self.back_ends = [self.start_back_end(number) for number in (0, 1)]
            options = ("--app-dir", HERE, "--port", str(self.port), "--log-level", "warning")
            self.service = self._run("service", "-m", "uvicorn", "--factory", "service:make_application", *options)
            wait_until(self._answers, "a service")
            self.watch = self._run("watch", "-m", "evframe", "watch", "E_*", "--json", "--url", self.client.url)
            wait_until(self._is_watched, "somebody who watches")
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _run(self, who: str, *words: str | Path) -> Program:
        program = Program(who, *words, folder=self._folder)
        self._stack.callback(program.end)
        return program

    def _answers(self) -> bool:
        if self.service.has_ended:
            raise RuntimeError("".join(self.service.messages))
        try:
            self.client.call("evi:list")
        except ManagementError:
            return False
        return True

    def _is_watched(self) -> bool:
        """Return whether somebody watches each event that the configuration subscribes: they subscribe one by one."""
        events = self.client.call("evi:subscribers")["Events"]
        watched = {each["name"] for each in events if "udp:" in json.dumps(each["Subscribers"])}
        return watched >= set(SUBSCRIBED)

    def start_back_end(self, number: int) -> Program:
        """Start the back end *number*, 0 or 1."""
        return self._run("back end", HERE / "back_end.py", str(self._back_end_ports[number]))

    def has_seen(self, name: str, **params: object) -> bool:
        """Return whether somebody who watches has seen an event with these parameters."""
        return any(name == seen and params.items() <= with_.items() for seen, with_ in self.watch.events)

    @property
    def consumer_works(self) -> bool:
        """Whether the consumer consumes, as far as it has said."""
        return bool(self.queue.messages) and self.queue.messages[-1].startswith("consuming")

    @property
    def seen(self) -> Counter[str]:
        """How often each event that the configuration subscribes was seen by somebody who watches, as a line of the file."""
        return Counter(as_line(name, params) for name, params in self.watch.events if name in SUBSCRIBED)

    @property
    def arrived(self) -> Counter[str]:
        """How often each event has arrived in the queue and in the file."""
        queue = [] if self.broker is None else self.queue.events
        return Counter([as_line(*event) for event in queue] + self.file.lines)


class Customers(threading.Thread):
    """Place one order after the other, until they have to stop."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.placed: list[int] = []
        self.refused = 0
        self._port = port
        self._over = threading.Event()

    def run(self) -> None:
        """Place orders."""
        while not self._over.wait(PAUSE_S):
            try:
                self._place(next(CUSTOMERS))
            except OSError:
                self.refused += 1

    def _place(self, customer: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        order = json.dumps({"customer": customer})
        try:
            connection.request("POST", "/orders", order, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status == 201:
                self.placed.append(json.load(answer)["id"])
            else:
                self.refused += 1
        finally:
            connection.close()

    def go_on(self, count: int) -> None:
        """Wait until *count* more orders are placed."""
        wanted = len(self.placed) + count
        wait_until(lambda: len(self.placed) >= wanted, f"{count} more orders")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()  # the present order is finished
        self.join()


def as_line(name: str, params: dict[str, Any]) -> str:
    """Return an event as the file has it."""
    return ",".join([name, *map(str, params.values())])


def flood(port: int) -> None:
    """Send many requests at once from one address."""
    mark(f"{FLOODER} sends {FLOOD} requests as fast as it can")
    statuses = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10, source_address=(FLOODER, 0))
    for _ in range(FLOOD):
        connection.request("GET", "/")
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    mark(f"{statuses.count(200)} of them were answered, {statuses.count(429)} refused with 429")


def lose_back_end(shop: Shop, customers: Customers) -> None:
    """Have a back end die and come back; the other one takes the orders meanwhile."""
    mark("the first back end is killed; the second one takes its orders")
    shop.back_ends[0].end(signal.SIGKILL)
    wait_until(lambda: shop.has_seen("E_DISPATCHER_STATUS", status="inactive"), "a back end out of use")
    customers.go_on(4)
    mark("the first back end is started again")
    shop.back_ends[0] = shop.start_back_end(0)
    wait_until(lambda: shop.has_seen("E_DISPATCHER_STATUS", status="active"), "a back end in use again")
    customers.go_on(4)


def lose_broker(shop: Shop, broker: OwnBroker | WayToBroker, customers: Customers) -> None:
    """Have the broker go and come back; the file takes the events meanwhile."""
    mark(f"{broker.gone}; the file takes over")
    broker.stop()
    customers.go_on(6)
    last = customers.placed[-1]
    mark(f"{broker.back}; the queue gets what is new")
    broker.start()
    # The broker may give old events to the consumer again.
    wait_until(lambda: any(params.get("id", 0) > last for _, params in shop.queue.events), "new events in the queue")
    customers.go_on(4)


def tell(shop: Shop) -> int:
    """Run the whole story; return how many orders were placed."""
    mark("customers place orders, which the two back ends keep in turn")
    with Customers(shop.port) as customers:
        customers.go_on(6)
        flood(shop.port)
        customers.go_on(4)
        lose_back_end(shop, customers)
        if shop.broker is not None:
            lose_broker(shop, shop.broker, customers)
    mark(f"{len(customers.placed)} orders are placed, {customers.refused} refused")
    return len(customers.placed)


def sum_up(shop: Shop, placed: int) -> bool:
    """Print the outcomes of the events, *placed* of which are about orders; return whether none is lost."""
    statistics: dict[str, Any] = {}
    raised: dict[str, int] = {}
    group: dict[str, Any] = {}

    def complete() -> bool:
        """Return whether each event is counted, seen and arrived: they come by three separate ways."""
        statistics.update(shop.client.call("evi:statistics"))
        raised.update((each["name"], each["raised"]) for each in statistics["Events"] if each["name"] in SUBSCRIBED)
        group.update(*(each for each in statistics["Subscribers"] if each["socket"].startswith("virtual:")))
        return (
            not any(counters["depth"] for counters in statistics["Subscribers"])
            and sum(raised.values()) == group["raised"] == group["delivered"] + group["failed"] == shop.seen.total()
            and shop.seen <= shop.arrived
            and raised["E_ORDER_PLACED"] == placed
        )

    try:
        wait_until(complete, "every event in the queue or in the file")
        lost = False
    except TimeoutError as error:
        mark(str(error))
        lost = True
    arrived, seen = shop.arrived, shop.seen
    orders.show()
    show("raised", ", ".join(f"{count} {name}" for name, count in raised.items()))
    show("counted", f"raised {group['raised']} = delivered {group['delivered']} + failed {group['failed']}")
    twice = f", {(arrived - seen).total()} of them twice" if arrived > seen else ""
    show("arrived", f"{arrived.total() - len(shop.file.lines)} in the queue, {len(shop.file.lines)} in the file{twice}")
    mark(f"events are missing: {sorted(seen - arrived)}" if lost else "no event is lost")
    return not lost


def main() -> int:
    """Run the demonstration."""
    parser = argparse.ArgumentParser(description="Show a web service with events.")
    broker_options = parser.add_mutually_exclusive_group()
    broker_options.add_argument("--broker", metavar="HOST:PORT", help="a RabbitMQ that runs, with the user guest")
    broker_options.add_argument("--without-broker", action="store_true", help="have the file take everything")
    options = parser.parse_args()
    broker: OwnBroker | WayToBroker | None = None
    if options.broker:
        try:
            broker = WayToBroker(options.broker)
        except (OSError, ValueError) as error:
            parser.error(f"--broker: expected host:port of a RabbitMQ that runs, got {options.broker!r}: {error}")
    elif not options.without_broker and SERVER.exists():
        broker = OwnBroker()
    elif not options.without_broker:
        mark("there is no RabbitMQ here: the file gets everything (apt-get install rabbitmq-server)")
    with tempfile.TemporaryDirectory() as folder, Shop(Path(folder), broker) as shop:
        try:
            return 0 if sum_up(shop, tell(shop)) else 1
        except TimeoutError as error:
            mark(f"{error}; the service says: {''.join(shop.service.messages)}")
            if broker is not None:
                mark(f"{broker.depth()}; the consumer says: {''.join(shop.queue.messages)}")
            return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
