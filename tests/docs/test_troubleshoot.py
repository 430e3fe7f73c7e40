"""The page of symptoms: what it quotes of the log and of errors is what the code says."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "how-to" / "troubleshoot.md"]
SOURCES = [*(ROOT / "evframe").rglob("*.py"), *(ROOT / "plugins").glob("*/evframe_*/**/*.py")]
LINE = re.compile(r"^(?:INFO|WARNING|ERROR) +(evframe[\w.-]*): (.+?)  ", re.MULTILINE)
REASON = re.compile(r"^\| ((?:`[\w: ]+`(?:, )?)+)", re.MULTILINE)


def test_quoted_lines_of_the_log_are_those_of_the_code():
    """A line of the log that a page quotes has the sentence of a call in the code."""
    code = "".join(path.read_text() for path in SOURCES)
    quoted = {message for page in PAGES for _, message in LINE.findall(page.read_text())}

    assert len(quoted) >= 8
    assert [message for message in quoted if f'"{message}"' not in code] == []


def test_the_reasons_of_the_symptoms_are_explained():
    """A reason in a table of the page is one of the page about reasons."""
    explained = (ROOT / "docs" / "reference" / "reasons.md").read_text()
    cells = " ".join(REASON.findall(PAGES[1].read_text()))
    reasons = set(re.findall(r"`(?:away: )?([a-z_]+)`", cells)) - {"connected", "unknown"}

    assert len(reasons) >= 10
    assert [reason for reason in reasons if f"`{reason}`" not in explained] == []


def test_each_reason_has_its_remedy():
    """Each reason that the page about reasons has stands before a sentence about what to do."""
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "docs" / "reference" / "reasons.md").read_text(), re.MULTILINE)
    reasons = {reason for row in rows for reason in re.findall(r"`([a-z_0-9]+)`", row)}
    remedies = re.findall(r"^- ((?:`[a-z_0-9]+`(?:, | and the like)?)+): \S", PAGES[1].read_text(), re.MULTILINE)
    listed = [reason for line in remedies for reason in re.findall(r"`([a-z_0-9]+)`", line)]

    assert len(reasons) >= 50
    assert sorted(reasons - set(listed)) == []
    assert sorted(set(listed) - reasons) == []
    assert len(listed) == len(set(listed))


def test_each_reason_of_the_code_is_explained():
    """What a transport fails a delivery with is one of the page about reasons; consumers have a state, and no reason."""
    explained = (ROOT / "docs" / "reference" / "reasons.md").read_text()
    given = re.compile(r'(?:Unavailable|Rejected)\(\s*"([a-z_0-9]+)"|\.(?:fail|refuse|fail_\w+)\([^()]*"([a-z_]+)"')
    paths = [path for path in SOURCES if "testing" not in path.parts and "-consumer" not in str(path)]
    reasons = {first or second for path in paths for first, second in given.findall(path.read_text())}

    assert len(reasons) >= 15
    assert sorted(reason for reason in reasons if f"`{reason}`" not in explained) == []
