"""The plugin: opens the file, and gives kept subscribers their queues."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from math import inf
from typing import ClassVar, Final

from evframe_files.places import beside
from evframe_wire.keys import canonical_of, key_of
from evframe_wire.path_masking import share_marks

from evframe import Event, hookimpl
from evframe.plugin import (
    CommandError,
    CommandTable,
    LogLimiter,
    PluginContext,
    Policy,
    Queue,
    StatisticGroup,
    StatusGroup,
    Subscriber,
    in_thread,
)
from evframe_journal.bounds import Bounds, FileBounds
from evframe_journal.commands import Access, dead_letter_commands
from evframe_journal.dead import DeadLetters, error_text
from evframe_journal.discard import Discarded
from evframe_journal.elsewhere import report_waiting, size_of
from evframe_journal.file import JournalFile
from evframe_journal.journal import Journal
from evframe_journal.leaving import write_all
from evframe_journal.limits import Calls, Limits
from evframe_journal.memory import Memory
from evframe_journal.options import Options as JournalOptions
from evframe_journal.problems import PROBLEMS
from evframe_journal.replay import Replays
from evframe_journal.restoring import RestoredEvents

log = logging.getLogger("evframe.journal")
IDENTIFIER: Final = "journal"
_SWITCH_S: Final = 0.0005  # with 5 ms a busy loop lets the thread of a commit wait for a second


class JournalPlugin:
    """Keeps on disk what kept subscribers have not taken.

    Args:
        options: the table ``[plugins.journal]``.
    """

    Options = JournalOptions
    kind = "extension"
    policy_keys: ClassVar = frozenset({"keep", "dead_letter", "max_bytes", "when_full"})

    def __init__(self, options: JournalOptions | None = None) -> None:
        self._options = options or JournalOptions()
        self.path = self._options.path or ""
        """The file; empty where nothing is kept."""
        self._context: PluginContext | None = None
        self.letters = DeadLetters(bounds=self._options.dead_bounds)
        """What has failed for good, where a policy has it kept."""
        self.replays = Replays()
        """Those of dead letters."""
        self._file: JournalFile | None = None
        self._journal: Journal | None = None
        self._status: StatusGroup | None = None
        self._events = RestoredEvents()
        self.orphaned = 0
        """How many events were dropped because their subscriber has not come back."""
        self._problem = ""
        self._least_keep_s = 0.0
        self._kept: dict[str, Subscriber] = {}  # by the key of what the file has for it
        self._limiter = LogLimiter()

    @property
    def has_queues(self) -> bool:
        """Whether subscribers have queues that continue in the file."""
        return bool(self._kept)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what makes events again."""
        share_marks()  # the next process finds what was kept for a subscriber by the subscriber's name
        self._context = self._events.context = context

    @hookimpl
    def reconfigure(self, options: JournalOptions) -> None:
        """Apply other options."""
        if options.path != self._options.path:
            raise ValueError("path: expected the same file as before; another one needs a restart")
        self._options = options
        self.letters.bounds = self._options.dead_bounds
        if self._journal is not None and self._file is not None:
            self._journal.bounds = self._bounds
            self._journal.memory.most_bytes = options.memory_bytes
            self._file.set_bounds(self._file_bounds)

    @hookimpl
    def open_queue(self, subscriber: Subscriber, room: int, policy: Policy, wake: Callable[[], None]) -> Queue | None:
        """Return the queue of a kept subscriber; open the file for dead letters, too."""
        is_used = policy.keep == "disk" or policy.dead_letter or policy.when_full == "dead_letter"
        if self._journal is None and is_used:
            self._open()
        if self._journal is None or policy.keep != "disk":
            return None
        calls = Calls(wake, subscriber.fail, subscriber.fail_events, subscriber.count_found, subscriber.call_with)
        limits = Limits.of(room, policy, self._get_context().host.core.overflow)
        key = key_of(subscriber.socket.canonical)
        self._kept[key] = subscriber
        return self._journal.open(key, limits, calls)

    @hookimpl
    def events_failed(
        self, subscriber: Subscriber, events: Sequence[Event], reasons: Sequence[str], error: BaseException | None
    ) -> None:
        """Keep events that have failed for good as dead letters."""
        if self._status is None:  # the subscriber has got the policy later
            self._open()
        self.letters.add(subscriber.socket.canonical, events, reasons, error_text(subscriber.text, error))

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands about dead letters."""
        access = Access(
            letters=self.letters,
            replays=self.replays,
            context=self._get_context,
            reading=self._reading,
            event_of=self._events.event_of,
        )
        for command in dead_letter_commands(access):
            commands.add(command)

    @hookimpl
    def statistics(self) -> list[StatisticGroup]:
        """Return how many dead letters there are, what came of others, and what was written and dropped."""
        letters = self.letters
        counters = {"added": letters.added, "dropped": letters.dropped, "not_kept": letters.not_kept}
        return [
            StatisticGroup("dead_letters", counters, {"kept": letters.count, "bytes": letters.bytes}),
            StatisticGroup(
                "journal",
                {"written": self.written, "orphaned": self.orphaned},
                {"on_disk": self.on_disk, "bytes": size_of(self.path)},
            ),
        ]

    def _get_context(self) -> PluginContext:
        assert self._context is not None
        return self._context

    def _reading(self) -> JournalFile | None:
        """Return the file for a command; None when no file was made yet."""
        if self._journal is None and self._find_path() and os.path.exists(self.path):
            self._open()
        if self._journal is not None and not self._journal.is_open:
            raise CommandError(503, "Journal not available", self._problem)
        return self._file

    def _find_path(self) -> bool:
        host = self._get_context().host
        if not self.path and host.is_gateway and host.config_path is not None:
            self.path = beside(host.config_path, "journal")
        return bool(self.path)

    def _open(self) -> None:
        """Open the file; while that cannot be done, events wait in memory."""
        self._status = self._get_context().status.group("core")
        self._status.add(IDENTIFIER, status=1, details="kept", reports=10)
        if not self._find_path():
            self._report(ValueError("plugins.journal.path: expected the path of a file, got nothing"))
            return
        self._file = JournalFile(self.path, self._file_bounds)
        self._journal = self._make(self._file)
        try:
            self._journal.restore(self._file.open())
        except PROBLEMS as error:
            self._report(error)

    @property
    def written(self) -> int:
        """How many events this process has written."""
        return 0 if self._journal is None else self._journal.written

    @property
    def on_disk(self) -> int:
        """How many events without an outcome are on disk."""
        return 0 if self._journal is None else self._journal.on_disk

    def _make(self, file: JournalFile) -> Journal:
        return Journal(
            file=file,
            bounds=self._bounds,
            memory=Memory(self._options.memory_bytes),
            event_of=self._events.event_of,
            report=self._report,
            on_mended=self._report_mended,
            on_damaged=self._report_damaged,
            orphaned=self._drop_orphans,
            letters=self.letters,
        )

    @property
    def _bounds(self) -> Bounds:
        # A tick each half of the time finds what is older than the other half, so that nothing waits longer.
        keep_s = max(self._options.orphan_keep_s, self._least_keep_s)
        return Bounds(store_after_s=self._options.store_after_ms / 2000, orphan_keep_s=keep_s)

    @property
    def _file_bounds(self) -> FileBounds:
        return FileBounds(self._options.max_bytes, self._options.min_free_bytes)

    def _report(self, error: BaseException | None) -> None:
        """Log a problem of the file, and its end, and show it in the status."""
        problem = "" if error is None else str(error) or repr(error)
        assert self._status is not None
        if problem == self._problem:
            return
        self._problem = problem
        repeated = self._limiter.due(problem)
        if problem:
            self._status.set_status(-1, problem, IDENTIFIER)
            if repeated is not None:
                log.error("events cannot be kept on disk", extra={"path": self.path, "problem": problem})
        else:
            self._status.set_status(1, "kept", IDENTIFIER)
            log.info("events are kept on disk again", extra={"path": self.path})

    def _report_mended(self, moved_to: str | None, lost: int) -> None:
        """Log that another file is in use."""
        assert self._status is not None
        self._status.report(f"a new file, {lost} events lost", IDENTIFIER)
        log.error("the events are in a new file", extra={"path": self.path, "moved_to": moved_to, "lost": lost})

    def _report_damaged(self, key: str, lost: int) -> None:
        """Log that a frame was damaged."""
        assert self._status is not None
        canonical = canonical_of(key)
        self._status.report(f"{lost} events for {canonical} are damaged", IDENTIFIER)
        log.error("events on disk are damaged", extra={"socket": canonical, "lost": lost})

    def _drop_orphans(self, key: str, found: Discarded) -> None:
        """Count and log events whose subscriber has not come back."""
        self.orphaned += found.count
        if self._limiter.due(key) is not None:
            extra = {"socket": canonical_of(key), "count": found.count, "dead_letters": found.letters}
            log.warning("events on disk have failed, because their subscriber has not come back", extra=extra)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to write and to read."""
        if context.host.is_gateway:
            sys.setswitchinterval(_SWITCH_S)
        with suppress(CommandError):  # a file that cannot be read is in the log
            self._reading()
        if self._journal is not None and report_waiting(context, self._journal.kept, self.path):
            self._least_keep_s = inf  # the subscribers of orphans have not ended
            self._journal.bounds = self._bounds
        context.spawn(self._run())

    async def _run(self) -> None:
        while True:
            if self._journal is not None:
                self._journal.tick()
            await asyncio.sleep(self._options.store_after_ms / 2000)

    @hookimpl
    def subscriber_released(self, subscriber: Subscriber) -> None:
        """Remember which positions the events of a subscriber had."""
        key = key_of(subscriber.socket.canonical)
        if self._kept.get(key) is subscriber:  # a member with the same socket is another one
            del self._kept[key]
            if self._journal is not None:
                self._journal.release(key)

    @hookimpl
    def stop(self) -> Awaitable[None]:
        """Write all that waits, and close the file."""
        return self._leave()

    async def _leave(self) -> None:
        journal, file = self._journal, self._file
        self._journal = self._file = None
        try:
            if journal is not None:
                await write_all(journal, self._get_context().host.core.drain_timeout_s)
        finally:
            for key, lost in ({} if journal is None else journal.give_up()).items():
                extra = {"socket": canonical_of(key), "lost": lost}
                log.error("events are lost, because they could not be written", extra=extra)
            self.letters.give_up()
        if file is not None:
            await in_thread(file.close)
