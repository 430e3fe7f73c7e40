"""Citations: what the code, its tests and the pages refer to is in the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {".py", ".md", ".toml", ".jinja", ".ini", ".cfg", ".yml", ".sh", ""}
# Pages that the templates make, whose examples are on the pages about them.
MADE = {"size-watch.md", "webhook.md"}
GENERATED = ROOT / "docs" / "reference"  # what a generated page links is relative to it
FOLDERS = "benchmarks|docs|evframe|examples|plugins|reference|templates|tests"


def files():
    """Return the text files of the repository, without the licences and this file."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout.splitlines()
    paths = [ROOT / name for name in listed]
    return [
        path
        for path in paths
        if path.suffix in TEXTS and path.name != "LICENSE" and path != Path(__file__) and path.is_file()
    ]


def exists(cited, path):
    """Return whether a file has the name that is cited in *path*: from the top, from beside it, or anywhere."""
    within = [folder for folder in path.parents if folder.is_relative_to(ROOT)]
    if any((folder / cited).exists() for folder in (*within, GENERATED)):
        return True
    return "/" not in cited and any(other.name == cited for other in PAGES)


PAGES = [path for path in files() if path.suffix == ".md"]
CITED = [
    re.compile(r"(?<![\w/.{}<-])((?:[\w.-]+/)*[\w-]+\.md)\b"),
    re.compile(rf"`((?:{FOLDERS})/[\w./-]+\.(?:py|toml|txt|cfg))`"),
]


@pytest.mark.parametrize("pattern", CITED, ids=["pages", "files"])
def test_a_file_that_is_cited_exists(pattern):
    """No comment, docstring, test or page names a file that a reader of the repository cannot open."""
    missing = [
        f"{path.relative_to(ROOT)}: {cited}"
        for path in files()
        for cited in pattern.findall(path.read_text(errors="surrogateescape"))
        if cited.rpartition("/")[2] not in MADE and not exists(cited, path)
    ]

    assert missing == []


def test_sections_are_not_cited_by_number():
    """A number of a section says nothing without the text that it is of: the rule itself stands there, or a link."""
    mark = chr(0xA7)
    cited = [str(path.relative_to(ROOT)) for path in files() if mark in path.read_text(errors="surrogateescape")]

    assert cited == []


def test_the_ids_of_defects_are_explained():
    """An id such as Q-5 in the code or in a test is a row of the page about the differences."""
    page = ROOT / "docs" / "explanation" / "differences.md"
    explained = set(re.findall(r"Q-\d+", page.read_text()))
    used = {each for path in files() for each in re.findall(r"\bQ-\d+\b", path.read_text(errors="surrogateescape"))}

    assert used
    assert used <= explained
