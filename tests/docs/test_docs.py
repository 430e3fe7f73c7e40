"""The pages: every example runs, the generated ones are what the code says, and links lead somewhere."""

import os
import pkgutil
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from forks import forked

import evframe
from evframe.cli import main as command_line

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "RELEASING.md",
        ROOT / "SECURITY.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "plugins").glob("*/README.md"),
    ]
)
# What is not a page is linked by its whole URL, which is valid on the site and on an index, too.
REPOSITORY = re.compile(r"https://github\.com/evframe/evframe/(blob|tree)/main/")

# Somebody else on this machine may have the port of the management interface.
ANY_PORT = """
import socket

class AnyPort(socket.socket):
    def bind(self, address):
        super().bind(("127.0.0.1", 0) if address == ("127.0.0.1", 8888) else address)

socket.socket = AnyPort
"""


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def pages_with(language):
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if blocks(page, language)]


@pytest.fixture(scope="module")
def python():
    """Run scripts, in processes that have imported every plugin: for most pages, that would take the time."""
    plugins = [entry.module for entry in entry_points(group="evframe")]
    with forked("evframe", *plugins, flags=("-W", "error")) as run:
        yield run


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_blocks_run(page, tmp_path, python):
    """The Python blocks of a page run one after the other, in a folder of their own."""
    script = tmp_path / "page.py"
    script.write_text("\n".join([ANY_PORT, *blocks(page, "python")]))
    done = python(script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", pages_with("toml"))
def test_toml_blocks_are_configurations(page, tmp_path, monkeypatch):
    """Every TOML block is a whole configuration without a problem."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BROKER_PASSWORD", "secret")
    monkeypatch.setenv("EVFRAME_TOKEN", "secret")
    monkeypatch.setenv("SQS_KEY", "key")
    monkeypatch.setenv("SQS_SECRET", "secret")
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_" + "c2VjcmV0" * 4)
    for text in blocks(page, "toml"):
        (tmp_path / "evframe.toml").write_text(text)
        evframe.EventInterface.from_toml(tmp_path / "evframe.toml")


@pytest.mark.parametrize("page", pages_with("sh"))
def test_command_lines_are_understood(page):
    """Every `evframe` command of a page has the options that it uses."""
    for line in "\n".join(blocks(page, "sh")).replace("\\\n", " ").splitlines():
        words = shlex.split(line.partition(">")[0], comments=True)
        if words[:1] == ["evframe"]:
            command = command_line.get_command(
                command_line.make_context("evframe", ["--help"], resilient_parsing=True), words[1]
            )
            command.make_context(words[1], words[2:]).close()


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links(page):
    """Links between pages lead to a page, and to a heading of it where they name one."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target and not REPOSITORY.match(target):
            continue
        path, _, heading = target.partition("#")
        folder = ROOT if REPOSITORY.match(path) else page.parent
        other = (folder / REPOSITORY.sub("", path)).resolve() if path else page
        assert other.exists(), target
        if heading:
            found = {
                re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
                for line in other.read_text().splitlines()
                if line.startswith("#")
            }
            assert heading in found, target


def is_found(name):
    """Whether a dotted name is a module, or an attribute of one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_names_of_the_code(page):
    """Each dotted name of two parts behind `evframe`, or of one that is a class, is a name of the code."""
    code = " ".join(re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text()))
    names = re.findall(
        r"(?<![\w/.@-])evframe(?:_\w+)?(?:\.[a-z_]\w*)+\.\w+|(?<![\w/.@-])evframe(?:_\w+)?\.[A-Z]\w*", code
    )
    assert [name for name in names if not is_found(name)] == []


def test_generated_pages_are_up_to_date():
    """The reference pages say what the code says."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr


def test_every_fixed_defect_has_its_test():
    """Each defect that the page calls fixed has a test with its id in the name."""
    page = (ROOT / "docs" / "explanation" / "differences.md").read_text()
    rows = re.findall(r"^\| ([QDSFVXRK]-?\d+) \|[^|]*\| ([^|]*) \|$", page, re.MULTILINE)
    places = [
        path
        for glob in ("tests/**", "plugins/*/tests", "evframe/testing", "plugins/*/*/testing")
        for path in ROOT.glob(f"{glob}/*.py")
    ]
    tests = " ".join(path.read_text() for path in places)
    tested = set()
    for name in re.findall(r"def (test_\w+)\(", tests):
        tested |= set(re.findall(r"_([qdsfvxrk]\d+)(?=_|$)", name))
    ids = [row[0] for row in rows]

    elsewhere = set(re.findall(r"[QR]-?\d+", " ".join(re.findall(r"^[QR]-?\d+ .*", page, re.MULTILINE))))
    counts = {"Q-": 28, "D": 8, "S": 11, "F": 13, "V": 12, "X": 10, "R": 15, "K": 9}
    assert sorted([*ids, *elsewhere]) == sorted(
        f"{letter}{n}" for letter, last in counts.items() for n in range(1, last + 1)
    )
    assert all(what.startswith("fixed") for _, what in rows)
    assert [name for name in ids if name.lower().replace("-", "") not in tested] == []
