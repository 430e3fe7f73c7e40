"""Records what SQLite writes and syncs, so that a test can have the files as a loss of power leaves them."""

import _sqlite3
import ctypes
import random
import sqlite3
import threading
from contextlib import contextmanager
from pathlib import Path

_SECTOR = 512
_WRITE_ERROR, _SYNC_ERROR = sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC
_POINTER = ctypes.c_void_p
_OPEN = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, _POINTER, ctypes.c_int, _POINTER)
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs` (https://www.sqlite.org/c3ref/vfs.html); the methods behind `xOpen` are those of the default one."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", _POINTER),
        ("zName", ctypes.c_char_p),
        ("pAppData", _POINTER),
        ("xOpen", _OPEN),
        ("others", _POINTER * 15),
    )


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods` (https://www.sqlite.org/c3ref/io_methods.html)."""

    _fields_ = (
        ("iVersion", ctypes.c_int),
        ("xClose", _POINTER),
        ("xRead", _POINTER),
        ("xWrite", _WRITE),
        ("xTruncate", _TRUNCATE),
        ("xSync", _SYNC),
        ("others", _POINTER * 13),
    )


class Recorder:
    """Has every connection that is opened record its writes, in `log`."""

    def __init__(self):
        self.log = []
        """Tuples: a word and its data; a test adds its own."""
        self.is_broken = False
        """Whether each write and sync is an I/O error."""
        self.is_moving = threading.Event()
        """Each sync waits for this, as for a slow disk."""
        self.is_moving.set()
        self._keep = []  # what SQLite has pointers to
        self._methods = {}

    @contextmanager
    def recording(self):
        library = ctypes.CDLL(_sqlite3.__file__)  # finds the symbols of the library that the module uses
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        default = library.sqlite3_vfs_find(None)
        vfs = _Vfs.from_buffer_copy(default.contents)
        vfs.zName, vfs.pNext = b"recorder", None
        opened = _OPEN(lambda *arguments: self._open(default.contents.xOpen, *arguments))
        vfs.xOpen = opened
        self._keep += [vfs, opened]
        library.sqlite3_vfs_register(ctypes.byref(vfs), 1)
        try:
            yield self
        finally:
            library.sqlite3_vfs_register(default, 1)
            library.sqlite3_vfs_unregister(ctypes.byref(vfs))

    def _open(self, original, vfs, path, file, flags, out):
        code = original(vfs, path, file, flags, out)
        if not code and path is not None:
            place = ctypes.cast(file, ctypes.POINTER(ctypes.POINTER(_Methods)))
            name = ctypes.string_at(path).decode()  # SQLite keeps the pointer, which has to be passed on
            mine = self._recorded(place.contents.contents, name)
            place.contents = ctypes.pointer(mine)
            ctypes.cast(file, ctypes.POINTER(_POINTER))[0] = ctypes.addressof(mine)
        return code

    def _recorded(self, methods, path):
        mine = _Methods.from_buffer_copy(methods)
        write, truncate, sync = methods.xWrite, methods.xTruncate, methods.xSync

        def on_write(file, data, size, at):
            if self.is_broken:
                return _WRITE_ERROR
            self.log.append(("write", path, at, ctypes.string_at(data, size)))
            return write(file, data, size, at)

        def on_truncate(file, size):
            self.log.append(("truncate", path, size))
            return truncate(file, size)

        def on_sync(file, flags):
            if self.is_broken:
                return _SYNC_ERROR
            self.is_moving.wait()
            code = sync(file, flags)
            self.log.append(("sync", path))
            return code

        mine.xWrite, mine.xTruncate, mine.xSync = _WRITE(on_write), _TRUNCATE(on_truncate), _SYNC(on_sync)
        self._keep.append(mine)
        return mine


def cut(before: dict[str, bytes], log, chance: random.Random) -> dict[str, bytes]:
    """Return the files as they may be when the power fails at the end of *log*.

    What was written before the last sync of its file is there. Of what came later, each write is there as a whole, in
    part, or not at all, whatever came before or after it.
    """
    files = {path: bytearray(data) for path, data in before.items()}
    last = {path: index for index, (word, path, *_) in enumerate(log) if word == "sync"}
    for index, (word, path, *data) in enumerate(log):
        image = files.setdefault(path, bytearray())
        is_synced = index < last.get(path, -1)
        if word == "write":
            at, written = data
            mode = "whole" if is_synced else chance.choice(["whole", "part", "none"])
            for start in range(0, len(written), _SECTOR):
                if mode == "whole" or (mode == "part" and chance.random() < 0.5):
                    _put(image, at + start, written[start : start + _SECTOR])
        elif word == "truncate" and (is_synced or chance.random() < 0.5):
            del image[data[0] :]
    return {path: bytes(image) for path, image in files.items()}


def _put(image: bytearray, at: int, data: bytes) -> None:
    if len(image) < at:
        image.extend(bytes(at - len(image)))
    image[at : at + len(data)] = data


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, but for the memory that processes share."""
    return {str(path): path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
