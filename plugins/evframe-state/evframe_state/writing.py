"""Writes leases to their file: each change at once, or later, and all of them when the file is damaged or gone."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from itertools import islice
from typing import Any, Final, Protocol

from evframe_files.errors import is_damage, may_pass

from evframe.plugin import LogLimiter, StatusGroup, Subscription, in_thread
from evframe_state.lease_file import KeptLease, Key, LeaseFile

log = logging.getLogger("evframe.state")
IDENTIFIER: Final = "state"
_FOLD_S: Final = 30.0
_MANY: Final = 1000  # changes that are not left in the journal for so long
_MEND_S: Final = 2.0
_LEAVE_S: Final = 1.0
_LOOK_S: Final = 0.05
_SLICE: Final = 500  # leases in one transaction: a turn of the loop


class Leases(Protocol):
    """The leases that are kept."""

    def read(self, kept: list[KeptLease]) -> None:
        """Take what was in the file, without what has changed meanwhile."""

    def restore(self, most: int) -> bool:
        """Make up to *most* leases again that were read; return whether there are more."""

    def row(self, lease: Subscription) -> KeptLease:
        """Return a lease as it is kept."""

    def lasting(self) -> Iterable[Subscription]:
        """Return the leases that a new file has."""

    def pending(self) -> Iterable[KeptLease]:
        """Return the leases that were read and are not made again."""


class Writer:
    """Keeps a file as the leases are.

    What cannot be written, or read, because of a full disk or a lock is tried again until it can; only a
    file that SQLite calls damaged is rebuilt, of what can be read of it and of the leases.

    Args:
        path: the file.
        leases: what is kept in it.
        status: has the identifier `IDENTIFIER`.
    """

    def __init__(self, path: str, leases: Leases, status: StatusGroup) -> None:
        self._path = path
        self._leases = leases
        self._status = status
        status.add(IDENTIFIER, status=1, details="kept", reports=10)
        self._file: LeaseFile | None = None
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

    def open(self) -> None:
        """Open the file, and read its leases unless they were read before.

        Raises:
            OSError: if the file can never be used; what may pass is reported.
        """
        try:
            if self._file is None:
                self._file = LeaseFile(self._path)
            self._file.open()
            self._read(self._file.read)
        except (sqlite3.Error, OSError) as error:
            if not may_pass(error):
                raise
            self._report(error)
            if self._file is None:
                return
            self._file.shut()
            with suppress(sqlite3.Error, OSError):
                self._read(self._file.salvage if is_damage(error) else self._file.read_alone)
            self._report(error)  # now that it is known whether it could be read

    def _read(self, read: Callable[[], list[KeptLease]]) -> None:
        if self._is_read:
            return
        kept = read()
        self._is_read = True
        self._leases.read([lease for lease in kept if lease.key not in self._unwritten])
        log.info("the kept subscriptions were read", extra={"kept": len(kept)})

    def write(self, key: Key, lease: Subscription | None) -> None:
        """Write the change of a lease; one that cannot be written now is written later."""
        try:
            if self._file is None or not self._file.is_open:
                raise sqlite3.OperationalError(self._problem)
            if lease is None:
                self._file.remove(key)
            else:
                self._file.put(self._leases.row(lease))
        except sqlite3.Error as error:
            self._unwritten[key] = lease
            self._report(error)
            self._log_unwritten(key, lease)
        else:
            self._changes += 1
            if self._changes == _MANY:
                self._hurry.set()
            if self._unwritten.pop(key, self) is not self:
                self._report()

    def _log_unwritten(self, key: Key, lease: Subscription | None) -> None:
        repeated = self._limiter.due((key, lease is None))
        if repeated is not None:
            log.warning(
                "the end of a subscription is not on disk" if lease is None else "a subscription is not on disk",
                extra={"event": key[0], "socket": key[1], "problem": self._problem, "repeated": repeated},
            )

    def _report(self, error: Exception | None = None) -> None:
        """Log a new problem, and show in the status what is not on disk."""
        if error is not None:
            self._is_damaged |= is_damage(error) and self._is_read
            problem = str(error)
            if problem != self._problem:
                log.error("subscriptions cannot be kept", extra={"path": self._path, "problem": problem})
                self._status.report(problem, IDENTIFIER)
                self._hurry.set()
            self._problem = problem
        elif not self._unwritten and self._file is not None and self._file.is_open:
            if self._problem:
                self._problem = ""
                log.info("subscriptions are kept again", extra={"path": self._path})
                self._status.report("kept again", IDENTIFIER)
            self._status.set_status(1, "kept", IDENTIFIER)
            return
        lacks = f"{self.unwritten} subscriptions are not on disk" if self._is_read else "they cannot be read"
        self._status.set_status(-1, f"{lacks}: {self._problem}", IDENTIFIER)

    async def run(self) -> None:
        """Write what could not be written, and fold the journal now and then, until cancelled."""
        folded_at = time.monotonic()
        while True:
            await self.catch_up()
            if self._changes >= _MANY or (self._changes and time.monotonic() - folded_at >= _FOLD_S):
                folded_at = time.monotonic()
                await self.fold()
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_MEND_S):
                    await self._hurry.wait()

    async def fold(self) -> None:
        """Move the journal into the file, so that it does not grow for ever."""
        changes, self._changes = self._changes, 0
        try:
            if self._file is not None and self._file.is_open:
                await self._finish(in_thread(self._file.fold))
        except (sqlite3.Error, OSError) as error:
            self._changes += changes
            if is_damage(error):  # anything else is tried again
                self._report(error)

    async def catch_up(self) -> None:
        """Have on disk what is not, as far as that can be now."""
        async with self._turn:
            try:
                if self._file is not None and self._is_read and not self._is_damaged and self._file.is_gone:
                    self._is_damaged = True
                    log.error("the file of kept subscriptions is gone", extra={"path": self._path})
                if self._is_damaged and self._file is not None:
                    await self._finish(self._rebuild(self._file))
                if self._file is None or not self._file.is_open:
                    self.open()
                while self._leases.restore(_SLICE):  # noqa: ASYNC110 each turn makes some
                    await asyncio.sleep(0)
                if self._unwritten and self._changes:
                    await self.fold()  # a full disk has room for what is in the journal twice
                if self._file is not None and self._file.is_open:
                    await self._write_rest(self._file)
                    self._report()
            except (sqlite3.Error, OSError) as error:
                self._report(error)

    async def _write_rest(self, file: LeaseFile) -> None:
        while self._unwritten:
            some = dict(islice(self._unwritten.items(), _SLICE))
            file.write(self._rows(some))
            for key in some:
                del self._unwritten[key]
            await asyncio.sleep(0)

    def _rows(self, changes: dict[Key, Subscription | None]) -> Iterable[tuple[Key, KeptLease | None]]:
        for key, lease in changes.items():
            is_kept = lease is not None and lease.configured is None
            yield key, self._leases.row(lease) if lease is not None and is_kept else None

    async def _rebuild(self, file: LeaseFile) -> None:
        """Write what is subscribed to a new file, and set one that is damaged aside."""
        file.shut()
        leases = {key_of(lease): lease for lease in self._leases.lasting()}
        kept = list(self._leases.pending())
        # What changes from now on is not in the new file, and nothing else is on disk before it is complete.
        self._rebuilding, self._unwritten = {**self._unwritten, **leases}, {}
        lasting = iter(leases.values())
        try:
            while some := list(islice(lasting, _SLICE)):
                kept.extend(self._leases.row(lease) for lease in some)
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

    async def leave(self) -> None:
        """Write what is not on disk, as far as that can be now, and close the file."""
        try:
            if self._under_way is not None:
                await asyncio.wait([self._under_way])
            until = time.monotonic() + _LEAVE_S
            while self._is_read and (self._unwritten or self._is_damaged):
                await self.catch_up()
                if time.monotonic() >= until:
                    break
                await asyncio.sleep(_LOOK_S)
        finally:
            if self._unwritten:
                log.error("subscriptions are not on disk", extra={"path": self._path, "count": self.unwritten})
            self.close()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def key_of(lease: Subscription) -> Key:
    """Return the event and the canonical socket of a lease."""
    return lease.event.name, lease.subscriber.socket.canonical
