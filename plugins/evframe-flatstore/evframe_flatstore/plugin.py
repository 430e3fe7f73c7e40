"""The plugin: sockets, batches to files, and the rotation event, timer and command."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Final
from weakref import WeakValueDictionary

from evframe import Batch, Event, Socket, Unavailable, hookimpl
from evframe.plugin import Command, CommandError, CommandTable, EventCollector, Limits, PluginContext, text_param
from evframe_flatstore.address import FlatSocket
from evframe_flatstore.dates import Periods, file_name, zone_of
from evframe_flatstore.events import ROTATION, Rotation
from evframe_flatstore.file import LineFile
from evframe_flatstore.file_set import FileSet, Group, divide, record
from evframe_flatstore.lines import LineFormat
from evframe_flatstore.old_files import OldFiles
from evframe_flatstore.options import Options as FlatstoreOptions
from evframe_flatstore.paths import PathTemplate, path_template

_MOST_THREADS: Final = 64  # so many disks may hang before another file notices
_MOST_CLOSED: Final = 10_000  # a file takes about a kilobyte of memory


class FlatstoreTransport:
    """The plugin object.

    Args:
        options: the table ``[plugins.flatstore]``.
        clock: the wall clock, in seconds since the epoch.
        sleep: waits so many seconds.
    """

    schemes = ("flatstore",)
    limits = Limits(
        batch_events=8192,  # each goes through a thread, which costs as much as a hundred lines
        gathers=True,
        reads_params=True,
        url_forms={"file": ("flatstore:{rest}",)},
    )
    Options = FlatstoreOptions

    def __init__(
        self,
        options: FlatstoreOptions | None = None,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options = FlatstoreOptions() if options is None else options
        self._clock = clock
        self._sleep = sleep
        self._format = LineFormat(
            options.delimiter, options.escape_delimiter, suppress_name=options.suppress_event_name
        )
        self._zone = zone_of(options.timezone)
        self._periods = Periods(options.rotate_period_s, self._zone) if options.rotate_period_s else None
        self._old_files = OldFiles(options, self._zone, clock)
        self._limited = bool(options.rotate_count or options.max_bytes)
        # A socket lives as long as its subscriber, so that a mere look-up takes no place.
        self._sockets: WeakValueDictionary[str, FlatSocket] = WeakValueDictionary()
        self._files: dict[str, LineFile] = {}
        self._sets: dict[str, FileSet] = {}
        self._threads = ThreadPoolExecutor(_MOST_THREADS, "flatstore")
        self._context: PluginContext | None = None
        self._loaded: PluginContext | None = None  # the same, from the time before the start on

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what knows which subscribers wait for a folder that does not exist."""
        self._loaded = context

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the rotation event."""
        collector.add(Rotation)

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``flatstore:`` sockets."""
        if scheme != "flatstore":
            return None
        known = self._sockets.get(rest)
        if known is not None:
            return known
        path, template = path_template(rest, makes_directories=self._options.make_directories)
        self._check(rest, path, template)
        socket = FlatSocket(path, self._options.suffix, self._zone, rest, template)
        return self._sockets.setdefault(rest, socket)

    def _check(self, text: str, path: str, template: PathTemplate | None) -> None:
        if not path or "\0" in path:
            raise ValueError(f"expected flatstore:path, got {path!r}")
        if os.path.isdir(path) or path.endswith("/"):
            raise ValueError(f"expected the path of a file, got the directory {path!r}")
        parent = template.root if template is not None else os.path.dirname(path) or "."
        waits = self._loaded is not None and self._loaded.transports.keeps(f"flatstore:{text}")
        if not waits and not self._options.make_directories and not os.path.isdir(parent):
            raise ValueError(f"expected a path in a directory that exists, got {path!r}")
        if len(self._sockets) >= self._options.max_open_sockets:
            raise ValueError(f"expected at most {self._options.max_open_sockets} files, see max_open_sockets")

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Append one line per event."""
        if not isinstance(socket, FlatSocket):
            return None
        if not batch.events:
            file = self._file_of(socket)
            return self._finish(file, self._threads.submit(file.probe))
        if socket.template is not None:
            return self._write_many(socket, socket.template, batch)
        return self._write(self._file(socket), batch.events)

    def _file_of(self, socket: FlatSocket) -> LineFile | FileSet:
        return self._file(socket) if socket.template is None else self._set(socket, socket.template)

    def _file(self, socket: FlatSocket) -> LineFile:
        file = self._files.get(socket.path)
        if file is None:
            file = self._files[socket.path] = self._make_file(socket.path)
        return file

    def _make_file(self, path: str, root: str | None = None) -> LineFile:
        return LineFile(path, self._options, self._zone, self._clock, self._old_files.submit, root=root)

    def _set(self, socket: FlatSocket, template: PathTemplate) -> FileSet:
        files = self._sets.get(socket.path)
        if files is None:
            make = partial(self._make_file, root=template.root)
            files = self._sets[socket.path] = FileSet(
                template.root,
                self._options.max_open_files,
                make,
                most_closed=_MOST_CLOSED if self._old_files.has_work else 0,
                makes_directories=self._options.make_directories,
            )
        return files

    async def _write_many(self, socket: FlatSocket, template: PathTemplate, batch: Batch) -> None:
        """Have a thread append each line to the file that its event names."""
        files = self._set(socket, template)
        groups = self._groups(template, batch)
        await self._finish(files, self._threads.submit(files.write, groups))
        record(groups, batch)

    def _groups(self, template: PathTemplate, batch: Batch) -> list[Group]:
        """Return the lines of *batch* by their files; an event without a file fails."""
        suffix = file_name("", self._options.suffix, self._clock(), self._zone)
        groups = divide(template, suffix, batch)
        for group in groups:
            group.lines = self._format.batch(group.events)
            group.counted = self._counted(group.events)
            group.heading = self._heading(group.events) if self._options.header else None
        return groups

    def _counted(self, events: Sequence[Event]) -> list[bool] | None:
        """Return which lines bring a rotation about: those that a rotation itself has written do not; None for all."""
        return [event.definition.name != ROTATION for event in events] if self._limited else None

    def _write(self, file: LineFile, events: Sequence[Event]) -> Awaitable[None] | bool:
        """Have a thread append the lines; what is raised in the meantime is the next batch."""
        lines = self._format.batch(events)
        counted = self._counted(events)
        heading = self._heading(events) if self._options.header else None
        try:
            work = self._threads.submit(file.write, lines, counted, heading)
        except RuntimeError:  # the interpreter is about to end, and begins nothing in threads any more
            file.write(lines, counted, heading)
            self._raise_rotations(file)
            return True
        return self._finish(file, work)

    def _heading(self, events: Sequence[Event]) -> Callable[[int], bytes]:
        text = self._options.header if isinstance(self._options.header, str) else None
        return lambda index: self._format.heading(events[index], text)

    async def _finish(self, file: LineFile | FileSet, work: Future[None]) -> None:
        waiting = asyncio.wrap_future(work)
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if work.cancel():
                raise
            await waiting  # a thread writes the lines: they become delivered, or fail, whatever is cancelled here
        finally:
            del work, waiting  # their error has a traceback with this frame
            self._raise_rotations(file)

    def _raise_rotations(self, file: LineFile | FileSet) -> None:
        for rotation in file.take_rotations():
            if self._context is not None:
                self._context.raise_event(rotation)

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Close the subscriber's file."""
        if isinstance(socket, FlatSocket):
            table: dict[str, Any] = self._files if socket.template is None else self._sets
            file = table.pop(socket.path, None)
            if file is not None:
                file.end()

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the command that rotates a file."""
        commands.add(
            Command(
                "event_flatstore:rotate",
                (("path_to_file",),),
                self._rotate_command,
                "continues in a new file",
                aliases=("evi_flat_rotate",),
            )
        )

    def _rotate_command(self, params: Mapping[str, Any]) -> str:
        socket = self._sockets.get(text_param(params, "path_to_file"))
        if socket is None:
            raise CommandError(400, "File not found")
        self._start_rotation(socket, "mi")
        return "OK"

    def _start_rotation(self, socket: FlatSocket, reason: str) -> None:
        file = self._file_of(socket)
        if self._context is None:
            file.rotate(reason)
        else:
            self._context.spawn(self._rotate(file, reason))

    async def _rotate(self, file: LineFile | FileSet, reason: str) -> None:
        try:
            await asyncio.wrap_future(self._threads.submit(file.rotate, reason))
        except Unavailable:
            return  # it is due, and done before the next line is written
        finally:
            self._raise_rotations(file)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Keep what raises events, and begin to watch the clock."""
        self._context = context
        self._old_files.start()
        if self._periods is not None:
            context.spawn(self._keep_period(self._periods))

    async def _keep_period(self, periods: Periods) -> None:
        """Rotate every file once another period has begun, however late that is seen."""
        current = periods.number(self._clock())
        while True:
            now = self._clock()
            await self._sleep(max(0.0, periods.next_look(now) - now))
            number = periods.number(self._clock())
            if number != current:
                for socket in list(self._sockets.values()):
                    self._start_rotation(socket, "period")
            current = number

    @hookimpl
    def stop(self) -> None:
        """Let the threads end."""
        self._context = None
        self._old_files.stop()
        self._threads.shutdown(wait=False)
        self._threads = ThreadPoolExecutor(_MOST_THREADS, "flatstore")
