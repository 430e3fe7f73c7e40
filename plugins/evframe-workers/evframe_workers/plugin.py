"""The plugin: the front, which divides the subscribers among the workers; in a worker it does nothing by itself."""

from __future__ import annotations

import asyncio
import logging
import pickle
import re
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from fnmatch import fnmatchcase
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from evframe_shards.hashing import shard_of
from evframe_wire.ids import processes

from evframe import EventInterface, hookimpl
from evframe.plugin import MemoryQueue, StatisticGroup, delivering
from evframe_workers import messages
from evframe_workers.commands import Forwarding
from evframe_workers.counting import Counting, sums_of
from evframe_workers.kept import KeptLedger
from evframe_workers.leaving import leave, take_over
from evframe_workers.ledger import Ledger
from evframe_workers.link import Link
from evframe_workers.options import Options as WorkersOptions
from evframe_workers.process import WorkerProcess
from evframe_workers.settings import NAME, OF_FRONT, config_of_worker, followed, is_of_front
from evframe_workers.subscribed import Subscribed

if TYPE_CHECKING:
    from evframe import Event, Socket
    from evframe.plugin import Changes, LeaseChange, PluginContext, Policy, Queue, Subscriber, Subscription
    from evframe_workers.engine import InterfaceEngine

DeliveryChanged = Callable[["Socket", "str | None", "Event | None"], None]
_STARTING: Final = "starting"
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?:file|env):")
"""What only a configured text has."""


class WorkersPlugin:
    """Has worker processes deliver events.

    Args:
        options: the table ``[plugins.workers]``.
    """

    Options = WorkersOptions
    kind = "extension"

    def __init__(self, options: WorkersOptions | None = None) -> None:
        self._options = options or WorkersOptions()
        self.opens_all_queues = self._options.count > 0
        self.context: PluginContext | None = None
        """Of the interface."""
        self._engine: InterfaceEngine | None = None
        self._on_delivery_changed: DeliveryChanged | None = None
        self._counts: list[Counting] = []
        self._links: list[Link] = []
        self.processes: list[WorkerProcess] = []
        """The workers; none before the start."""
        self._forwarding = Forwarding(())
        self._numbers = count()
        self._served: dict[Subscriber, tuple[int, Ledger]] = {}  # the worker of each, and its queue
        self._generation = 0  # of the configuration
        self._started_with: dict[int, int] = {}  # the generation, by worker
        self._turns = Context()  # of the delivery: the code that raises the first event of a turn lends none
        self._turns.run(delivering.set, True)

    def work(self, engine: InterfaceEngine, on_delivery_changed: DeliveryChanged) -> None:
        """Be the plugin of a worker.

        Args:
            engine: opens subscribers.
            on_delivery_changed: called when deliveries begin to fail, or work again.
        """
        self._engine, self._on_delivery_changed = engine, on_delivery_changed
        self.opens_all_queues = self._get_context().roster.opens_all = True

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Make the links to the workers: subscribers come before the start."""
        self.context = context
        forwarding = self._forwarding = Forwarding(self._links)
        self._counts = [Counting(index, context, forwarding.take) for index in range(self._options.count)]
        self._links += [Link(each, self._schedule) for each in self._counts]

    def _schedule(self, after_s: float, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if after_s > 0:
            loop.call_later(after_s, call, context=self._turns)
        else:
            loop.call_soon(call, context=self._turns)

    def _get_context(self) -> PluginContext:
        assert self.context is not None
        return self.context

    # Subscribers

    @hookimpl
    def open_queue(self, subscriber: Subscriber, room: int, policy: Policy, wake: Callable[[], None]) -> Queue | None:
        """Return the queue of a subscriber that a worker delivers to; and in a worker that of one that it opens."""
        if self._engine is not None:
            return self._engine.open_queue(subscriber, room, policy)
        if not self._links:
            return None
        known = self._served.get(subscriber)
        if policy.keep == "disk" or not self._is_for_worker(subscriber):
            if known is not None:
                self._forget(subscriber)
            return None
        if known is not None:
            return known[1]
        if isinstance(subscriber.queue, Ledger):  # of workers that a reload has removed, which hand it back first
            return None
        return self._serve(subscriber, policy, partial(Ledger, most=room, wake=wake))

    def _serve(self, subscriber: Subscriber, policy: Policy, make: Callable[[int, Subscriber, Link], Ledger]) -> Ledger:
        worker = shard_of(subscriber.socket.canonical, len(self._links))
        ledger = make(next(self._numbers), subscriber, self._links[worker])
        self._counts[worker].subscribers[ledger.number] = subscriber
        self._served[subscriber] = worker, ledger
        self._show(subscriber, policy)
        return ledger

    def _overflow_of(self, policy: Policy) -> str:
        host = self._get_context().host
        assert isinstance(host, EventInterface)
        return policy.when_full or host.composition.config.core.overflow  # which a reload has set before `host.core`

    def _is_for_worker(self, subscriber: Subscriber) -> bool:
        socket = subscriber.socket
        is_local = any(fnmatchcase(socket.canonical, pattern) for pattern in self._options.local)
        return bool(self._links) and not is_local and not is_of_front(socket)

    def _is_left(self, subscriber: Subscriber) -> bool:
        """Return whether this process delivers to a subscriber for which there are workers now."""
        return subscriber not in self._served and subscriber.policy.keep != "disk" and self._is_for_worker(subscriber)

    def _show(self, subscriber: Subscriber, policy: Policy) -> None:
        """Have the worker know what holds for a subscriber now."""
        worker, ledger = self._served[subscriber]
        ledger.overflow = self._overflow_of(policy)
        text = subscriber.text
        self._links[worker].show(
            ledger,
            Subscribed(
                text,
                is_configured=_REFERENCE.search(text) is not None,
                policy=followed(policy, is_kept=ledger.is_kept),
                is_wanted=subscriber.leases > 0 or ledger.is_kept,  # until the journal has no event for it any more
            ),
        )

    @hookimpl(tryfirst=True)
    def limit_queue(
        self, queue: Queue, subscriber: Subscriber, policy: Policy, wake: Callable[[], None]
    ) -> Queue | None:
        """Have the worker follow the policy; return what has a worker deliver the events of the journal's queue."""
        if subscriber in self._served:
            self._show(subscriber, policy)
        elif isinstance(queue, MemoryQueue) and queue.is_kept and self._is_for_worker(subscriber):
            return self._serve(subscriber, policy, partial(KeptLedger, inner=queue, wake=wake))
        return None

    @hookimpl(trylast=True)
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:  # noqa: ARG002 as in the specification
        """Have the worker know whether the subscriber has leases, and its text."""
        if lease.subscriber in self._served:
            self._show(lease.subscriber, lease.subscriber.policy)

    @hookimpl
    def subscriber_released(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        if self._engine is not None:
            self._engine.forget(subscriber)
        elif subscriber in self._served:
            self._forget(subscriber)

    def _forget(self, subscriber: Subscriber) -> None:
        worker, ledger = self._served.pop(subscriber)
        self._links[worker].forget(ledger)
        self._counts[worker].forget(ledger.number)

    # Workers

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Start the workers."""
        if self._links and not self.processes:
            group = context.status.group(NAME)
            for index, link in enumerate(self._links):
                group.add(str(index), -1, _STARTING, reports=10)
                process = WorkerProcess(index, link, self._starter(index), self._changed, lambda: self._options)
                self.processes.append(process)
                context.spawn(process.run())
            self._forward_commands()
            if context.host.is_running:  # a reload has added the plugin
                context.spawn(take_over(context, self._is_left))

    def _forward_commands(self) -> None:
        """Have workers answer the commands of transports that they load."""
        context = self._get_context()
        transports = [each for each in context.host.plugin_status if each.kind == "transport"]
        names = [name for each in transports if each.name not in OF_FRONT for name in each.commands]
        self._forwarding.take_over(context.commands, names)

    def _starter(self, index: int) -> Callable[[], bytes]:
        def start() -> bytes:
            self._started_with[index] = self._generation
            return self._config_text()

        return start

    def _config_text(self) -> bytes:
        context = self._get_context()
        host = context.host
        assert isinstance(host, EventInterface)
        config = config_of_worker(host.composition.config, host.plugin_status, self._options.front)
        return pickle.dumps((config, logging.getLogger().getEffectiveLevel(), processes()))

    def _changed(self, worker: int, text: str, is_ready: bool) -> None:  # noqa: FBT001 one word would say less
        group = self._get_context().status.group(NAME)
        group.set_status(1 if is_ready else -1, text, str(worker))
        if not is_ready:
            self._forwarding.end(worker)
            self._counts[worker].end()
            group.report(text, str(worker))
        elif self._started_with[worker] != self._generation:
            self._links[worker].send_first(messages.packed(messages.RELOAD, self._config_text()))

    @hookimpl
    def reconfigure(self, options: WorkersOptions) -> None:
        """Apply other options to what is subscribed from now on."""
        if options.count != self._options.count:
            raise ValueError(f"count: expected {self._options.count} as before; another number needs a restart")
        self._options = options

    @hookimpl
    def reloaded(self, changes: Changes) -> None:  # noqa: ARG002 as in the specification
        """Have the workers apply the configuration."""
        self._generation += 1
        for subscriber, (_, ledger) in self._served.items():
            ledger.overflow = self._overflow_of(subscriber.policy)
        if self.processes:
            message = messages.packed(messages.RELOAD, self._config_text())
            for link in self._links:
                link.send_first(message)
            self._forward_commands()

    @hookimpl
    def delivery_changed(self, socket: Socket, reason: str | None, event: Event | None) -> None:
        """Report a change to the front, in a worker."""
        if self._on_delivery_changed is not None:
            self._on_delivery_changed(socket, reason, event)

    @hookimpl
    def stop(self) -> Awaitable[Any] | None:
        """Have the workers close their connections, and end."""
        if not self.processes:
            return None
        return leave(self._get_context(), self.processes, {each: ledger for each, (_, ledger) in self._served.items()})

    # What is shown

    @hookimpl
    def describe(self, socket: Socket) -> dict[str, Any] | None:
        """Return which worker delivers to a subscriber, and what its plugins describe."""
        if not self._served:
            return None
        subscriber = self._get_context().roster.by_socket.get(socket.canonical)
        served = None if subscriber is None else self._served.get(subscriber)
        if served is None:
            return None
        worker, ledger = served
        return {**self._counts[worker].described.get(str(ledger.number), {}), "Worker": worker}

    @hookimpl
    def statistics(self) -> Sequence[StatisticGroup]:
        """Return how the workers are, and the sums of what their plugins count, in groups named ``workers_...``."""
        if not self._links:
            return ()
        running = sum(process.is_running for process in self.processes)
        counters = {
            name: sum(getattr(each, name) for each in self.processes) for name in ("restarts", "hangs", "given_up")
        }
        own = StatisticGroup(NAME, counters, {"running": running, "subscribers": len(self._served)})
        return [own, *sums_of(self._counts)]
