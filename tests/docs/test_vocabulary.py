"""The words: each term has one meaning, and sentences have the verbs of the field, such as send, retry and notify."""

import io
import re
import subprocess
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"

# Words that hide who does what to which thing, each with what stands there instead.
UNCLEAR = {
    r"told|tells?|telling": "report, notify, raise an event, show, distinguish",
    r"hears?|heard|hearing": "receive, be notified",
    r"whoever": "the subscriber, the client, the caller",
    r"nobody": "no subscriber, no process, no client",
    r"(take|takes|took|taking) note": "record",
    r"(let|lets|letting) go": "release, close, stop",
    r"(go|goes|went|going) on": "continue",
    r"(is|are) there": "exists, has arrived, can be reached",
    r"(become|becomes|became) of": "the outcome of",
    r"of (its|their|your|our|my) own": "another, separate, one",
    r"asks? (itself|themselves)": "check",
}
# Words that no name in the code has as a part, for the same reason.
UNCLEAR_IN_NAMES = {
    "hear",
    "heard",
    "hearing",
    "hears",
    "somebody",
    "tell",
    "teller",
    "telling",
    "tells",
    "told",
    "took",
}
GIVEN_NAMES = {"tell", "raise_event_and_tell"}  # of open files, and of the contract
WORDS = re.compile(rf"\b({'|'.join(UNCLEAR)})\b", re.IGNORECASE)

# Sentences that need such a word, each with the reason.
ALLOWED = {
    "expected a name of its own for each": "an error of the core, which the tests of plugins quote",
    "methods of its own": "a comment within source that the core generates",
    "*tell*": "the name of a parameter",
    "tell: ": "the name of a parameter",
    "*told*": "the name of a parameter",
    "told: ": "the name of a parameter",
}


def texts(path):
    """Yield the number and the text of what a reader reads in a file: of code, the comments and the strings."""
    source = path.read_text()
    if path.suffix != ".py":
        yield from enumerate(source.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in {tokenize.COMMENT, tokenize.STRING} and " " in token.string:  # a single word is a name
            yield from enumerate(token.string.splitlines(), token.start[0])


def unclear(paths):
    """Return each text of files that has an unclear word and is not allowed."""
    return [
        f"{path.relative_to(ROOT)}:{number}: {found[0]!r} in {line.strip()!r}; instead: {instead(found[0])}"
        for path in paths
        for number, line in texts(path)
        if (found := WORDS.search(line)) and not any(allowed in line for allowed in ALLOWED)
    ]


def instead(word):
    """Return the words that stand instead of one."""
    return next(words for pattern, words in UNCLEAR.items() if re.fullmatch(pattern, word, re.IGNORECASE))


def listed(*patterns):
    """Return the files of the repository that match patterns of git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    ).stdout.splitlines()
    return [path for path in map(ROOT.joinpath, names) if path.is_file()]


def is_checked(path):
    """Return whether a file of code has to be clean: all but the tests of the repository, which quote such words."""
    return path.relative_to(ROOT).parts[0] != "tests"


def test_the_glossary_explains_each_term_in_one_sentence():
    """The terms of the glossary are in order, each once, and each has one sentence."""
    lines = GLOSSARY.read_text().partition("\n- ")[2].splitlines()
    entries = [re.fullmatch(r"(?:- )?\*\*([a-z ]+)\*\*: (.+)\.", line) for line in lines]

    assert all(entries), lines
    terms = [entry[1] for entry in entries]
    assert terms == sorted(set(terms))
    assert [entry[0] for entry in entries if ". " in entry[2]] == []


@pytest.mark.parametrize(
    "pages", ["README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "docs/*.md", "plugins/*/README.md"]
)
def test_pages_have_no_unclear_words(pages):
    """A page says what does what to which thing: the words of the list are not in it."""
    paths = listed(pages)

    assert paths
    assert unclear(paths) == []


def test_texts_of_code_have_no_unclear_words():
    """The docstrings, comments, errors and lines of the log have no such word."""
    paths = listed("*.py", "*.jinja", "examples/*.toml", "templates/*.yml")
    code = [path for path in paths if is_checked(path)]

    assert code
    assert unclear(code) == []


def test_names_in_code_have_no_unclear_words():
    """A name in the code has the verb of the field: `report`, `notify` or `record` instead of `tell`."""
    found = {
        f"{path.relative_to(ROOT)}: {token.string}"
        for path in listed("evframe/*.py", "plugins/*/evframe_*/*.py")
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline)
        if token.type == tokenize.NAME and token.string not in GIVEN_NAMES
        if UNCLEAR_IN_NAMES & {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", token.string)}
    }
    modules = {
        str(path.relative_to(ROOT))
        for path in listed("evframe/*.py", "plugins/*/evframe_*/*.py")
        if UNCLEAR_IN_NAMES & set(path.stem.split("_"))
    }

    assert found | modules == set()
