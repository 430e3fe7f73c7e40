"""The habits: one version for everything, and commits that are checked as continuous integration checks them."""

import os
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
PYTHON = "Programming Language :: Python :: "
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
    """The hooks of commits need no network, and lint, layers, types and changelog are those of `.ci/check`."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = {hook["id"]: hook["entry"] for hook in repository["hooks"]}
    steps = dict(re.findall(r'^step "(\w+)" (.+)$', (ROOT / ".ci" / "check").read_text(), re.MULTILINE))

    assert repository["repo"] == "local"
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    assert steps["lint"].split()[:2] == ["ruff", "check"]
    assert ".venv/bin/ruff check" in hooks["lint"]
    assert ".venv/bin/ruff format" in hooks["format"]
    for name in ("layers", "types", "changelog"):
        assert hooks[name].endswith(steps[name])
    assert "bash .ci/check" in (ROOT / ".ci" / "run").read_text()


def test_the_linter_checks_every_script_in_python():
    """The scripts of `.ci` in Python are checked in continuous integration, too: the hooks of commits find them."""
    scripts = {f".ci/{path.name}" for path in (ROOT / ".ci").iterdir() if "python" in path.read_text().split("\n")[0]}

    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["extend-include"]) == scripts


def test_a_public_forge_runs_the_same_commands():
    """The workflow of the forge checks the code, and passes the tests on each Python that the metadata names."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in workflow["jobs"].items()}
    pythons = [text.removeprefix(PYTHON) for text in OWN["classifiers"] if re.match(rf"{PYTHON}\d\.\d+$", text)]

    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == pythons
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    for path in (ROOT / ".github" / "workflows").iterdir():
        for name in re.findall(r"\.ci/\w+", path.read_text()):
            assert (ROOT / name).exists(), name
    assert "bash .ci/check" in steps["check"]
    assert "EVFRAME_PYTHON=python bash .ci/test" in steps["test"]
    command = ["bash", ROOT / ".ci" / "long", "--list"]
    trials = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    known = {line.split()[0] for line in trials.stdout.splitlines()}
    (words,) = [line.partition(".ci/long")[2].partition("--")[0].split() for line in steps["wheels"]]
    assert set(words) <= known


def small_checkout(folder):
    """Make a clone of a repository with two distributions, which has the environment of this test."""
    for place, name in [(folder, "evframe"), (folder / "plugins" / "evframe-x", "evframe-x")]:
        place.mkdir(parents=True, exist_ok=True)
        module = name.replace("-", "_")
        (place / "pyproject.toml").write_text(
            f'[project]\nname = "{name}"\nversion = "0.1.0"\n[tool.setuptools]\npy-modules = ["{module}"]\n'
        )
        (place / f"{module}.py").touch()
    (folder / ".ci").mkdir()
    for name in ("build", "wheel"):
        shutil.copy(ROOT / ".ci" / name, folder / ".ci")
    # In place of the minute that the real script takes.
    (folder / ".ci" / "setup").write_text(f"ln -s {sys.prefix} .venv\n")
    (folder / ".gitignore").write_text(".venv\ndist\n")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "begin"]):
        subprocess.run(["git", "-C", folder, *command], check=True, timeout=30)


def test_wheels_are_built_in_a_fresh_clone(tmp_path):
    """`.ci/build` makes the environment where it is missing, and builds a wheel of each distribution."""
    small_checkout(tmp_path)

    subprocess.run(["bash", ".ci/build", "dist"], cwd=tmp_path, check=True, timeout=60)
    assert sorted(path.name.partition("-")[0] for path in (tmp_path / "dist").iterdir()) == ["evframe", "evframe_x"]


def test_the_same_checkout_makes_the_same_distributions(tmp_path):
    """Neither the time nor the permissions of the files are in what is built, nor whether wheels are made of sdists."""
    small_checkout(tmp_path)

    def built(folder, *arguments, time="1000000000", umask="022"):
        command = ["bash", "-c", f"umask {umask}; touch *.py; bash .ci/build {' '.join(arguments)} dist/{folder}"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": time}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=60)
        return {path.name: path.read_bytes() for path in (tmp_path / "dist" / folder).iterdir()}

    first = built("first", "--sdists")
    assert len(first) == 4
    assert built("second", "--sdists", umask="077") == first
    assert built("wheels").items() <= first.items()
    assert not built("later", "--sdists", time="1000000002").items() & first.items()


def test_nothing_is_uploaded_but_a_tag(tmp_path):
    """`.ci/release --upload` ends before it builds anything, unless the checkout is that of the version's tag."""
    small_checkout(tmp_path)
    for name in ("release", "version"):
        shutil.copy(ROOT / ".ci" / name, tmp_path / ".ci")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n")

    command = ["bash", ".ci/release", "--upload"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "expected a clean checkout of the tag v0.1.0, with its section in CHANGELOG.md\n"
    assert not (tmp_path / "dist").exists()


@pytest.fixture
def changelog(tmp_path):
    """Return a folder with the script of the changelog, two distributions, a changelog and two fragments."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "changelog", tmp_path / ".ci")
    (tmp_path / "plugins" / "evframe-kafka").mkdir(parents=True)
    (tmp_path / "plugins" / "evframe-kafka" / "pyproject.toml").touch()
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n### Added\n\n- Begin.\n\n### Moved\n\n| a | b |\n\n## 0.0.9 - 2020-01-01\n\nOld.\n"
    )
    (tmp_path / "changelog.d").mkdir()
    (tmp_path / "changelog.d" / "README.md").touch()
    (tmp_path / "changelog.d" / "evframe-kafka.topics.added.md").write_text("Send events to\nmany topics.\n")
    (tmp_path / "changelog.d" / "evframe.ending.fixed.md").write_text("End once.\n")
    (tmp_path / "changelog.d" / "evframe.tidy.internal.md").write_text("Divide a module.\n")
    return tmp_path


def run_changelog(folder, *arguments):
    command = [sys.executable, folder / ".ci" / "changelog", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_release_takes_the_fragments(changelog):
    """A version gets what was unreleased and the entries of the fragments, by kind, and the fragments are deleted."""
    assert "- `evframe-kafka`: Send events to many topics.\n" in run_changelog(changelog).stdout

    assert run_changelog(changelog, "0.1.0").returncode == 0
    text = re.sub(r"\d{4}-\d\d-\d\d", "DATE", (changelog / "CHANGELOG.md").read_text())
    assert text == (
        "# Changelog\n\n## Unreleased\n\n## 0.1.0 - DATE\n\n"
        "### Added\n\n- Begin.\n- `evframe-kafka`: Send events to many topics.\n\n"
        "### Fixed\n\n- `evframe`: End once.\n\n### Moved\n\n| a | b |\n\n"
        "## 0.0.9 - DATE\n\nOld.\n"
    )
    assert [path.name for path in (changelog / "changelog.d").iterdir()] == ["README.md"]


@pytest.mark.parametrize("version", ["0.1", "0.0.9", "--all"])
def test_what_is_no_new_version_changes_no_changelog(changelog, version):
    """A version has three numbers and no section yet."""
    before = {path: path.read_bytes() for path in changelog.rglob("*") if path.is_file()}

    assert run_changelog(changelog, version).returncode == 1
    assert {path: path.read_bytes() for path in changelog.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("evframe-none.a.added.md", "Add.", "expected the name of a distribution, got 'evframe-none'"),
        ("evframe.a.new.md", "Add.", "expected one of changed, removed, added, fixed, internal, got 'new'"),
        ("evframe.added.md", "Add.", "expected DISTRIBUTION.SLUG.KIND.md"),
        ("evframe.a.added.md", "add", "expected one paragraph of whole sentences, got 'add'"),
        ("evframe.a.added.md", "", "expected one paragraph of whole sentences, got ''"),
        ("evframe.a.added.md", "Add.\n\nMore.", "expected one paragraph of whole sentences"),
    ],
)
def test_a_fragment_has_a_distribution_a_kind_and_sentences(changelog, name, text, problem):
    """A fragment that has no place in the changelog is an error that names its file."""
    assert run_changelog(changelog, "--check").returncode == 0
    (changelog / "changelog.d" / name).write_text(text)

    done = run_changelog(changelog, "--check")
    assert done.returncode == 1
    assert f"{name}: {problem}" in done.stderr


def test_changed_code_has_a_fragment(changelog):
    """A distribution whose code has changed since a revision needs a fragment that is new since then."""

    def git(*arguments):
        author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", "-C", changelog, *author, *arguments], check=True, capture_output=True, timeout=30)

    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "begin")
    git("checkout", "-qb", "work")
    for path in ("evframe/a.py", "plugins/evframe-kafka/evframe_kafka/a.py", "plugins/evframe-kafka/tests/test_a.py"):
        (changelog / path).parent.mkdir(parents=True, exist_ok=True)
        (changelog / path).touch()
    (changelog / "changelog.d" / "evframe.a.internal.md").write_text("Divide a module.\n")
    git("add", "-A")
    git("commit", "-qm", "work")

    done = run_changelog(changelog, "--since", "main")
    assert done.returncode == 1
    assert done.stderr == "changelog.d: expected a fragment for evframe-kafka, whose code has changed\n"
    (changelog / "changelog.d" / "evframe-kafka.a.fixed.md").write_text("Send.\n")
    git("add", "-A")
    git("commit", "-qm", "more")
    assert run_changelog(changelog, "--since", "main").returncode == 0
