"""What can be read of a damaged SQLite file, its pages one by one, and a new file in the place of it.

SQLite ends a read at the first damaged page. The rows of the other pages are whole
(https://www.sqlite.org/fileformat2.html).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from evframe_files.private import name_aside

Value = int | float | bytes | None
Row = tuple[Value, ...]
JOURNALS: Final = ("-wal", "-shm", "-journal")
"""What SQLite appends to the path of a database for the files that belong to it."""
_MAGIC: Final = b"SQLite format 3\0"
_PAGE_BYTES: Final = 4096
_HEADER_BYTES: Final = 100
_INTERIOR: Final = 2  # of an index, or of a table WITHOUT ROWID
_LEAF: Final = 10
_TABLE_LEAF: Final = 13
_WAL_MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_WAL_HEADER_BYTES: Final = 32
_FRAME_HEADER_BYTES: Final = 24
_REAL: Final = 7
_NUMBER_BYTES: Final = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, _REAL: 8}
_DAMAGE: Final = (IndexError, ValueError, KeyError)


def rows(path: str) -> Iterator[Row]:
    """Yield each row of tables and each entry of indexes that can be read, in no order.

    A page that the disk cannot read is passed over.

    Args:
        path: the database; its write-ahead log is read too. No connection of this process may be open.

    Raises:
        OSError: if the file cannot be opened.
    """
    with open(path, "rb", buffering=0) as file:
        pages = _Pages(file.fileno(), _read_if_there(f"{path}-wal"))
        for number in pages.used():
            yield from pages.rows(number)


def header(path: str) -> tuple[int, int]:
    """Return the numbers ``application_id`` and ``user_version`` of a database, without opening it as one.

    They are those of its last complete transaction, which may be in its write-ahead log; zeros where there are none.

    Raises:
        OSError: if the file cannot be read.
    """
    with open(path, "rb") as file:
        first = file.read(_HEADER_BYTES)
    if len(first) < _HEADER_BYTES or not first.startswith(_MAGIC):
        return 0, 0
    for changed, _ in _transactions(_read_if_there(f"{path}-wal"), _page_bytes(first)):
        first = changed.get(1, first)
    return _number(first, 68), _number(first, 60)


def set_aside(path: str, new: str) -> str | None:
    """Put the file *new* in the place of a damaged database, and return where that one is now, if it is anywhere.

    When a process is killed in the midst of this, another one can do it again.
    """
    aside = name_aside(path)
    for suffix in ("", "-wal", "-journal"):
        with suppress(FileNotFoundError):
            if os.path.getsize(path + suffix):
                os.replace(path + suffix, aside + suffix)
    for journal in JOURNALS:
        with suppress(FileNotFoundError):
            os.unlink(path + journal)  # it belongs to the damaged one
    os.replace(new, path)
    return aside if os.path.lexists(aside) else None


def _read_if_there(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return b""


def _number(raw: bytes, at: int, size: int = 4) -> int:
    if at < 0 or at + size > len(raw):
        raise IndexError(at)
    return int.from_bytes(raw[at : at + size], "big")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """Return the variable-length integer at *at*, and where it ends."""
    value = 0
    for index in range(8):
        byte = raw[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | raw[at + 8], at + 9


def _has_header(image: bytes) -> bool:
    """Return whether a database begins with its whole header."""
    return image.startswith(_MAGIC) and len(image) >= _HEADER_BYTES


def _page_bytes(image: bytes) -> int:
    size = _number(image, 16, 2) if _has_header(image) else 0
    size = 65536 if size == 1 else size
    return size if size >= 512 and size & (size - 1) == 0 else _PAGE_BYTES


def _transactions(log: bytes, size: int) -> Iterator[tuple[dict[int, bytes], int]]:
    """Yield the pages of each complete transaction of a write-ahead log, and of how many the database is then."""
    if not log.startswith(_WAL_MAGIC):
        return
    salts = log[16:24]
    found: dict[int, bytes] = {}
    step = _FRAME_HEADER_BYTES + size
    for at in range(_WAL_HEADER_BYTES, len(log) - step + 1, step):
        if log[at + 8 : at + 16] != salts:
            return  # frames of an earlier log
        found[_number(log, at)] = log[at + _FRAME_HEADER_BYTES : at + step]
        count = _number(log, at + 4)
        if count:  # the last frame of a transaction has the size of the database
            yield found, count
            found = {}


class _Pages:
    """The pages of a database as its last complete transaction left them, of which one at a time is in memory."""

    def __init__(self, descriptor: int, log: bytes) -> None:
        self._descriptor = descriptor
        first = self._read(0, _HEADER_BYTES)
        self._size = _page_bytes(first)
        self._count = -(-os.fstat(descriptor).st_size // self._size)
        self._changed: dict[int, bytes] = {}
        for changed, count in _transactions(log, self._size):
            self._changed |= changed
            self._count = count
        first = self._changed.get(1, first)
        self._usable = self._size - (first[20] if _has_header(first) else 0)

    def _read(self, at: int, size: int) -> bytes:
        try:
            return os.pread(self._descriptor, size, at)
        except OSError:
            return b""

    def __getitem__(self, number: int) -> bytes:
        if not 1 <= number <= self._count:
            raise IndexError(number)
        changed = self._changed.get(number)
        return self._read((number - 1) * self._size, self._size) if changed is None else changed

    def used(self) -> Iterator[int]:
        """Yield the numbers of the pages that are in use: free ones can have rows that were removed."""
        free: set[int] = set()
        with suppress(*_DAMAGE):
            trunk = _number(self[1], 32) if self[1].startswith(_MAGIC) else 0
            while trunk and trunk not in free:
                free.add(trunk)
                page = self[trunk]
                free.update(_number(page, 8 + 4 * index) for index in range(min(_number(page, 4), self._size // 4)))
                trunk = _number(page, 0)
        yield from (number for number in range(1, self._count + 1) if number not in free)

    def rows(self, number: int) -> Iterator[Row]:
        """Yield the rows of a page, none for a page of another kind."""
        page = self[number]
        start = _HEADER_BYTES if number == 1 else 0
        if len(page) < self._size or page[start] not in {_INTERIOR, _LEAF, _TABLE_LEAF}:
            return
        kind = page[start]
        pointers = start + (12 if kind == _INTERIOR else 8)
        for index in range(min(_number(page, start + 3, 2), self._size // 2)):
            with suppress(*_DAMAGE):
                at = _number(page, pointers + 2 * index, 2)
                yield _record(self._payload(page, at + 4 if kind == _INTERIOR else at, has_rowid=kind == _TABLE_LEAF))

    def _payload(self, page: bytes, at: int, *, has_rowid: bool) -> bytes:
        """Return the payload of the cell at *at*, of which a long one has its end on other pages."""
        size, at = _varint(page, at)
        if has_rowid:
            _, at = _varint(page, at)
        most = self._usable - 35 if has_rowid else (self._usable - 12) * 64 // 255 - 23
        least = (self._usable - 12) * 32 // 255 - 23
        local = size
        if size > most:
            local = least + (size - least) % (self._usable - 4)
            local = local if local <= most else least
        if at + local > len(page):
            raise IndexError(at)
        parts, left = [page[at : at + local]], size - local
        following = _number(page, at + local) if left else 0
        while left > 0:
            if left > self._size * self._count:
                raise ValueError(left)
            page = self[following]
            parts.append(page[4 : min(4 + left, self._usable)])
            left -= self._usable - 4
            following = _number(page, 0)
        return b"".join(parts)


def _record(payload: bytes) -> Row:
    """Return the columns of a record."""
    end, at = _varint(payload, 0)
    if end > len(payload):
        raise ValueError(end)
    kinds = []
    while at < end:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        value, at = _value(payload, at, kind)
        values.append(value)
    if at != len(payload):
        raise ValueError(at)
    return tuple(values)


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in {8, 9}:
        return kind - 8, at
    size = _NUMBER_BYTES[kind] if kind < 12 else (kind - 12) // 2
    raw = payload[at : at + size]
    if len(raw) < size:
        raise ValueError(kind)
    if kind == _REAL:
        return float(struct.unpack(">d", raw)[0]), at + size
    return (raw if kind >= 12 else int.from_bytes(raw, "big", signed=True)), at + size
