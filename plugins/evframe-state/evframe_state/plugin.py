"""Leases that survive a restart: what was subscribed at run time, with the time it has left."""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from itertools import chain, islice
from typing import ClassVar

from evframe_files.places import beside

from evframe import EventDefinition, SocketError, UnknownEventError, hookimpl
from evframe.plugin import NO_POLICY, LeaseChange, PluginContext, Policy, Subscription, Terms
from evframe_state.lease_file import KeptLease, Key
from evframe_state.options import Options as StateOptions
from evframe_state.writing import IDENTIFIER, Writer, key_of

log = logging.getLogger("evframe.state")


class LeaseKeeper:
    """Keeps the leases of run-time clients in a file.

    Those that the configuration makes are not kept: they come from it again. A lease on an event
    that is not registered yet waits for it, until its time is over.

    Args:
        options: the table ``[plugins.state]``.
        clock: the wall clock, Unix time in seconds.
    """

    Options = StateOptions
    kind = "extension"
    places: ClassVar = {"core.state_path": "path"}

    def __init__(self, options: StateOptions | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._options = options or StateOptions()
        self.path = self._options.path or ""
        """The file; empty where nothing is kept."""
        self._clock = clock
        self._context: PluginContext | None = None
        self._writer: Writer | None = None
        self._works = False  # what changes is kept: after the start, and before the end
        self._waiting: defaultdict[str, list[KeptLease]] = defaultdict(list)  # by event
        self._unmade: dict[Key, KeptLease] = {}  # read, and not subscribed yet
        self._restoring: Key | None = None  # what is being subscribed

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Open the file and make its leases again, now or as soon as it can be read."""
        if self._options.path is None and context.host.is_gateway and context.host.config_path is not None:
            self.path = beside(context.host.config_path, "leases")
        if not self.path:
            return
        status = context.status.group("core")
        self._context = context
        self._writer = Writer(self.path, self, status)
        try:
            self._writer.open()
            self._make(len(self._unmade))
        except OSError as error:
            self._writer.close()
            if self._options.path is not None:  # a path that was not configured may be unusable
                raise OSError(error.errno, f"core.state_path: {self.path!r}: {error.strerror or error}") from None
            log.warning("subscriptions are not kept", extra={"path": self.path, "problem": str(error)})
            status.set_status(-1, str(error), IDENTIFIER)
            return
        self._works = True
        context.spawn(self._writer.run())

    def read(self, kept: list[KeptLease]) -> None:
        """See `evframe_state.writing.Leases`."""
        self._unmade = {lease.key: lease for lease in kept}

    def restore(self, most: int) -> bool:
        """See `evframe_state.writing.Leases`."""
        if self._works:
            self._make(most)
        return self._works and bool(self._unmade)

    def _make(self, most: int) -> None:
        """Subscribe what was read, up to *most* leases of it."""
        some = list(islice(self._unmade, most))
        for key in some:
            self._restore(self._unmade.pop(key))
        waiting = sum(map(len, self._waiting.values()))
        if some and not self._unmade and waiting:
            log.info("subscriptions wait for their events", extra={"waiting": waiting})

    def _restore(self, lease: KeptLease) -> None:
        """Make a lease again, unless its time is over or its event is not registered yet."""
        assert self._context is not None
        assert self._writer is not None
        remaining_s = None if lease.ends_at is None else min(lease.ends_at - self._clock(), lease.expire_s)
        is_over = remaining_s is not None and remaining_s <= 0
        try:
            policy = Policy.read(json.loads(lease.policy)) if lease.policy else NO_POLICY
            terms = Terms(lease.expire_s, lease.interface, policy)
            self._restoring = lease.key
            if is_over or not self._context.leases.restore_subscription(lease.event, lease.text, terms, remaining_s):
                self._writer.write(lease.key, None)
        except UnknownEventError:
            self._waiting[lease.event].append(lease)
        except ValueError as error:
            problem = error.problem if isinstance(error, SocketError) else str(error)
            log.warning("a kept subscription cannot be made", extra={"event": lease.event, "problem": problem})
            self._waiting[lease.event].append(lease)
        finally:
            self._restoring = None

    @hookimpl
    def event_registered(self, event: EventDefinition) -> None:
        """Make the leases that have waited for *event*."""
        if self._works:
            for lease in self._waiting.pop(event.name, ()):
                self._restore(lease)

    @hookimpl
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Keep what has changed."""
        if self._writer is None or not _lasts(lease):
            return
        key = key_of(lease)
        kept = self._restoring
        if change == "restored" and kept is not None and kept != key:
            # The mark in place of a secret is another one in each process.
            self._writer.write(key, lease)
            self._writer.write(kept, None)
        if not self._works:
            return
        self._unmade.pop(key, None)
        if change in {"made", "refreshed"}:  # what is restored is in the file already
            self._writer.write(key, lease)
        elif change in {"expired", "ended"}:
            self._writer.write(key, None)

    def row(self, lease: Subscription) -> KeptLease:
        """See `evframe_state.writing.Leases`."""
        assert self._context is not None
        left_s = self._context.leases.seconds_left(lease)
        subscriber = lease.subscriber
        ends_at = None if left_s is None else self._clock() + left_s
        return KeptLease(
            lease.event.name,
            subscriber.socket.canonical,
            subscriber.text,
            lease.expire_s,
            ends_at,
            lease.interface or "",
            json.dumps(lease.requested.keys) if lease.requested.keys else "",
        )

    def lasting(self) -> Iterable[Subscription]:
        """See `evframe_state.writing.Leases`."""
        assert self._context is not None
        return [lease for lease in self._context.leases.subscriptions if _lasts(lease)]

    def pending(self) -> Iterable[KeptLease]:
        """See `evframe_state.writing.Leases`."""
        return chain(*self._waiting.values(), self._unmade.values())

    @hookimpl
    def stop(self) -> Awaitable[None] | None:
        """Write what is not on disk, and close the file."""
        if not self._works or self._writer is None:
            return None
        self._works = False
        return self._writer.leave()


def _lasts(lease: Subscription) -> bool:
    """Return whether *lease* is kept: the configuration holds others, and some sockets end with the process."""
    return lease.configured is None and getattr(lease.subscriber.socket, "is_lasting", True)
