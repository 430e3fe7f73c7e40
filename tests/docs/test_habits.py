"""The habits: one version for everything, and commits that are checked as continuous integration checks them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

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


@pytest.mark.parametrize(
    ("version", "needed"), [("7.8.9", "7.8.0"), ("7.8.10rc1", "7.8.0"), ("7.9.0rc1", "7.9.0rc1"), ("7.10.0", "7.10.0")]
)
def test_the_version_is_set_in_one_place(copy, version, needed):
    """`.ci/version` gives all distributions one version, and the range that fits it to what they need of each other."""
    assert set_version(copy).stdout.strip() == OWN["version"]
    assert set_version(copy, "7.9.0b2").returncode == 0
    assert set_version(copy, version).returncode == 0

    assert set_version(copy).stdout.strip() == version
    needs = set()
    for path in copy.rglob("pyproject.toml*"):
        text = path.read_text()
        needs |= set(re.findall(r"\bevframe[a-z-]*(?:\[.*?\])? *~= *([^\s\",;]+)", text))
        if path.suffix == ".toml":
            assert tomllib.loads(text)["project"]["version"] == version
    assert needs == {needed}
    assert SpecifierSet(f"~= {needed}", prereleases=True).contains(version)
    assert f"Version {version}," in (copy / "README.md").read_text()


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
    for name in ("build", "copy", "wheel"):
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


def test_a_checkout_that_has_changed_is_built_as_it_is(tmp_path):
    """What is deleted or new is so in the wheels; folders of other commits and wheels of earlier ones are in no way."""
    small_checkout(tmp_path)
    stale = tmp_path / "plugins" / "evframe-old"
    (stale / "build").mkdir(parents=True)
    (stale / "build" / "old.py").touch()
    (tmp_path / ".gitignore").write_text(".venv\ndist\nbuild\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "evframe_old-0.0.9-py3-none-any.whl").touch()
    (tmp_path / "evframe.py").unlink()
    (tmp_path / "renamed.py").touch()
    path = tmp_path / "pyproject.toml"
    path.write_text(path.read_text().replace('["evframe"]', '["renamed"]'))

    subprocess.run(["bash", ".ci/build", "dist"], cwd=tmp_path, check=True, timeout=60)
    wheels = {path.name.partition("-")[0]: path for path in (tmp_path / "dist").iterdir()}
    assert set(wheels) == {"evframe", "evframe_old", "evframe_x"}
    with zipfile.ZipFile(wheels["evframe"]) as file:
        assert [name for name in file.namelist() if "/" not in name] == ["renamed.py"]


def test_a_copy_without_its_repository_is_not_built(tmp_path):
    """The error says what is expected, and nothing is in the folder."""
    small_checkout(tmp_path)
    shutil.rmtree(tmp_path / ".git")

    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    done = subprocess.run(
        ["bash", ".ci/build", "dist"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "expected a clone of the repository, which this user owns\n"
    assert not list((tmp_path / "dist").iterdir())


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


def git(folder, *arguments):
    author = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run(["git", "-C", folder, *author, *arguments], check=True, capture_output=True, timeout=30)


@pytest.fixture
def release(tmp_path):
    """Return what runs `.ci/release` in a small checkout of the tag v0.1.0, and returns its exit code and its errors."""
    small_checkout(tmp_path)
    for name in ("release", "version"):
        shutil.copy(ROOT / ".ci" / name, tmp_path / ".ci")
    (tmp_path / ".ci" / "setup").write_text("echo it is built >&2; exit 3\n")  # all that is refused is refused before
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0 - 2026-01-01\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "release: 0.1.0")
    git(tmp_path, "tag", "v0.1.0")

    def run(*arguments):
        command = ["bash", ".ci/release", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stderr

    run.folder = tmp_path
    return run


@pytest.mark.parametrize("option", ["--tagged", "--upload"])
def test_nothing_is_published_but_a_tag(release, option):
    """Only a clean checkout of the version's tag is released, and what is refused keeps the release before."""
    assert release(option) == (3, "it is built\n")
    refused = (1, "expected a clean checkout of the tag v0.1.0, with its section in CHANGELOG.md\n")
    (release.folder / "dist").mkdir()
    (release.folder / "dist" / "evframe-0.0.9.tar.gz").touch()

    (release.folder / "changed").touch()
    assert release(option) == refused
    git(release.folder, "add", "-A")
    git(release.folder, "commit", "-qm", "after the tag")
    assert release(option) == refused
    git(release.folder, "tag", "v0.1.1")  # of another version than that of the distributions
    assert release(option) == refused
    assert (release.folder / "dist" / "evframe-0.0.9.tar.gz").exists()

    git(release.folder, "tag", "--annotate", "--force", "--message=0.1.0", "v0.1.0")
    assert release(option) == (3, "it is built\n")
    assert not (release.folder / "dist").exists()


def test_the_workflow_publishes_nothing_but_a_tag():
    """The workflow of a release refuses what `.ci/release --upload` refuses, and continues an upload that broke off."""
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text())["jobs"]
    commands = [step["run"] for step in jobs["build"]["steps"] if ".ci/release" in step.get("run", "")]

    assert commands == ["bash .ci/release --tagged dist"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["steps"][-1]["with"]["skip-existing"] is True


def test_versions_that_disagree_are_not_released(release):
    """A distribution with another version than the others ends the release before anything is built."""
    path = release.folder / "plugins" / "evframe-x" / "pyproject.toml"
    path.write_text(path.read_text().replace("0.1.0", "0.1.1"))

    assert release() == (
        1,
        "expected the version 0.1.0, as .ci/version sets it, in: plugins/evframe-x/pyproject.toml\n",
    )


@pytest.mark.parametrize("kind", ["file", "other files", "link"])
def test_a_release_deletes_nothing_but_a_release(release, kind):
    """A file in place of the folder, and a folder with other files, are refused and kept; so is what a link leads to."""
    place, kept = release.folder / "dist", release.folder / "kept"
    kept.mkdir()
    (kept / "file").touch()
    if kind == "file":
        place.touch()
    elif kind == "link":
        place.symlink_to(kept)
    else:
        kept.rename(place)

    assert release() == (1, "expected only an earlier release in dist\n")
    assert place.is_file() or (place / "file").exists()


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
