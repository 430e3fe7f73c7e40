"""Leases that survive a restart: what was subscribed at run time, with the time it has left."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Final

from evframe.context import PluginContext
from evframe.events.event import EventDefinition
from evframe.exceptions import SocketError, UnknownEventError
from evframe.hookspecs import hookimpl
from evframe.kept_leases import KeptLease, LeaseFile
from evframe.subscribers import LeaseChange, Subscription

log = logging.getLogger("evframe.state")
IDENTIFIER: Final = "state"
_FOLD_S: Final = 30.0
_MEND_S: Final = 2.0


class LeaseKeeper:
    """A plugin of the core's own that keeps leases in a file.

    Those that the configuration makes are not kept: they come from it again. A lease on an event
    that is not registered yet waits for it, until its time is over.

    Args:
        path: the file.
        required: whether a file that cannot be used is an error of the start.
        clock: the wall clock, Unix time in seconds.
    """

    kind = "extension"

    def __init__(self, path: str, *, required: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._required = required
        self._clock = clock
        self._file: LeaseFile | None = None
        self._context: PluginContext | None = None
        self._waiting: defaultdict[str, list[KeptLease]] = defaultdict(list)  # by event
        self._is_stale = False
        self._changes = 0

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Open the file and make its leases again."""
        group = context.status.group("core")
        group.add(IDENTIFIER, status=1, details="kept", reports=10)
        try:
            self._file = self._open()
        except OSError as error:
            if self._required:
                raise OSError(error.errno, f"core.state_path: {self.path!r}: {error.strerror or error}") from None
            log.warning("subscriptions are not kept", extra={"path": self.path, "problem": str(error)})
            group.set_status(-1, str(error), IDENTIFIER)
            return
        kept = self._file.read()
        for lease in kept:
            self._restore(context, lease)
        waiting = sum(map(len, self._waiting.values()))
        log.info("subscriptions are made again", extra={"kept": len(kept), "waiting": waiting})
        self._context = context
        context.spawn(self._look_after(context))

    def _open(self) -> LeaseFile:
        try:
            return LeaseFile(self.path)
        except BlockingIOError:
            raise OSError(11, "another process uses it") from None
        except sqlite3.DatabaseError as error:
            aside = f"{self.path}.damaged"
            log.error(  # noqa: TRY400 what the database says is enough
                "the kept subscriptions cannot be read", extra={"moved_to": aside, "problem": str(error)}
            )
            os.replace(self.path, aside)
            for journal in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(self.path + journal)
            return LeaseFile(self.path)

    def _restore(self, context: PluginContext, lease: KeptLease) -> None:
        """Make a lease again, unless its time is over or its event is not there yet."""
        remaining_s = None if lease.ends_at is None else min(lease.ends_at - self._clock(), lease.expire_s)
        is_over = remaining_s is not None and remaining_s <= 0
        try:
            if is_over or not context.restore_subscription(lease.event, lease.text, lease.expire_s, remaining_s):
                self._write(lambda file: file.remove(lease.event, lease.socket))
        except UnknownEventError:
            self._waiting[lease.event].append(lease)
        except SocketError as error:
            log.warning("a kept subscription cannot be made", extra={"event": lease.event, "problem": error.problem})
            self._waiting[lease.event].append(lease)

    @hookimpl
    def event_registered(self, event: EventDefinition) -> None:
        """Make the leases that have waited for *event*."""
        if self._context is not None:
            for lease in self._waiting.pop(event.name, ()):
                self._restore(self._context, lease)

    @hookimpl
    def lease_changed(self, lease: Subscription, change: LeaseChange) -> None:
        """Keep what has changed."""
        if self._context is None or lease.configured is not None:
            return
        socket = lease.subscriber.socket.canonical
        if change in {"made", "refreshed"}:  # what is restored is in the file already
            kept = self._kept(self._context, lease)
            self._write(lambda file: file.put(kept))
        elif change in {"expired", "ended"}:
            self._write(lambda file: file.remove(lease.event.name, socket))

    def _kept(self, context: PluginContext, lease: Subscription) -> KeptLease:
        left_s = context.seconds_left(lease)
        subscriber = lease.subscriber
        ends_at = None if left_s is None else self._clock() + left_s
        return KeptLease(lease.event.name, subscriber.socket.canonical, subscriber.text, lease.expire_s, ends_at)

    def _write(self, change: Callable[[LeaseFile], None]) -> None:
        """Make a change to the file; one that fails makes all of it be written again later."""
        assert self._file is not None
        try:
            change(self._file)
        except sqlite3.Error as error:
            if not self._is_stale and self._context is not None:
                log.error("subscriptions cannot be kept", extra={"path": self.path, "problem": str(error)})  # noqa: TRY400 as above
                self._context.status.group("core").set_status(-1, str(error), IDENTIFIER)
            self._is_stale = True
        else:
            self._changes += 1

    async def _look_after(self, context: PluginContext) -> None:
        """Mend the file after an error, and fold its journal now and then."""
        folded_at = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(_MEND_S)
            if self._is_stale:
                self._mend(context)
            now = asyncio.get_running_loop().time()
            if self._changes and now - folded_at >= _FOLD_S and self._file is not None:
                self._changes, folded_at = 0, now
                with suppress(sqlite3.Error, OSError):  # it is tried again
                    await asyncio.to_thread(self._file.fold)

    def _mend(self, context: PluginContext) -> None:
        leases = [self._kept(context, lease) for lease in context.subscriptions if lease.configured is None]
        self._is_stale = False
        waiting = chain.from_iterable(self._waiting.values())
        self._write(lambda file: file.replace([*waiting, *leases]))
        if not self._is_stale:
            log.info("subscriptions are kept again", extra={"path": self.path})
            context.status.group("core").set_status(1, "kept", IDENTIFIER)

    @hookimpl
    def stop(self) -> None:
        """Let the file go, with everything in it."""
        self._context = None
        if self._file is not None:
            self._file.close()
            self._file = None
