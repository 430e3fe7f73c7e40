"""The leases of this process, and those of the other gateways: the `Gateway` of the machine."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TYPE_CHECKING, Final

from evframe_shards.leases import Lease, definition_of, restore
from evframe_wire.keys import canonical_of, key_of
from evframe_wire.patterns import compile_pattern

from evframe import EvframeError
from evframe.plugin import LeaseChange, LogLimiter, PluginContext

if TYPE_CHECKING:
    from evframe import EventDefinition, Socket
    from evframe.plugin import Channel, Subscription
    from evframe_fleet.member import Member
    from evframe_fleet.options import Options

log = logging.getLogger("evframe.fleet")
_MORE_S: Final = 1.0


class Sharing:
    """Writes the leases that change here, and makes and ends those that others have written.

    Args:
        options: of the fleet.
        context: of the plugin.
    """

    machine: Member
    """The machine; set before the first lease."""

    def __init__(self, options: Options, context: PluginContext) -> None:
        self._context = context
        self._prolonged_s = options.lease_grace_ms / 1000 + _MORE_S
        patterns = [compile_pattern(pattern) for pattern in options.local]
        self._is_local = cache(lambda name: any(pattern.match(name) for pattern in patterns))
        self._applied: tuple[str, str] | None = None  # the lease that changes because another gateway has changed it
        self._kept: dict[Subscription, asyncio.Future[None]] = {}  # that are not acknowledged
        self._over: set[Subscription] = set()  # whose time is over here
        self._here: set[Subscription] = set()  # to local events, made or renewed here
        self._limiter = LogLimiter()
        self.is_started = False
        """Whether there is a loop."""
        self.losses: Counter[str] = Counter()
        """How many events and frames were not delivered, by reason."""
        self.refused = 0
        """How many leases of other gateways this one could not make."""
        self.damages = 0
        """How many records of the leases topic are none of this fleet."""

    def is_local(self, definition: EventDefinition) -> bool:
        """Return whether events of *definition* do not leave the process."""
        return self._is_local(definition.name)

    # Leases that change here

    def changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Write what has changed here for the other gateways; see the hook `lease_changed`."""
        self._over.discard(lease)
        name, canonical = lease.event.name, lease.subscriber.socket.canonical
        if self._applied == (name, canonical) or not is_lasting(lease.subscriber.socket):
            return
        if self.is_local(lease.event):
            (self._here.discard if change in {"expired", "ended"} else self._here.add)(lease)
            # A record is from before the event became local; without its end, the next process would have the lease.
            if change != "ended" or not self.machine.leases.is_shared(name, key_of(canonical)):
                return
        done = self._done(lease) if self.is_started else None
        if change in {"expired", "ended"}:
            self.machine.leases.end(name, key_of(canonical), done)
        else:
            self.machine.leases.keep(self._record_of(lease), done)

    def _record_of(self, lease: Subscription) -> Lease:
        return Lease.of(lease, self._context.leases.seconds_left(lease), time.time())

    def _done(self, lease: Subscription) -> Callable[[], None]:
        """Return what is called when the present state of *lease* is acknowledged."""
        future = self._kept[lease] = asyncio.get_running_loop().create_future()

        def done() -> None:
            if self._kept.get(lease) is future:
                del self._kept[lease]
            if not future.done():
                future.set_result(None)

        return done

    def kept(self, lease: Subscription) -> Awaitable[None] | None:
        """Return what ends when the record of *lease* is acknowledged by all replicas; see the hook `lease_kept`."""
        future = self._kept.get(lease)
        return None if future is None else asyncio.shield(future)

    def due(self, lease: Subscription) -> float | None:
        """Prolong a lease of the fleet: the gateway that delivers to its subscriber ends it for all."""
        socket, event = lease.subscriber.socket, lease.event
        may_be_shared = is_lasting(socket) and not self.is_local(event)
        if not (may_be_shared and self.machine.leases.is_shared(event.name, key_of(socket.canonical))):
            return None
        self._over.add(lease)
        return self._prolonged_s

    # Leases that change elsewhere

    def lease_read(self, lease: Lease) -> None:
        """See `evframe_fleet.log.Gateway.lease_read`."""
        self._applied = lease.event, canonical_of(lease.key)
        try:
            self.definition_of(lease.event)
            if self._find(lease.event, lease.key) in self._here:
                return
            restore(self._context, lease, time.time())
        except (EvframeError, ValueError) as error:
            self.refused += 1
            extra = {"event": lease.event, "socket": self._applied[1], "problem": str(error)}
            self._limiter.log(lease.key, log.error, "a subscription of another gateway cannot be had here", **extra)
        finally:
            self._applied = None

    def lease_ended(self, event: str, key: str) -> Lease | None:
        """See `evframe_fleet.log.Gateway.lease_ended`."""
        lease = self._find(event, key)
        if lease is None or lease in self._here:
            return None
        if lease.configured is not None and lease not in self._over:
            return self._record_of(lease)
        self._applied = event, lease.subscriber.socket.canonical
        try:
            self._context.leases.end(lease)
        finally:
            self._applied = None
        return None

    def holds(self, event: str, key: str) -> bool:
        """See `evframe_fleet.log.Gateway.holds`."""
        lease = self._find(event, key)
        return lease is not None and lease.configured is not None

    def _find(self, event: str, key: str) -> Subscription | None:
        subscriber = self._context.roster.by_socket.get(canonical_of(key))
        return None if subscriber is None else self.definition_of(event).leases.get(subscriber)

    def definition_of(self, event: str) -> Channel:
        """See `evframe_fleet.log.Gateway.definition_of`."""
        return definition_of(self._context, event)

    def damaged(self, offset: int, problem: str) -> None:
        """See `evframe_fleet.log.Gateway.damaged`."""
        self.damages += 1
        message = "the leases topic has a record that is none of this fleet"
        self._limiter.log("damaged record", log.error, message, offset=offset, problem=problem)

    def lost(self, partition: int, count: int, reason: str) -> None:
        """See `evframe_fleet.log.Gateway.lost`."""
        self.losses[reason] += count
        if reason != "unsubscribed":
            extra = {"partition": partition, "count": count, "reason": reason}
            self._limiter.log(reason, log.error, "events of the fleet are lost", **extra)


def is_lasting(target: Socket) -> bool:
    """Return whether other processes can have *target*, too: it does not end with this process."""
    return bool(getattr(target, "is_lasting", True))
