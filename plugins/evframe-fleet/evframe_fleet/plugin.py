"""The plugin: the queues and the leases of the process, and its connection to the fleet."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import Context
from functools import partial
from socket import gethostname
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from evframe_kafka_clients.secrets import hide
from evframe_shards.outgoing import Room
from evframe_wire.path_masking import share_marks

from evframe import hookimpl
from evframe.plugin import Command, CommandError, CommandTable, LeaseChange, LogLimiter, PluginContext, StatisticGroup
from evframe_fleet.broker import Broker
from evframe_fleet.member import Member
from evframe_fleet.options import Options as FleetOptions
from evframe_fleet.settings import Settings
from evframe_fleet.sharing import Sharing, is_lasting
from evframe_fleet.status import Status
from evframe_fleet.warming import warm_up

if TYPE_CHECKING:
    from evframe import Socket
    from evframe.plugin import Policy, Queue, Subscriber, Subscription

log = logging.getLogger("evframe.fleet")
_TICK_S: Final = 0.1
_LOOK_S: Final = 1.0
_END_S: Final = 2.0


class _Fleet(NamedTuple):
    sharing: Sharing
    broker: Broker
    machine: Member
    status: Status


class FleetPlugin:
    """The plugin object.

    Args:
        options: the table ``[plugins.fleet]``.
    """

    Options = FleetOptions
    kind = "extension"
    library_logs = ("aiokafka",)

    def __init__(self, options: FleetOptions | None = None) -> None:
        self._options = options or FleetOptions()
        self.opens_all_queues = self.has_queues = bool(self._options.brokers)
        """Whether there is a fleet: it has the events of every subscriber, and without it none leaves the queues."""
        self._fleet: _Fleet | None = None
        self._soon: list[Callable[[], None]] | None = []  # before there is a loop
        self._work: list[asyncio.Future[None]] = []
        self._is_started = asyncio.Event()

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Make the machine; nothing leaves the process yet."""
        options = self._options
        if not options.brokers:
            return
        hide()
        share_marks()  # a subscriber has the same name in all gateways
        sharing = Sharing(options, context)
        broker = Broker(
            options,
            context.resolver,
            report=lambda problem: status.report(problem),  # noqa: PLW0108 it comes later
            get_ready=partial(self._get_ready, context),
            soon=self._call_soon,
        )
        settings = Settings(
            name=f"{options.name}-{secrets.token_hex(4)}",  # a process that is started again is another member
            partitions=options.partitions,
            session_s=options.session_timeout_ms / 1000,
            margin_s=options.margin_ms / 1000,
            grace_s=options.lease_grace_ms / 1000,
            revoke_s=options.hand_over_ms / 1000,
            max_bytes=options.frame_bytes,
            room=Room(options.memory_bytes),
            on_room=lambda: context.roster.scheduler.room.announce(),  # noqa: PLW0108 there is no roster yet
            is_local=sharing.is_local if options.local else None,
            about={
                "name": options.name,
                "host": gethostname(),
                "pid": os.getpid(),
                "group": options.group_id,
                "topic": options.events_topic,
            },
        )
        machine = Member(settings, broker, sharing, soon=self._call_soon)
        sharing.machine = machine
        status = Status(options, context, sharing, machine, broker)
        self._fleet = _Fleet(sharing, broker, machine, status)

    def _call_soon(self, call: Callable[[], None]) -> None:
        if self._soon is None:
            asyncio.get_running_loop().call_soon(call, context=Context())
        else:
            self._soon.append(call)

    # Queues and leases

    @hookimpl(tryfirst=True)
    def open_queue(self, subscriber: Subscriber, room: int, policy: Policy, wake: Callable[[], None]) -> Queue | None:  # noqa: ARG002 Kafka keeps the events, whatever the policy says
        """Return the queue of a subscriber that other gateways can have, too."""
        if self._fleet is None or not is_lasting(subscriber.socket):
            return None
        return self._fleet.machine.open(subscriber, room, wake)

    @hookimpl
    def subscriber_released(self, subscriber: Subscriber) -> None:
        """Forget a subscriber."""
        if self._fleet is not None:
            self._fleet.machine.close(subscriber)

    @hookimpl
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Write what has changed here for the other gateways."""
        if self._fleet is not None:
            self._fleet.sharing.changed(lease, change)

    @hookimpl
    def lease_kept(self, lease: Subscription) -> Awaitable[None] | None:
        """Return what ends when the record of *lease* is acknowledged by all replicas."""
        return None if self._fleet is None else self._fleet.sharing.kept(lease)

    @hookimpl
    def lease_due(self, lease: Subscription) -> float | None:
        """Prolong a lease of the fleet: the gateway that delivers to its subscriber ends it for all."""
        return None if self._fleet is None else self._fleet.sharing.due(lease)

    # Work

    @hookimpl
    def prepare(self) -> Awaitable[None] | None:
        """Connect, and read the leases: an event that is raised before that would not reach them."""
        if self._fleet is None:
            return None
        sharing, broker, machine, status = self._fleet
        sharing.is_started = True
        later, self._soon = self._soon or [], None
        for call in later:
            self._call_soon(call)
        self._work = [asyncio.ensure_future(broker.run(machine)), asyncio.ensure_future(_tick(machine, status))]
        return self._wait_for_leases(broker)

    async def _wait_for_leases(self, broker: Broker) -> None:
        try:
            async with asyncio.timeout(self._options.start_timeout_ms / 1000):
                await broker.is_connected.wait()
        except TimeoutError:
            extra = {"brokers": self._options.brokers}
            log.error("the gateway starts without the subscriptions of the fleet", extra=extra)  # noqa: TRY400 it is no fault

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Hand over what this gateway has as soon as the interface is left."""
        if self._fleet is not None:
            if not self._work:
                raise ValueError("brokers: expected a restart, because the subscribers have other queues already")
            self._is_started.set()
            context.spawn(self._stay(self._fleet.broker))

    async def _get_ready(self, context: PluginContext) -> None:
        """Connect where that takes long, before others stop to deliver what this gateway takes over."""
        await self._is_started.wait()
        await warm_up(context)

    async def _stay(self, broker: Broker) -> None:
        """Wait for the end; then records are still written, and leases read, until `stop`."""
        try:
            await asyncio.wait(self._work, return_when=asyncio.FIRST_COMPLETED)
            for each in self._work:
                if each.done():
                    each.result()
        finally:
            await broker.leave()

    @hookimpl
    def stop(self) -> Awaitable[None] | None:
        """Write what waits, and end the connection."""
        return None if self._fleet is None else self._stop(self._fleet.machine)

    async def _stop(self, machine: Member) -> None:
        if self._work:
            is_over = asyncio.Event()
            machine.leave(is_over.set)
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    await is_over.wait()
        lost = machine.give_up("shutdown")
        if lost:
            log.error("events are lost, because the fleet has not acknowledged them", extra={"lost": lost})
        for each in self._work:
            each.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    # For people

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that lists the fleet."""
        commands.add(Command("fleet:status", ((),), self._listed, "shows the members of the fleet, and what waits"))

    def _listed(self, _: Mapping[str, Any]) -> asyncio.Future[dict[str, Any]]:
        if self._fleet is None:
            raise CommandError(404, "No fleet", "expected the option brokers in the table [plugins.fleet]")
        return asyncio.ensure_future(self._fleet.status.listed())

    @hookimpl
    def describe(self, socket: Socket) -> dict[str, Any] | None:
        """Return which gateway delivers to a subscriber."""
        if self._fleet is None or not self._fleet.machine.has(socket.canonical):
            return None
        return self._fleet.status.described(socket.canonical)

    @hookimpl
    def statistics(self) -> list[StatisticGroup] | None:
        """Return what is owned, what waits, and what was lost."""
        return None if self._fleet is None else self._fleet.status.statistics()


async def _tick(machine: Member, status: Status) -> None:
    look_at, limiter = 0.0, LogLimiter()
    while True:
        try:
            machine.tick()
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + _LOOK_S
                status.look()
        except Exception:
            if limiter.due("tick") is not None:
                log.exception("the fleet has a fault")
        await asyncio.sleep(_TICK_S)
