"""The files of one socket with parameters: as many as the events have values, and a bounded number of them open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import attrs

from evframe import Batch, Event, Rejected, Unavailable
from evframe.plugin import UnfitError
from evframe_flatstore.events import Rotation
from evframe_flatstore.file import LineFile
from evframe_flatstore.paths import PathTemplate
from evframe_flatstore.probing import check_folder
from evframe_flatstore.problems import MENDABLE, problem_of


@attrs.define
class Group:
    """The lines of one file, of a batch."""

    path: str
    indexes: list[int] = attrs.field(factory=list)
    """Those of the events in their batch."""
    events: list[Event] = attrs.field(factory=list)
    lines: bytes = b""
    counted: Sequence[bool] | None = None
    heading: Callable[[int], bytes] | None = None
    error: Unavailable | Rejected | None = None
    """Why the lines are not written, or not all."""


def divide(template: PathTemplate, suffix: str, batch: Batch) -> list[Group]:
    """Return the events of *batch* by the files that they name; an event that names none fails."""
    groups: dict[str, Group] = {}
    for index, event in enumerate(batch.events):
        try:
            path = template.path_of(event, suffix)
        except UnfitError as error:
            batch.fail(index, error.reason)
            continue
        group = groups.get(path)
        if group is None:
            group = groups[path] = Group(path)
        group.indexes.append(index)
        group.events.append(event)
    return list(groups.values())


def record(groups: Sequence[Group], batch: Batch) -> None:
    """Give the events of *groups* their outcomes.

    Raises:
        Unavailable: if lines are not written that have to be.
    """
    problem: Unavailable | Rejected | None = None
    for group in groups:
        error = group.error
        done = len(group.indexes) if error is None else error.done
        for index in group.indexes[:done]:
            batch.confirm(index)
        waits = batch.is_kept and error is not None and error.reason in MENDABLE
        if isinstance(error, Rejected) and not waits:
            for index in group.indexes[done:]:
                batch.fail(index, error.reason)
        else:
            problem = problem or error
    if problem is not None:
        raise Unavailable(problem.reason)


class FileSet:
    """Opens files as lines come, and closes the one that had none for the longest time.

    Every method but `take_rotations` and `end` may wait for the disk.

    Args:
        root: the folder that all files are in.
        most: how many may be open.
        make: returns the file of a path.
        most_closed: how many that are closed are remembered, so that their names are looked at once.
        makes_directories: whether a folder that is missing is made.
    """

    def __init__(
        self,
        root: str,
        most: int,
        make: Callable[[str], LineFile],
        *,
        most_closed: int,
        makes_directories: bool,
    ) -> None:
        self._root = root
        self._most = most
        self._make = make
        self._most_closed = most_closed
        self._makes_directories = makes_directories
        self._files: OrderedDict[str, LineFile] = OrderedDict()
        self._closed: OrderedDict[str, LineFile] = OrderedDict()
        self._mutex = threading.Lock()
        self._has_ended = False
        self._rotations: list[Rotation] = []

    def write(self, groups: Sequence[Group]) -> None:
        """Append the lines of each group to its file; what goes wrong is in the groups."""
        with self._mutex:
            for group in groups:
                file = self._file(group.path)
                try:
                    file.write(group.lines, group.counted, group.heading)
                except (Unavailable, Rejected) as error:
                    group.error = error.with_traceback(None)
                self._rotations += file.take_rotations()
        self._end_if_due()

    def probe(self) -> None:
        """Raise Unavailable unless a file can be made in the folder of the files; none is made."""
        try:
            check_folder(self._root, makes_directories=self._makes_directories)
        except OSError as error:
            raise Unavailable(problem_of(error)) from None

    def _file(self, path: str) -> LineFile:
        file = self._files.get(path)
        if file is None:
            while len(self._files) >= self._most:
                self._suspend(*self._files.popitem(last=False))
            file = self._closed.pop(path) if path in self._closed else self._make(path)
            self._files[path] = file
        self._files.move_to_end(path)
        return file

    def _suspend(self, path: str, file: LineFile) -> None:
        file.suspend()
        self._closed[path] = file
        if len(self._closed) > self._most_closed:
            self._closed.popitem(last=False)[1].end()

    def rotate(self, reason: str) -> None:
        """Rotate every file that is open."""
        problem: Unavailable | None = None
        with self._mutex:
            for file in self._files.values():
                try:
                    file.rotate(reason)
                except Unavailable as error:
                    problem = error  # it is due, and done before the next line is written
                except Rejected:
                    pass  # its lines will fail, and those of the other files are written
                self._rotations += file.take_rotations()
        self._end_if_due()
        if problem is not None:
            raise problem.with_traceback(None)

    def take_rotations(self) -> list[Rotation]:
        """Return the rotations since the last call."""
        taken, self._rotations = self._rotations, []
        return taken

    def end(self) -> None:
        """Close the files as soon as nothing is being written."""
        self._has_ended = True
        self._end_if_due()

    def _end_if_due(self) -> None:
        if self._has_ended and self._mutex.acquire(blocking=False):
            try:
                for files in (self._files, self._closed):
                    for file in files.values():
                        file.end()
                    files.clear()
            finally:
                self._mutex.release()
