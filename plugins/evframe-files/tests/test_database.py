"""SQLite files with a lock, a version and an owner."""

import gc
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from disks import file_size_limit
from evframe_files.database import DatabaseFile, Kind, transaction
from evframe_files.errors import is_damage, may_pass

FIRST = Kind("notes", version=1, schema=("CREATE TABLE note (id INTEGER PRIMARY KEY, text BLOB)",), table="note")


def add_author(database):
    database.execute("ALTER TABLE note ADD COLUMN author BLOB")
    database.execute("UPDATE note SET author = x'3f'")


SECOND = Kind(
    "notes",
    version=2,
    schema=("CREATE TABLE note (id INTEGER PRIMARY KEY, text BLOB, author BLOB)",),
    table="note",
    upgrades={1: add_author},
    settings=("PRAGMA journal_mode = WAL",),
    reserve_bytes=65_536,
)
THIRD = Kind("notes", version=3, schema=SECOND.schema, table="note", settings=SECOND.settings)
NAMED = Kind("letters", version=1, schema=("CREATE TABLE letter (text BLOB)",), table="letter", application=77)


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "notes")


def opened(path, kind):
    file = DatabaseFile(path, kind)
    try:
        file.open()
    except BaseException:
        file.close()
        raise
    return file


def notes(path, kind=SECOND):
    with closing(opened(path, kind)) as file:
        return file.database.execute("SELECT * FROM note ORDER BY 1").fetchall()


def put(file, *texts):
    with transaction(file.database):
        file.database.executemany("INSERT INTO note (text) VALUES (?)", [(text,) for text in texts])


def bytes_of(folder):
    """Return the contents of every file of a folder, without the log's index, which every reader makes."""
    return {each.name: each.read_bytes() for each in Path(folder).iterdir() if not each.name.endswith("-shm")}


def test_earlier_version_is_upgraded(path):
    """A file of an earlier version gets the present format, once, with what it holds."""
    with closing(opened(path, FIRST)) as file:
        put(file, b"a", b"b")
    for _ in range(2):
        assert notes(path) == [(1, b"a", b"?"), (2, b"b", b"?")]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (2,)


def test_upgrade_is_all_or_nothing(path):
    """An upgrade that fails leaves the file in its earlier version."""

    def fail(database):
        add_author(database)
        raise sqlite3.OperationalError("disk full")

    with closing(opened(path, FIRST)) as file:
        put(file, b"a")
    broken = Kind("notes", version=2, schema=SECOND.schema, table="note", upgrades={1: fail})
    with pytest.raises(sqlite3.OperationalError):
        opened(path, broken)
    assert notes(path, FIRST) == [(1, b"a")]


LATER = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA user_version = 3")
database.execute("INSERT INTO note (text) VALUES (x'61')")
os.kill(os.getpid(), 9)
"""


def test_later_version_is_refused_and_left_as_it_is(path, tmp_path):
    """A file of a later version is refused with its version, and not a byte of it or of its log changes."""
    opened(path, SECOND).close()
    done = subprocess.run([sys.executable, "-c", LATER, path], check=False, timeout=50)
    assert done.returncode == -9
    in_log = bytes_of(tmp_path)
    assert in_log["notes-wal"]
    with pytest.raises(OSError, match="expected a file of notes of version 2, got 3"):
        opened(path, SECOND)
    assert bytes_of(tmp_path) == in_log
    assert notes(path, THIRD) == [(1, b"a", None)]
    folded = bytes_of(tmp_path)
    with pytest.raises(OSError, match="expected a file of notes of version 2, got 3"):
        opened(path, SECOND)
    assert bytes_of(tmp_path) == folded


def test_file_of_another_kind_is_refused_and_left_as_it_is(path, tmp_path):
    """A database of another program, or with other tables, is refused, and not a byte of it changes."""
    opened(path, NAMED).close()
    before = bytes_of(tmp_path)
    with pytest.raises(OSError, match="expected a file of notes of version 2, got the file of another program"):
        opened(path, SECOND)
    assert bytes_of(tmp_path) == before
    os.unlink(path)
    opened(path, FIRST).close()
    before = bytes_of(tmp_path)
    with pytest.raises(OSError, match="expected a file of letters of version 1, got another database"):
        opened(path, NAMED)
    assert bytes_of(tmp_path) == before


def test_file_of_one_process(path):
    """A file that is used is refused at once, and free as soon as it is closed."""
    with closing(DatabaseFile(path, SECOND)), pytest.raises(OSError, match="another process uses it") as problem:
        DatabaseFile(path, SECOND)
    assert not may_pass(problem.value)
    DatabaseFile(path, SECOND).close()


def test_files_belong_to_their_owner(path, tmp_path):
    """The file, its log and damaged ones are for their owner alone, whatever their mode was."""
    for name in (path, path + ".damaged"):
        Path(name).touch()
        os.chmod(name, 0o644)
    with closing(opened(path, SECOND)) as file:
        put(file, b"a")
        assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
        assert len(list(tmp_path.iterdir())) == 4


def test_not_a_file(path):
    """A folder and a pipe in the place of the file are refused without waiting."""
    os.mkfifo(path)
    with pytest.raises(OSError, match="expected a regular file"):
        DatabaseFile(path, SECOND)
    os.unlink(path)
    os.mkdir(path)
    with pytest.raises(IsADirectoryError):
        DatabaseFile(path, SECOND)


def test_new_file_has_room(path):
    """A new file has free pages, and no table but its own."""
    with closing(opened(path, SECOND)) as file:
        assert file.database.execute("PRAGMA freelist_count").fetchone()[0] >= 15
        assert file.database.execute("SELECT name FROM sqlite_master").fetchall() == [("note",)]


def test_reserve_of_a_process_that_was_killed(path):
    """What a process that was killed as it made the file has left there is removed."""
    opened(path, SECOND).close()
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE reserve (page BLOB)")
    with closing(opened(path, SECOND)) as file:
        assert file.database.execute("SELECT name FROM sqlite_master").fetchall() == [("note",)]


def test_damage(path, tmp_path):
    """A damaged file is replaced by one with what is given, and stays beside it."""
    Path(path).write_bytes(b"no database" * 1000)
    with closing(DatabaseFile(path, SECOND)) as file:
        with pytest.raises(sqlite3.DatabaseError) as problem:
            file.open()
        assert is_damage(problem.value)
        for number in ("", ".1"):
            aside = file.replace(lambda database: database.execute("INSERT INTO note (text) VALUES (x'61')"))
            assert aside == f"{path}.damaged{number}"
        file.open()
        assert file.database.execute("SELECT text FROM note").fetchall() == [(b"a",)]
    assert Path(path + ".damaged").read_bytes() == b"no database" * 1000
    assert sorted(each.name for each in tmp_path.iterdir()) == ["notes", "notes.damaged", "notes.damaged.1"]


def test_new_file_that_finds_no_room(path, tmp_path):
    """When there is no room for a new file, the damaged one stays in its place, and nothing is left behind."""
    Path(path).write_bytes(b"no database" * 1000)
    with closing(DatabaseFile(path, SECOND)) as file:
        with file_size_limit(4096), pytest.raises(sqlite3.Error):
            file.replace(lambda _: None)
        assert [each.name for each in tmp_path.iterdir()] == ["notes"]
        file.replace(lambda _: None)
    assert notes(path) == []


def test_a_file_that_nobody_has_closed(path):
    """It is closed with its object, as that of an interface that is never entered, and may be used again."""
    file = opened(path, SECOND)
    del file
    gc.collect()
    opened(path, SECOND).close()


def test_changed_bytes_are_damage(path):
    """A text that is no UTF-8 and a column with another name are damage."""
    with closing(opened(path, SECOND)) as file:
        file.database.executemany("INSERT INTO note (text) VALUES (?)", [(f"text {number}",) for number in range(100)])
    sound = Path(path).read_bytes()
    for before, after in ((b"text 50", b"text \xff0"), (b"text BLOB", b"next BLOB")):
        assert sound.count(before) == 1
        Path(path).write_bytes(sound.replace(before, after))
        with closing(opened(path, SECOND)) as file, pytest.raises(sqlite3.Error) as problem:
            file.database.execute("SELECT text FROM note").fetchall()
        assert is_damage(problem.value), problem.value


def test_file_that_is_gone(path):
    """A file that was deleted is noticed, and made again."""
    with closing(opened(path, SECOND)) as file:
        assert not file.is_gone
        os.unlink(path)
        assert file.is_gone
        file.open()
        assert not file.is_gone
        with pytest.raises(OSError, match="another process uses it"):
            DatabaseFile(path, SECOND)
