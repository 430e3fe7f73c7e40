"""Small files of JSON."""

import json
import os
import stat
from pathlib import Path

import pytest
from disks import file_size_limit
from evframe_files.json_file import JsonFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.json"


def test_what_was_written_is_read(path):
    """A value comes back; without a file there is none."""
    assert JsonFile(str(path)).read() is None
    JsonFile(str(path)).write({"a": ["ü", 1, None]})
    assert JsonFile(str(path)).read() == {"a": ["ü", 1, None]}
    assert [each.name for each in path.parent.iterdir()] == ["state.json"]


def test_file_belongs_to_its_owner(path):
    """The file is for its owner alone, whatever the mode of it and of the one before was."""
    for name in (path, path.with_name("state.json.new")):
        name.touch()
        name.chmod(0o644)
    JsonFile(str(path)).write(1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_write_that_fails_changes_nothing(path):
    """When there is no room, or the value is no JSON, the file is as it was."""
    file = JsonFile(str(path))
    file.write("before")
    with file_size_limit(10), pytest.raises(OSError, match="File too large"):
        file.write("x" * 100)
    assert os.listdir(path.parent) == ["state.json"]
    with pytest.raises(TypeError):
        file.write([object()])
    assert os.listdir(path.parent) == ["state.json"]
    assert file.read() == "before"
    file.write("after")
    assert file.read() == "after"


def test_damaged_file_is_kept_aside(path):
    """A file whose content was of no use is kept beside the next one; every time."""
    for number in ("", ".1"):
        path.write_text("{half")
        file = JsonFile(str(path))
        with pytest.raises(json.JSONDecodeError):
            file.read()
        file.is_damaged = True
        file.write(1)
        file.write(2)
        assert Path(f"{path}.damaged{number}").read_text() == "{half"
    assert sorted(os.listdir(path.parent)) == ["state.json", "state.json.damaged", "state.json.damaged.1"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000, "\xff", "1" * 5000, ""])
def test_what_is_no_json(path, text):
    """Whatever is in the file is read, or is an error that is expected."""
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError):
        JsonFile(str(path)).read()


def test_a_written_file_outlives_a_loss_of_power(path, monkeypatch):
    """The content is on the disk before the file has its name, and the name when the write is over."""
    order = []
    for name in ("fsync", "replace"):

        def recorded(*arguments, name=name, function=getattr(os, name)):
            is_folder = name == "fsync" and stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
            order.append("folder" if is_folder else name)
            return function(*arguments)

        monkeypatch.setattr(os, name, recorded)
    JsonFile(str(path)).write(1)
    assert order == ["fsync", "replace", "folder"]


def test_link_stays_one(path, tmp_path):
    """Where the path is a link, the file that it leads to is replaced."""
    real = tmp_path / "real.json"
    path.symlink_to(real)
    JsonFile(str(path)).write(1)
    assert path.is_symlink()
    assert json.loads(real.read_text()) == 1
