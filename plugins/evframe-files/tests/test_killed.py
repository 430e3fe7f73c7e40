"""Files whose process is killed before each step that changes a folder or waits for the disk."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from evframe_files.database import DatabaseFile, Kind
from evframe_files.json_file import JsonFile

NOTES = Kind("notes", version=1, schema=("CREATE TABLE note (text TEXT)",), table="note")
DYING = """
import os, signal, sys
left = int(sys.argv[2])
def dying(function):
    def call(*arguments, **named):
        global left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return call
for name in ("link", "rename", "replace", "unlink", "fsync", "fchmod"):
    setattr(os, name, dying(getattr(os, name)))
"""
WRITE = """
from evframe_files.json_file import JsonFile
file = JsonFile(sys.argv[1])
file.is_damaged = True
file.write("after")
"""
REPLACE = """
from evframe_files.database import DatabaseFile, Kind
kind = Kind("notes", version=1, schema=("CREATE TABLE note (text TEXT)",), table="note")
DatabaseFile(sys.argv[1], kind).replace(lambda database: database.execute("INSERT INTO note VALUES ('after')"))
"""


def killed(code, path, step):
    """Run *code*, and kill it before the step; return whether it had that many steps."""
    done = subprocess.run([sys.executable, "-c", DYING + code, path, str(step)], timeout=60, check=False)
    assert done.returncode in {0, -signal.SIGKILL}
    return done.returncode != 0


def test_a_file_of_json_is_never_missing(tmp_path):
    """The file has the value of before or that of after, also while a damaged one is kept aside."""
    step, outcomes = 1, []
    while True:
        path = str(tmp_path / f"{step}.json")
        Path(path).write_text('"before"')
        was_killed = killed(WRITE, path, step)
        outcomes.append(JsonFile(path).read())
        JsonFile(path).write("next")
        assert JsonFile(path).read() == "next"
        if not was_killed:
            break
        step += 1
    changed = outcomes.index("after")
    assert outcomes == ["before"] * changed + ["after"] * (len(outcomes) - changed)
    assert step > 3


def test_a_database_is_replaced_by_the_next_process(tmp_path):
    """The damaged database stays, or the new one is complete; a damaged one is kept aside once."""
    step = 1
    while True:
        folder = tmp_path / str(step)
        folder.mkdir()
        path = str(folder / "notes")
        Path(path).write_bytes(b"no database" * 1000)
        was_killed = killed(REPLACE, path, step)
        with closing(DatabaseFile(path, NOTES)) as file:
            try:
                file.open()
            except sqlite3.DatabaseError:
                file.replace(lambda database: database.execute("INSERT INTO note VALUES ('after')"))
                file.open()
            assert file.database.execute("SELECT text FROM note").fetchall() == [("after",)]
        assert Path(path + ".damaged").read_bytes() == b"no database" * 1000
        assert {each.name for each in folder.iterdir()} == {"notes", "notes.damaged"}
        if not was_killed:
            break
        step += 1
    assert step > 3


def test_a_replacement_that_fails_keeps_no_descriptor(tmp_path):
    """What could not be put in its place is not locked any more, and another attempt succeeds."""
    path = str(tmp_path / "notes")
    Path(path).write_bytes(b"no database" * 1000)
    os.mkdir(path + "-shm")
    with closing(DatabaseFile(path, NOTES)) as file:
        before = os.listdir("/proc/self/fd")
        for _ in range(3):
            with pytest.raises(OSError, match="-shm"):
                file.replace(lambda _: None)
        assert os.listdir("/proc/self/fd") == before
        os.rmdir(path + "-shm")
        file.replace(lambda _: None)
        file.open()
