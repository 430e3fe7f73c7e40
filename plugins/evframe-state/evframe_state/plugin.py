"""Leases that survive a restart: what was subscribed at run time, with the time it has left."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, ClassVar, Final

from evframe_files.errors import is_damage, may_pass

from evframe import EventDefinition, SocketError, UnknownEventError, hookimpl
from evframe.plugin import LeaseChange, LogLimiter, PluginContext, Subscription, in_thread
from evframe_state.lease_file import KeptLease, Key, LeaseFile
from evframe_state.options import Options as StateOptions

log = logging.getLogger("evframe.state")
IDENTIFIER: Final = "state"
_FOLD_S: Final = 30.0
_MANY: Final = 1000  # changes that are not left in the journal for so long
_MEND_S: Final = 2.0
_LEAVE_S: Final = 1.0
_LOOK_S: Final = 0.05
_SLICE: Final = 500  # leases in one transaction: a turn of the loop


class LeaseKeeper:
    """Keeps the leases of run-time clients in a file.

    Those that the configuration makes are not kept: they come from it again. A lease on an event
    that is not registered yet waits for it, until its time is over. What cannot be written, or read,
    because of a full disk or a lock is tried again until it can; only a file that SQLite calls
    damaged is rebuilt, of what can be read of it and of what is subscribed.

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
        self._file: LeaseFile | None = None
        self._context: PluginContext | None = None
        self._waiting: defaultdict[str, list[KeptLease]] = defaultdict(list)  # by event
        self._unmade: dict[Key, KeptLease] = {}  # read, and not subscribed yet
        self._unwritten: dict[Key, Subscription | None] = {}  # None for one that has ended
        self._rebuilding: dict[Key, Subscription | None] = {}  # what a new file has once it is complete
        self._is_read = False
        self._is_damaged = False
        self._problem = ""
        self._limiter = LogLimiter()
        self._changes = 0
        self._turn = asyncio.Lock()
        self._hurry = asyncio.Event()
        self._under_way: asyncio.Future[Any] | None = None

    @property
    def unwritten(self) -> int:
        """How many subscriptions are not on disk as they are."""
        return len(self._unwritten.keys() | self._rebuilding.keys())

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Open the file and make its leases again, now or as soon as it can be read."""
        if self._options.path is None and context.host.is_gateway and context.host.config_path is not None:
            self.path = _beside(context.host.config_path)
        if not self.path:
            return
        group = context.status.group("core")
        group.add(IDENTIFIER, status=1, details="kept", reports=10)
        try:
            self._open(context)
            self._make(context, len(self._unmade))
        except OSError as error:
            self._close()
            if self._options.path is not None:  # a path that was not configured may be unusable
                raise OSError(error.errno, f"core.state_path: {self.path!r}: {error.strerror or error}") from None
            log.warning("subscriptions are not kept", extra={"path": self.path, "problem": str(error)})
            group.set_status(-1, str(error), IDENTIFIER)
            return
        self._context = context
        context.spawn(self._look_after(context))

    def _open(self, context: PluginContext) -> None:
        """Open the file, and read its leases unless they were read before.

        Raises:
            OSError: if the file can never be used; what may pass is reported.
        """
        try:
            if self._file is None:
                self._file = LeaseFile(self.path)
            self._file.open()
            self._read(self._file.read)
        except (sqlite3.Error, OSError) as error:
            if not may_pass(error):
                raise
            self._report(context, error)
            if self._file is None:
                return
            self._file.shut()
            with suppress(sqlite3.Error, OSError):
                self._read(self._file.salvage if is_damage(error) else self._file.read_alone)
            self._report(context, error)  # now that it is known whether it could be read

    def _read(self, read: Callable[[], list[KeptLease]]) -> None:
        if self._is_read:
            return
        kept = read()
        self._is_read = True
        # Without those that a client has changed meanwhile.
        self._unmade = {lease.key: lease for lease in kept if lease.key not in self._unwritten}
        log.info("the kept subscriptions were read", extra={"kept": len(kept)})

    def _make(self, context: PluginContext, most: int) -> None:
        """Subscribe what was read, up to *most* leases of it."""
        some = list(islice(self._unmade, most))
        for key in some:
            self._restore(context, self._unmade.pop(key))
        waiting = sum(map(len, self._waiting.values()))
        if some and not self._unmade and waiting:
            log.info("subscriptions wait for their events", extra={"waiting": waiting})

    def _restore(self, context: PluginContext, lease: KeptLease) -> None:
        """Make a lease again, unless its time is over or its event is not registered yet."""
        remaining_s = None if lease.ends_at is None else min(lease.ends_at - self._clock(), lease.expire_s)
        is_over = remaining_s is not None and remaining_s <= 0
        try:
            if is_over or not context.leases.restore_subscription(
                lease.event, lease.text, lease.expire_s, remaining_s, lease.interface
            ):
                self._write(context, lease.key, None)
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
        key = _key(lease)
        self._unmade.pop(key, None)
        if change in {"made", "refreshed"}:  # what is restored is in the file already
            self._write(self._context, key, lease)
        elif change in {"expired", "ended"}:
            self._write(self._context, key, None)

    def _kept(self, context: PluginContext, lease: Subscription) -> KeptLease:
        left_s = context.leases.seconds_left(lease)
        subscriber = lease.subscriber
        ends_at = None if left_s is None else self._clock() + left_s
        return KeptLease(
            lease.event.name,
            subscriber.socket.canonical,
            subscriber.text,
            lease.expire_s,
            ends_at,
            lease.interface or "",
        )

    def _write(self, context: PluginContext, key: Key, lease: Subscription | None) -> None:
        """Write the change of a lease; one that cannot be written now is written later."""
        try:
            if self._file is None or not self._file.is_open:
                raise sqlite3.OperationalError(self._problem)
            if lease is None:
                self._file.remove(key)
            else:
                self._file.put(self._kept(context, lease))
        except sqlite3.Error as error:
            self._unwritten[key] = lease
            self._report(context, error)
            self._log_unwritten(key, lease)
        else:
            self._changes += 1
            if self._changes == _MANY:
                self._hurry.set()
            if self._unwritten.pop(key, self) is not self:
                self._report(context)

    def _log_unwritten(self, key: Key, lease: Subscription | None) -> None:
        repeated = self._limiter.due((key, lease is None))
        if repeated is not None:
            log.warning(
                "the end of a subscription is not on disk" if lease is None else "a subscription is not on disk",
                extra={"event": key[0], "socket": key[1], "problem": self._problem, "repeated": repeated},
            )

    def _report(self, context: PluginContext, error: Exception | None = None) -> None:
        """Log a new problem, and show in the status what is not on disk."""
        status = context.status.group("core")
        if error is not None:
            self._is_damaged |= is_damage(error) and self._is_read
            problem = str(error)
            if problem != self._problem:
                log.error("subscriptions cannot be kept", extra={"path": self.path, "problem": problem})
                status.report(problem, IDENTIFIER)
                self._hurry.set()
            self._problem = problem
        elif not self._unwritten and self._file is not None and self._file.is_open:
            if self._problem:
                self._problem = ""
                log.info("subscriptions are kept again", extra={"path": self.path})
                status.report("kept again", IDENTIFIER)
            status.set_status(1, "kept", IDENTIFIER)
            return
        lacks = f"{self.unwritten} subscriptions are not on disk" if self._is_read else "they cannot be read"
        status.set_status(-1, f"{lacks}: {self._problem}", IDENTIFIER)

    async def _look_after(self, context: PluginContext) -> None:
        """Write what could not be written, and fold the journal now and then."""
        folded_at = time.monotonic()
        while True:
            await self._catch_up(context)
            if self._changes >= _MANY or (self._changes and time.monotonic() - folded_at >= _FOLD_S):
                folded_at = time.monotonic()
                await self._fold(context)
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_MEND_S):
                    await self._hurry.wait()

    async def _fold(self, context: PluginContext) -> None:
        """Move the journal into the file, so that it does not grow for ever."""
        changes, self._changes = self._changes, 0
        try:
            if self._file is not None and self._file.is_open:
                await self._finish(in_thread(self._file.fold))
        except (sqlite3.Error, OSError) as error:
            self._changes += changes
            if is_damage(error):  # anything else is tried again
                self._report(context, error)

    async def _catch_up(self, context: PluginContext) -> None:
        """Have on disk what is not, as far as that can be now."""
        async with self._turn:
            try:
                if self._file is not None and self._is_read and not self._is_damaged and self._file.is_gone:
                    self._is_damaged = True
                    log.error("the file of kept subscriptions is gone", extra={"path": self.path})
                if self._is_damaged and self._file is not None:
                    await self._finish(self._rebuild(context, self._file))
                if self._file is None or not self._file.is_open:
                    self._open(context)
                while self._unmade and self._context is not None:  # else the interface is left
                    self._make(context, _SLICE)
                    await asyncio.sleep(0)
                if self._unwritten and self._changes:
                    await self._fold(context)  # a full disk has room for what is in the journal twice
                if self._file is not None and self._file.is_open:
                    await self._write_rest(context, self._file)
                    self._report(context)
            except (sqlite3.Error, OSError) as error:
                self._report(context, error)

    async def _write_rest(self, context: PluginContext, file: LeaseFile) -> None:
        while self._unwritten:
            some = dict(islice(self._unwritten.items(), _SLICE))
            file.write(self._rows(context, some))
            for key in some:
                del self._unwritten[key]
            await asyncio.sleep(0)

    def _rows(
        self, context: PluginContext, changes: dict[Key, Subscription | None]
    ) -> Iterable[tuple[Key, KeptLease | None]]:
        for key, lease in changes.items():
            is_kept = lease is not None and lease.configured is None
            yield key, self._kept(context, lease) if lease is not None and is_kept else None

    async def _rebuild(self, context: PluginContext, file: LeaseFile) -> None:
        """Write what is subscribed to a new file, and set one that is damaged aside."""
        file.shut()
        leases = {_key(lease): lease for lease in context.leases.subscriptions if lease.configured is None}
        kept = [*chain.from_iterable(self._waiting.values()), *self._unmade.values()]
        # What changes from now on is not in the new file, and nothing else is on disk before it is complete.
        self._rebuilding, self._unwritten = {**self._unwritten, **leases}, {}
        lasting = iter(leases.values())
        try:
            while some := list(islice(lasting, _SLICE)):
                kept.extend(self._kept(context, lease) for lease in some)
                await asyncio.sleep(0)
            aside = await in_thread(file.rebuild, kept)
        except BaseException:
            self._unwritten = {**self._rebuilding, **self._unwritten}
            raise
        finally:
            self._rebuilding = {}
        self._is_damaged = False
        log.error("the kept subscriptions are in a new file", extra={"moved_to": aside, "kept": len(kept)})

    async def _finish(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Return what *work* returns; it is finished even when this is cancelled."""
        self._under_way = asyncio.ensure_future(work)
        self._under_way.add_done_callback(lambda work: work.cancelled() or work.exception())
        return await asyncio.shield(self._under_way)

    @hookimpl
    def stop(self) -> Awaitable[None] | None:
        """Write what is not on disk, and close the file."""
        context, self._context = self._context, None
        if context is None:
            self._close()
            return None
        return self._leave(context)

    async def _leave(self, context: PluginContext) -> None:
        try:
            if self._under_way is not None:
                await asyncio.wait([self._under_way])
            until = time.monotonic() + _LEAVE_S
            while self._is_read and (self._unwritten or self._is_damaged):
                await self._catch_up(context)
                if time.monotonic() >= until:
                    break
                await asyncio.sleep(_LOOK_S)
        finally:
            if self._unwritten:
                log.error("subscriptions are not on disk", extra={"path": self.path, "count": self.unwritten})
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _key(lease: Subscription) -> Key:
    return lease.event.name, lease.subscriber.socket.canonical


def _beside(config_path: str | Path) -> str:
    """Return the file of a gateway: where the service manager keeps state, or else beside the configuration."""
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0] or os.path.dirname(config_path)
    name = os.path.splitext(os.path.basename(config_path))[0]
    return os.path.join(folder, f"{name}.leases")
