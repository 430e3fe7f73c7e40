"""Options of attrs classes from TOML: types, rules, and the places of problems."""

from typing import Any, Literal

import attrs
import pytest
from evframe_options import (
    above,
    are_named_apart,
    at_least,
    file_digests,
    is_readable,
    key_lines,
    matching,
    one_of,
    structure,
    with_places,
    within,
)
from evframe_options.describing import FROM_OTHERS, options_of, sentence


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (int | str, 1, 1.5),
        (int | None, None, "1"),
        (dict[str, int], {"a": 1}, {"a": "1"}),
        (tuple[int, str], (1, "a"), 1),
        (dict[str, Any], {"a": [1, "b"]}, ["a"]),
        (list[str] | None, None, "a"),
        (float, 2, True),
    ],
)
def test_a_union_is_told_from_a_container(kind, good, bad):
    """A value may be of one of several types; a container of several types is no such choice."""
    problems = []
    assert structure(good, kind, "it", problems) == good
    assert problems == []
    structure(bad, kind, "it", problems)
    assert len(problems) == 1


def test_shared_validators(tmp_path):
    """Paths of files and names of tables are checked where an option has one."""

    @attrs.frozen
    class Table:
        name: str

    @attrs.frozen
    class Options:
        file: str | None = attrs.field(default=None, validator=is_readable)
        tables: list[Table] = attrs.field(factory=list, validator=are_named_apart)

    Options()
    Options(tables=[Table("a"), Table("b")])
    Options(str(tmp_path))
    with pytest.raises(ValueError, match="^file: expected a file that can be read, got '/no/such/file'"):
        Options(file="/no/such/file")
    with pytest.raises(ValueError, match="^tables: expected a name of its own for each, got 'A' twice"):
        Options(tables=[Table("a"), Table("b"), Table("A")])


def test_rules_with_defaults_of_every_kind(tmp_path):
    """Errors of validators are reported, whatever makes the defaults of the other fields."""

    @attrs.frozen
    class Options:
        file: str = attrs.field(validator=is_readable)
        copy: str = attrs.Factory(lambda self: self.file + "~", takes_self=True)
        lines: list[str] = attrs.field(factory=list)
        contents: tuple[bytes | None, ...] = file_digests("file")

    problems = []
    assert structure({"file": "/no/such/file"}, Options, "here", problems) is None
    assert problems == ["here.file: expected a file that can be read, got '/no/such/file'"]
    assert structure({"file": str(tmp_path)}, Options, "here", problems).copy == f"{tmp_path}~"


TEXT = '''# comment
top = 1
[a.b]
"c.d" = """
[not.a.header]
x = 1
"""
list = [
  # comment
  { name = "x" },
  { name = "y" },
]
[[e]]
  [e.sub]
  k = 1
[[e]]
q.r = 2
  [[e.inner]]
  z = 1
  [[e.inner]]
  z = 2
'''


@attrs.frozen
class Login:
    """A table whose rules read more than one option."""

    server: str
    certificate: str | None = attrs.field(default=None)
    mode: Literal[0, 1] = 0
    length: int = attrs.field(default=attrs.Factory(lambda self: len(self.server), takes_self=True))

    @certificate.validator
    def _check(self, attribute, value):
        if value is not None and not self.server.startswith("tls:"):
            raise ValueError(f"{attribute.name}: expected a server with TLS")

    @length.validator
    def _compare(self, _, value):
        if value > 100:
            raise TypeError("expected less")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"certificate": "a"}, ["it.server: expected a value, got nothing"]),
        ({"length": 7, "x": 1}, ["it.server: expected a value, got nothing", "it: unknown key 'x'"]),
        ({"server": 7, "certificate": "a"}, ["it.server: expected str, got 7"]),
        ({"server": "udp:", "certificate": "a"}, ["it.certificate: expected a server with TLS"]),
        ({"server": "udp:", "length": 101}, ["it: expected less"]),
        ({"server": "udp:", "length": 101, "x": 1}, ["it: unknown key 'x'", "it: expected less"]),
        ({"server": "udp:", "mode": True}, ["it.mode: expected one of 0, 1, got True"]),
        ({"server": "udp:", "mode": 1.0}, ["it.mode: expected one of 0, 1, got 1.0"]),
        ({"server": "udp:", "mode": []}, ["it.mode: expected one of 0, 1, got []"]),
    ],
)
def test_rules_that_read_other_options(table, expected):
    """An option that is missing is the problem, and not a rule of another one that reads it."""
    problems = []
    structure(table, Login, "it", problems)
    assert len(problems) == len(expected)
    assert all(map(str.startswith, problems, expected))


def test_lines_of_keys():
    """Strings and arrays of several lines, tables in tables and inline ones have the lines where they begin."""
    lines = key_lines(TEXT)
    assert {
        path: lines[path]
        for path in ("top", "a.b", "a.b.c.d", "a.b.list[1].name", "e[0].sub.k", "e[1].q.r", "e[1].inner[1].z")
    } == {
        "top": 2,
        "a.b": 3,
        "a.b.c.d": 4,
        "a.b.list[1].name": 8,
        "e[0].sub.k": 15,
        "e[1].q.r": 17,
        "e[1].inner[1].z": 21,
    }
    assert "x" not in lines


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        ("e[1].inner[0].missing: expected a value, got nothing", ":18"),
        ("a.b: unknown key 'list', expected one of c", ":8"),
        ("nosuch: unknown table", ""),
        ("not TOML: Cannot overwrite a value (at line 7, column 3)", ":7"),
    ],
)
def test_places_of_problems(problem, line):
    """A missing key has the line of its table, an unknown one its own, and an error of TOML that of the reader."""
    assert with_places("f.toml", TEXT, [problem]) == [f"f.toml{line}: {problem}"]


@attrs.frozen
class Described:
    """A class.

    More.
    """

    size: int = 1
    """How many,
    on two lines."""
    names: list[str] = attrs.field(factory=list)
    """The names."""
    own: str = attrs.Factory(lambda self: "x" * self.size, takes_self=True)
    """From the size."""
    computed: int = attrs.field(init=False, default=5)
    mode: Literal["a", "b"] | None = None
    """One of two."""


@attrs.frozen(kw_only=True)
class Extended(Described):
    """Another one."""

    inner: list[Described]
    """Tables."""


def test_descriptions():
    """Each option has the docstring of its field, its type and its default; those of bases come with inherited."""
    found = [(each.name, each.meaning, each.kind, each.default) for each in options_of(Described)]
    assert found == [
        ("size", "How many, on two lines.", "int", 1),
        ("names", "The names.", "list[str]", []),
        ("own", "From the size.", "str", FROM_OTHERS),
        ("mode", "One of two.", '"a" | "b" | None', None),
    ]
    (inner,) = options_of(Extended)
    assert (inner.name, inner.default, inner.table, inner.is_array) == ("inner", attrs.NOTHING, Described, True)
    assert [each.meaning for each in options_of(Extended, inherited=True)][:1] == ["How many, on two lines."]
    assert sentence(Described) == "A class."


def test_descriptions_of_a_base_that_is_a_part_of_each():
    """The options of such a base are those of the class, in their order."""

    @attrs.frozen(slots=False)
    class Shared:
        is_described_with_each = True

        where: str = ""
        """The place."""

    @attrs.frozen
    class Based(Shared):
        size: int = 1
        """How many."""

    assert [(each.name, each.meaning) for each in options_of(Based)] == [("where", "The place."), ("size", "How many.")]


def test_descriptions_without_a_source():
    """A class whose source is not installed has options without descriptions."""
    made = attrs.make_class("Made", {"size": attrs.field(type=int, default=3)})
    assert [(each.name, each.meaning, each.default) for each in options_of(made)] == [("size", "", 3)]


@pytest.mark.parametrize(
    ("validator", "good", "bad", "expected"),
    [
        (at_least(1), 1, 0, "1 or more, got 0"),
        (at_least(0, "seconds"), 0.0, -1, "0 or more seconds, got -1"),
        (above(0), 0.1, 0, "more than 0, got 0"),
        (above(0, 1), 1, 1.5, "more than 0 and at most 1, got 1.5"),
        (within(0, 100, "percent"), 100, 101, "0 to 100 percent, got 101"),
        (one_of(-1, 1), -1, 0, "one of -1, 1, got 0"),
        (matching("[0-7]+", "an octal mode"), "640", "648", "an octal mode, got '648'"),
        (matching("[0-7]+", "an octal mode"), None, "640\n", "an octal mode, got '640\\n'"),
    ],
)
def test_a_validator_says_what_it_expects(validator, good, bad, expected):
    """The error has the bound, which is an attribute of the validator too."""
    options = attrs.make_class("Options", {"it": attrs.field(validator=validator)}, frozen=True)

    options(good)
    with pytest.raises(ValueError) as caught:
        options(bad)
    assert str(caught.value) == f"it: expected {expected}"
    assert attrs.asdict(validator)
