"""Between memory and the store: reads it at the start, writes changes behind, never has the loop wait for the disk."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, NoReturn

from evframe_files.errors import is_damage, may_pass

from evframe.plugin import READY, LogLimiter, StatusGroup
from evframe_usrloc.contacts import Binding
from evframe_usrloc.journal import Journal
from evframe_usrloc.registry import Registry
from evframe_usrloc.store import Store

log = logging.getLogger("evframe.usrloc")
STORE: Final = "store"
NOT_READY: Final = -1
_OPEN_S: Final = 10.0
_READ: Final = 250  # contacts for each turn of the loop
_MANY: Final = 20_000  # changes that are not left to wait for the interval
_LOOK_S: Final = 0.25
_AGAIN_S: Final = 2.0


class Persistence:
    """Keeps a registry in a store.

    Args:
        path: the file.
        interval_s: the time between two writes.
        registry: what is filled from the store.
        journal: what the registry notes its changes in.
        status: where the state of the store is reported.
        clock: Unix time in seconds.
    """

    def __init__(  # noqa: PLR0913, PLR0917 the parts it connects
        self,
        path: str,
        interval_s: float,
        registry: Registry,
        journal: Journal,
        status: StatusGroup,
        clock: Callable[[], float],
    ) -> None:
        self.errors = 0
        """How many times the store could not be read or written."""
        self._path = path
        self._interval_s = interval_s
        self._registry = registry
        self._journal = journal
        self._status = status
        self._clock = clock
        self._store = Store(path)
        self._thread = ThreadPoolExecutor(1, "usrloc")
        self._asked = asyncio.Event()
        self._to_sync: set[str] = set()
        self._writing = 0
        self._is_open = False
        self._limiter = LogLimiter()
        self._failing = False

    def open(self) -> None:
        """Open the store, so that one that can never be used is an error of the start.

        One that cannot be used now, because of a full disk or a lock, is opened by `load`.
        """
        self._journal.loading = True
        try:
            self._thread.submit(self._store.open).result(_OPEN_S)
            self._is_open = True
        except TimeoutError:
            self._refuse(TimeoutError("it takes too long to open"))
        except (sqlite3.Error, OSError) as error:
            if self._store.is_damaged:
                return
            if is_damage(error) or not may_pass(error):
                self._refuse(error)
            self._cannot_open(error)

    def _refuse(self, error: Exception) -> NoReturn:
        self._thread.shutdown(wait=False)
        raise OSError(f"plugins.usrloc.db_path: {self._path!r}: {error}") from None

    def _cannot_open(self, error: Exception) -> None:
        """Show that the store cannot be opened, and log it now and then."""
        self.errors += 1
        self._status.set_status(NOT_READY, f"the store cannot be opened: {error}")
        repeated = self._limiter.due("open")
        if repeated is not None:
            extra = {"path": self._path, "problem": str(error), "repeated": repeated}
            log.error("the store cannot be opened, which is tried again", extra=extra)

    async def _open_again(self) -> None:
        while not (self._is_open or self._store.is_damaged):
            await asyncio.sleep(_AGAIN_S)
            try:
                await self._call(self._store.open)
                self._is_open = True
            except (sqlite3.Error, OSError) as error:
                self._cannot_open(error)

    async def load(self, *, silently: bool) -> bool:
        """Read every contact, a few each turn of the loop; return whether all could be read.

        Args:
            silently: raise no events for them.
        """
        await self._open_again()
        try:
            await self._read(silently=silently)
        except Exception as error:
            self.errors += 1
            log.exception("the store cannot be read", extra={"path": self._path})
            self._status.set_status(NOT_READY, f"the store cannot be read: {error}")
            return False
        finally:
            self._journal.loading = False
        return True

    async def _read(self, *, silently: bool) -> None:
        if await self._is_sound(silently=silently):
            return
        self.errors += 1
        kept = await self._call(self._store.salvage)
        for start in range(0, len(kept), _READ):
            self._restore(kept[start : start + _READ], silently=silently)
            await asyncio.sleep(0)
        await self._rebuild(kept)

    async def _is_sound(self, *, silently: bool) -> bool:
        """Read what can be read as it should be, and return whether that is all."""
        try:
            while self._is_open and (found := await self._call(self._store.read, _READ)):
                self._restore(found, silently=silently)
        except sqlite3.Error as error:
            if not is_damage(error):
                raise
            return False
        return self._is_open

    def _restore(self, found: list[Binding], *, silently: bool) -> None:
        now = self._clock()
        for binding in found:
            self._registry.restore(binding, now, silently=silently)

    async def _rebuild(self, kept: list[Binding]) -> None:
        """Have a new store with what could be read of a damaged one, as soon as there is room for it."""
        self._is_open = False
        while not self._is_open:
            try:
                aside = await self._call(self._store.rebuild, kept)
                self._is_open = True
            except (sqlite3.Error, OSError) as error:
                self._cannot_open(error)
                await asyncio.sleep(_AGAIN_S)
        log.error("the store was damaged", extra={"path": self._path, "moved_to": aside, "kept": len(kept)})

    async def run(self) -> None:
        """Write changes, every interval and as soon as they are many, until cancelled."""
        written_at = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._interval_s, _LOOK_S)):
                    await self._asked.wait()
            now = time.monotonic()
            if self._asked.is_set() or now - written_at >= self._interval_s or len(self._journal) >= _MANY:
                self._asked.clear()
                await self._write()
                written_at = now

    @property
    def pending(self) -> int:
        """How many contacts have changed since they were written."""
        return len(self._journal) + self._writing

    def flush(self) -> None:
        """Have the changes written now."""
        self._asked.set()

    def sync(self, domain: str) -> None:
        """Have the whole table of a domain written anew."""
        self._to_sync.add(domain)
        self._asked.set()

    async def close(self) -> None:
        """Write what is left, and close the store."""
        try:
            await self._write()
            await self._call(self._store.close)
        finally:
            if len(self._journal):
                log.error("changes are not in the store", extra={"path": self._path, "changes": len(self._journal)})
            with suppress(RuntimeError):  # the interpreter is about to end
                self._thread.submit(self._store.close)  # behind a write that outlives the bound of this stop
            self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        try:
            while self._to_sync:
                await self._replace(domain := next(iter(self._to_sync)))
                self._to_sync.discard(domain)
            await self._write_changes()
        except Exception as error:  # noqa: BLE001 whatever is wrong, memory is used
            self._fails(error)
        else:
            if self._failing:
                self._failing = False
                log.info("the store takes changes again", extra={"path": self._path})
            self._status.set_status(READY, "changes are written", STORE)

    async def _write_changes(self) -> None:
        left = len(self._journal)  # and not what comes meanwhile, which has its own time
        while parts := self._journal.take(_MANY):
            self._writing = sum(len(changes.contacts) for changes in parts)
            left -= self._writing
            try:
                await self._call(self._store.write, parts)
            except BaseException:  # when this is cancelled they may be written all the same, and then twice
                self._journal.put_back(parts)
                raise
            finally:
                self._writing = 0
            if left <= 0:
                return

    async def _replace(self, domain: str) -> None:
        parts: list[list[bytes]] = []
        for part in self._registry.table(domain).parts():
            parts.append(part)
            await asyncio.sleep(0)
        await self._call(self._store.replace, domain, parts)

    def _fails(self, error: Exception) -> None:
        self.errors += 1
        self._failing = True
        self._status.set_status(NOT_READY, f"{error}", STORE)
        repeated = self._limiter.due("write")
        if repeated is not None:
            extra = {"path": self._path, "problem": str(error), "changes": len(self._journal), "repeated": repeated}
            log.error("the store takes no changes, which wait in memory", extra=extra)

    async def _call(self, work: Callable[..., Any], *args: Any) -> Any:
        try:
            under_way = self._thread.submit(work, *args)
        except RuntimeError:  # the interpreter is about to end, and no thread begins anything any more
            return work(*args)
        return await asyncio.wrap_future(under_way)
