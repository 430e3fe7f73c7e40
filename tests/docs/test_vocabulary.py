"""The words of the pages: each term has one meaning."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"


def test_the_glossary_explains_each_term_in_one_sentence():
    """The terms of the glossary are in order, each once, and each has one sentence."""
    lines = GLOSSARY.read_text().partition("\n- ")[2].splitlines()
    entries = [re.fullmatch(r"(?:- )?\*\*([a-z ]+)\*\*: (.+)\.", line) for line in lines]

    assert all(entries), lines
    terms = [entry[1] for entry in entries]
    assert terms == sorted(set(terms))
    assert [entry[0] for entry in entries if ". " in entry[2]] == []
