"""What can be read of a damaged SQLite file."""

import sqlite3
from contextlib import closing

import pytest
from evframe_files import pages
from hypothesis import example, given, settings
from hypothesis import strategies as st

PAGE = 4096


def make(path, rows, page_bytes=PAGE):
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA page_size = {page_bytes}")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (a BLOB, b INTEGER, c REAL, PRIMARY KEY (a)) WITHOUT ROWID")
        database.execute("BEGIN")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        database.execute("COMMIT")
    return {row[0]: row for row in rows}


def read(path):
    return {row[0]: row for row in pages.rows(str(path)) if isinstance(row[0], bytes) and len(row) == 3}


numbers = st.one_of(
    st.none(), st.sampled_from([0, 1, -1, 127, -128, 2**15, -(2**23), 2**31, 2**47, -(2**63)]), st.integers(-9, 300)
)
values = st.tuples(st.binary(max_size=9000), numbers, st.none() | st.floats(allow_nan=False))


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=30, unique_by=lambda row: row[0]), st.sampled_from([512, 4096, 65536]))
def test_whole_file(tmp_path_factory, rows, page_bytes):
    """Every row of a file that is whole is read as SQLite reads it."""
    path = tmp_path_factory.mktemp("salvage") / "db"
    wanted = make(path, rows, page_bytes)
    assert read(path) == wanted


@settings(max_examples=60, deadline=None)
@given(st.lists(values, max_size=30, unique_by=lambda row: row[0]), st.sampled_from([512, 4096, 65536]))
def test_whole_file_with_rowids(tmp_path_factory, rows, page_bytes):
    """Every row of a table that has row numbers is read as SQLite reads it."""
    path = tmp_path_factory.mktemp("salvage") / "db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(f"PRAGMA page_size = {page_bytes}")
        database.execute("CREATE TABLE t (a BLOB, b INTEGER, c REAL)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    assert read(path) == {row[0]: row for row in rows}


def test_journal_that_was_not_folded(tmp_path):
    """Rows that are in the write-ahead log alone are read, and those of a transaction that has no end are not."""
    path, copy = tmp_path / "db", tmp_path / "copy"
    rows = make(path, [(b"old%d" % number, number, None) for number in range(1000)])
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DELETE FROM t WHERE b < 900")
        database.execute("INSERT INTO t VALUES (x'6e6577', 1, 1.5)")
        copy.write_bytes(path.read_bytes())
        log = (tmp_path / "db-wal").read_bytes()
        (tmp_path / "copy-wal").write_bytes(log)
        wanted = {key: row for key, row in rows.items() if row[1] >= 900}
        assert read(copy) == {**wanted, b"new": (b"new", 1, 1.5)}
        (tmp_path / "copy-wal").write_bytes(log[:-1])
        assert read(copy) == wanted


def test_rows_that_were_removed(tmp_path):
    """Pages that are free have rows that were removed, which do not come back."""
    path = tmp_path / "db"
    make(path, [(b"%d" % number, number, None) for number in range(5000)])
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DELETE FROM t WHERE b > 10")
    assert len(read(path)) == 11


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("salvage") / "db"
    rows = make(path, [(b"%d" % number * 9, number, number / 2) for number in range(2000)])
    raw = path.read_bytes()
    return lambda: (rows, raw)  # of which hypothesis can print a short text


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_pages(tmp_path_factory, image, data):
    """A damaged page takes the rows that are on it, and no others."""
    rows, raw = image()
    pages = len(raw) // PAGE
    damaged = data.draw(st.sets(st.integers(0, pages - 1), min_size=1, max_size=3))
    path = tmp_path_factory.mktemp("salvage") / "db"
    for number in damaged:
        new = data.draw(st.binary(min_size=16, max_size=16)) * (PAGE // 16)
        raw = raw[: number * PAGE] + new + raw[(number + 1) * PAGE :]
    path.write_bytes(raw)
    found = read(path)
    assert found.items() <= rows.items()
    assert len(found) > len(rows) - 250 * len(damaged)


places = st.integers(0, 2**32)


@settings(max_examples=200, deadline=None)
@given(cut=places, changes=st.lists(st.tuples(places, st.binary(max_size=8)), max_size=20), log=st.binary(max_size=100))
@example(cut=16, changes=[], log=b"")  # the name of the format alone
def test_any_damage(tmp_path_factory, image, cut, changes, log):
    """Whatever a file has become, reading what can be read of it ends without an error."""
    _, raw = image()
    raw = bytearray(raw[: cut % (len(raw) + 1)])
    for place, new in changes:
        at = place % (len(raw) + 1)
        raw[at : at + len(new)] = new
    folder = tmp_path_factory.mktemp("salvage")
    (folder / "db").write_bytes(raw)
    (folder / "db-wal").write_bytes(log)
    list(pages.rows(str(folder / "db")))
