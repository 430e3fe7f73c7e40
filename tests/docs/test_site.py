"""The site of the documentation: it is built without a warning, and has every page, a search and no dead link."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evframe.plugins.hookspecs import NAMES as HOOKS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.relative_to(ROOT / "docs") for path in (ROOT / "docs").rglob("*.md"))
WALK, OTHER = "use-the-client.md", "limit-clients.md"  # pages of the small site


def build(root, folder):
    return subprocess.run(
        [sys.executable, root / ".ci" / "docs", folder], capture_output=True, text=True, timeout=110, check=False
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documentation") / "site"
    done = build(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def small(tmp_path):
    """Return a folder with the script, the settings and two pages."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "docs", tmp_path / ".ci")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    (tmp_path / "docs" / "how-to").mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "site.css", tmp_path / "docs")
    (tmp_path / "docs" / "index.md").write_text(f"# Small\n\n## Do\n\n- [Walk](how-to/{WALK})\n")
    (tmp_path / "docs" / "how-to" / WALK).write_text("# Walk\n")
    return tmp_path


def test_every_page_is_in_the_site_and_its_navigation(site):
    """Each page of `docs` is a page of the site, and the navigation leads to it."""
    home = (site / "index.html").read_text()
    navigation = home[home.index("md-nav--primary") :]

    for page in PAGES:
        place = page.parent if page.name == "index.md" else page.with_suffix("")
        assert (site / place / "index.html").is_file()
        assert f'href="{place}/"' in navigation or place == Path(), place


def test_the_search_finds_the_generated_reference(site):
    """The index of the search has every page, and the options, hooks and commands that the code declares."""
    items = json.loads((site / "search.json").read_text())["items"]
    texts = {}
    for item in items:
        page = item["location"].partition("#")[0]
        texts[page] = texts.get(page, "") + item["title"] + item["text"]

    assert len(texts) == len(PAGES)
    assert "queue_bytes" in texts["reference/configuration/"]
    assert [name for name in HOOKS if name not in texts["reference/hooks/"]] == []
    assert "evframe check" in texts["reference/command-line/"]


def test_the_site_loads_nothing_from_elsewhere(site):
    """A reader's browser asks no other server for scripts, styles or fonts."""
    loaded = [
        line
        for page in site.rglob("*.html")
        for line in page.read_text().split("<")
        if line.startswith(("script ", "link rel=stylesheet", 'link rel="stylesheet', "img ")) and "://" in line
    ]
    assert loaded == []
    # The component that asks the server of the repository for the numbers of its stars and releases.
    assert [page for page in site.rglob("*.html") if "md-source" in page.read_text()] == []


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        ([f"[a]({OTHER})", "[a](../index.md#no)"], ["page does not exist", "anchor does not exist"]),
        (
            ["[a](../../examples)", "", "![a](no.png)", "", "Two:\n- one", "", "| a |\n|---|\n| `b \\| c` |"],
            ["link '../../../examples'", "link '../no.png'", "no Markdown in 'Two: - one'", "bar in `b \\| c`"],
        ),
    ],
    ids=["links", "rest"],
)
def test_what_a_reader_would_stumble_over_is_an_error(small, lines, problems):
    """A dead link, and Markdown that the site reads in another way than GitHub, fail the build."""
    (small / "docs" / "how-to" / WALK).write_text("\n".join(["# Walk", "", *lines, ""]))

    done = build(small, small / "site")
    assert done.returncode == 1
    assert [problem for problem in problems if problem not in done.stderr] == [], done.stderr


def test_a_page_that_the_index_does_not_name_is_an_error(small):
    """The index names every page."""
    (small / "docs" / "how-to" / OTHER).write_text("# Limit\n")

    done = build(small, small / "site")
    assert (done.returncode, done.stderr) == (1, f"docs/index.md: expected a link to how-to/{OTHER}\n")


def test_only_a_site_is_replaced(small):
    """A folder with anything else is left as it is."""
    (small / "kept").mkdir()

    assert "expected no folder or an earlier site" in build(small, small / "kept").stderr
    assert list((small / "kept").iterdir()) == []
    (small / "kept" / "sitemap.xml").touch()
    assert build(small, small / "kept").returncode == 0
    assert (small / "kept" / "how-to" / "use-the-client" / "index.html").is_file()
