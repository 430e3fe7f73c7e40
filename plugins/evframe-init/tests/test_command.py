"""The command: a new file, which is a configuration without a problem."""

import json
import os
import re
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from evframe_init import commented_configuration
from evframe_options.installed import installed

from evframe.cli import main


@pytest.fixture
def init(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = os.umask(0o022)
    runner = CliRunner()
    yield lambda *words: runner.invoke(main, ["init", *words])
    os.umask(before)


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_what_is_written_passes_the_check(init):
    """The file is one that others cannot read, and `evframe check` accepts it."""
    done = init()
    assert done.exit_code == 0
    assert done.output.startswith("wrote evframe.toml; evframe check -c evframe.toml")
    assert mode("evframe.toml") == 0o640
    checked = CliRunner().invoke(main, ["check", "-c", "evframe.toml"])
    assert (checked.exit_code, checked.output) == (0, "ok\n")
    assert init("--print").output == Path("evframe.toml").read_text(encoding="utf-8")


def problems(text, plugins):
    """Return what the check finds in *text* when only *plugins* take part."""
    others = json.dumps([each.name for each in installed() if each not in plugins])
    head = "[plugins]" if "\n[plugins]" in text else "#[plugins]"
    text = text.replace("\ndisable = []", "\n#disable = []").replace(head, f"[plugins]\ndisable = {others}", 1)
    Path("some.toml").write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["check", "-c", "some.toml"]).output.splitlines()


ALL = [*installed()]
SUBSETS = {"none": [], "all": ALL}
SUBSETS |= {f"only-{each.name}": [each] for each in ALL}


@pytest.mark.parametrize("plugins", SUBSETS.values(), ids=SUBSETS)
@pytest.mark.usefixtures("init")
def test_whatever_is_installed_and_uncommented(plugins):
    """With any plugins, and with every default and header uncommented, only what says that it is required is missing."""
    text = commented_configuration(plugins)
    assert problems(text, plugins) == ["ok"]
    uncommented = re.sub(r"^#(?=\[|[\w-]+ = (?! #))", "", text, flags=re.MULTILINE)
    assert uncommented.count("\n#[") == 0
    wrong = [line for line in problems(uncommented, plugins) if line != "ok"]
    for line in wrong:
        key, problem = re.fullmatch(r"[^:]*:\d+: [\w.\[\]-]*?([\w-]+): (.*)", line).groups()
        is_required = re.search(rf"^#{key} =  # .*, required$", text, re.MULTILINE) is not None
        assert (is_required and problem == "expected a value, got nothing") or problem.startswith("expected either "), (
            line
        )
    assert wrong  # a parameter of an event, and a policy, have no defaults


def test_a_file_that_exists(init, tmp_path):
    """It stays, also where it is a link to nothing; with --force it is replaced, with its mode, below its links."""
    (tmp_path / "a.toml").write_text("mine")
    os.chmod("a.toml", 0o600)
    os.symlink("nothing.toml", "dangling.toml")
    os.symlink("a.toml", "link.toml")
    for name in ("a.toml", "link.toml", "dangling.toml"):
        refused = init(name)
        assert (refused.exit_code, refused.stderr) == (1, f"Error: {name} exists already; --force replaces it\n")
    assert (tmp_path / "a.toml").read_text() == "mine"
    assert not os.path.exists("nothing.toml")
    assert init("link.toml", "--force").exit_code == 0
    assert os.path.islink("link.toml")
    assert (tmp_path / "a.toml").read_text().startswith("# The configuration of an evframe gateway")
    assert mode("a.toml") == 0o600
    assert init("new.toml", "--force").exit_code == 0
    assert sorted(os.listdir()) == ["a.toml", "dangling.toml", "link.toml", "new.toml"]


@pytest.mark.parametrize("path", ["none/evframe.toml", "folder"])
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_path_that_cannot_be_written(init, path, force):
    """It is one clear error, and nothing is left behind."""
    os.mkdir("folder")
    done = init(path, *force)
    assert done.exit_code in {1, 2}
    assert path in done.stderr
    assert os.listdir() == ["folder"]


def _full_disk(descriptor, *_, **__):
    os.close(descriptor)
    raise OSError(28, "No space left on device")


def test_a_disk_that_is_full(init, monkeypatch, tmp_path):
    """A file that cannot be written completely is none, and the one before stays."""
    (tmp_path / "old.toml").write_text("mine")
    monkeypatch.setattr("evframe_init.plugin.open", _full_disk, raising=False)
    for words in (["new.toml"], ["old.toml", "--force"]):
        assert init(*words).exit_code == 1
    assert os.listdir() == ["old.toml"]
    assert (tmp_path / "old.toml").read_text() == "mine"
