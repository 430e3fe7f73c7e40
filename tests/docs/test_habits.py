"""The habits: one version for everything, and commits that are checked as continuous integration checks them."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
MADE_OF = ["pyproject.toml", "README.md", ".ci/version", "templates/shared/pyproject.toml.jinja"]
OWN = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def copy(tmp_path):
    """Return a folder with a copy of all that names the version."""
    for path in (*(ROOT / name for name in MADE_OF), *(ROOT / "plugins").glob("*/pyproject.toml")):
        place = tmp_path / path.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    return tmp_path


def set_version(folder, *arguments):
    command = [sys.executable, folder / ".ci" / "version", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_version_is_set_in_one_place(copy):
    """`.ci/version` gives all distributions one version, and the range that fits it to what they need of each other."""
    assert set_version(copy).stdout.strip() == OWN["version"]
    assert set_version(copy, "7.8.9").returncode == 0

    assert set_version(copy).stdout.strip() == "7.8.9"
    texts = [path.read_text() for path in copy.rglob("*") if path.is_file() and path.parent.name != ".ci"]
    needed = {need for text in texts for need in re.findall(r"evframe[a-z-]* ~= [\d.]+", text)}
    assert {need.rpartition(" ")[2] for need in needed} == {"7.8.0"}
    for path in copy.rglob("pyproject.toml"):
        assert tomllib.loads(path.read_text())["project"]["version"] == "7.8.9"
    assert "Version 7.8.9," in (copy / "README.md").read_text()


@pytest.mark.parametrize("version", ["7.8", "v7.8.9", "7.8.9.dev", ""])
def test_what_is_no_version_changes_nothing(copy, version):
    """A version has three numbers, and a pre-release at most; anything else is an error."""
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}

    assert set_version(copy, version).returncode == 1
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_the_readme_names_the_version():
    """The status in the README has the version that the distributions have."""
    assert f"Version {OWN['version']}," in (ROOT / "README.md").read_text()


def test_commits_are_checked_as_in_continuous_integration():
    """The hooks of commits need no network, and lint, layers and types are those of `.ci/run`."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["id"]: hook["entry"] for hook in repository["hooks"]}
    steps = dict(re.findall(r'^step "(\w+)" (.+)$', (ROOT / ".ci" / "run").read_text(), re.MULTILINE))

    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    assert steps["lint"].split()[:2] == ["ruff", "check"]
    assert ".venv/bin/ruff check" in hooks["lint"]
    assert ".venv/bin/ruff format" in hooks["format"]
    for name in ("layers", "types"):
        assert hooks[name].endswith(steps[name])
