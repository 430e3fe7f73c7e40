"""Rules: their times, their files, and the longest prefix."""

import time

import pytest
from evframe_fraud_detection import Rule, RuleBook
from evframe_fraud_detection.rulebook import read_rules
from evframe_fraud_detection.rules import days_of
from hypothesis import given
from hypothesis import strategies as st

import evframe
from evframe.config import parse_config


def at(day, hour):
    """Return a time in the week of Monday, 2 November 2026."""
    return time.strptime(f"2026-11-{2 + day:02} {hour}", "%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("", {0, 1, 2, 3, 4, 5, 6}),
        ("Mon", {0}),
        ("Mon-Fri", {0, 1, 2, 3, 4}),
        ("mon - wed, SUN", {0, 1, 2, 6}),
        ("Sat-Mon", {5, 6, 0}),
        ("Tue-Tue", {1}),
    ],
)
def test_days(text, days):
    """Days are names and ranges, over the end of the week too."""
    assert days_of(text) == days


@pytest.mark.parametrize("text", ["Mo", "Mon-", "-Fri", "Mon,,Fri", "Mon-Tue-Wed", "1-5"])
def test_not_days(text):
    """What names no days is an error with the accepted form."""
    with pytest.raises(ValueError, match="^daysoftheweek: expected days such as 'Mon-Fri,Sun'"):
        Rule(1, 1, daysoftheweek=text)


@pytest.mark.parametrize("text", ["", "9:00", "24:00", "12:60", "12", "1２:00"])
@pytest.mark.parametrize("name", ["start_hour", "end_hour"])
def test_not_an_hour(name, text):
    """What is no time of the day is an error with the accepted form."""
    with pytest.raises(ValueError, match=f"^{name}: expected a time of the day such as '09:00'"):
        Rule(1, 1, **{name: text})


@pytest.mark.parametrize(
    ("start", "end", "days", "inside", "outside"),
    [
        ("00:00", "23:59", "", [(0, "00:00"), (6, "23:59")], []),
        ("09:00", "17:00", "Mon-Fri", [(0, "09:00"), (4, "17:00")], [(0, "08:59"), (0, "17:01"), (5, "12:00")]),
        ("22:00", "05:59", "Fri", [(4, "22:00"), (5, "05:59")], [(4, "05:00"), (5, "06:00"), (5, "22:00")]),
        ("22:00", "05:59", "Sun", [(6, "22:00"), (0, "05:59")], [(6, "05:59"), (0, "22:00")]),
    ],
)
def test_times(start, end, days, inside, outside):
    """A rule holds from its first minute to its last one, over midnight too."""
    book = RuleBook([Rule(1, 1, start_hour=start, end_hour=end, daysoftheweek=days)])
    assert all(book.find(1, "44", at(*when)) for when in inside)
    assert not any(book.find(1, "44", at(*when)) for when in outside)


def test_the_longest_prefix_that_holds():
    """Of the rules that hold the longest prefix counts, of those the first; the others are for other times."""
    book = RuleBook(
        [
            Rule(1, 1, ""),
            Rule(2, 1, "44"),
            Rule(3, 1, "4420", "09:00", "17:00"),
            Rule(4, 1, "4420", "12:00", "20:00"),
            Rule(5, 2, "442"),
        ]
    )

    def found(number, hour):
        return book.find(1, number, at(0, hour)).ruleid

    assert [found("442012", hour) for hour in ("08:00", "10:00", "13:00", "18:00", "21:00")] == [2, 3, 3, 4, 2]
    assert [found(number, "10:00") for number in ("", "4", "44", "4421", "4420")] == [1, 1, 2, 2, 3]
    assert book.find(2, "4421", at(0, "10:00")).ruleid == 5
    assert book.find(2, "44", at(0, "10:00")) is None


def test_no_such_profile():
    """A profile without rules is an error that names those there are, not a silent pass."""
    with pytest.raises(LookupError, match=r"^profile: expected one of \[1, 2\], got 3$"):
        RuleBook([Rule(1, 2), Rule(2, 1)]).find(3, "44", at(0, "10:00"))


@given(st.lists(st.text("12", max_size=4), max_size=12, unique=True), st.lists(st.text("123", max_size=6), min_size=1))
def test_longest_prefix_against_a_walk(prefixes, numbers):
    """The rule found is that of the longest of all prefixes that the number begins with."""
    book = RuleBook([Rule(0, 7, "x"), *(Rule(number, 7, prefix) for number, prefix in enumerate(prefixes, 1))])
    for number in numbers:
        rule = book.find(7, number, at(0, "10:00"))
        wanted = max((prefix for prefix in prefixes if number.startswith(prefix)), key=len, default=None)
        assert (None if rule is None else rule.prefix) == wanted


CSV = """\
ruleid,profileid,prefix,start_hour,end_hour,daysoftheweek,cpm_warning,cpm_critical
1,1,0044,09:00,17:00,"Mon-Fri,Sun",5,10
2,1,,,,,,20
"""
TOML = """\
[[rules]]
ruleid = 1
profileid = 1
prefix = "0044"
start_hour = "09:00"
end_hour = "17:00"
daysoftheweek = "Mon-Fri,Sun"
cpm_warning = 5
cpm_critical = 10

[[rules]]
ruleid = 2
profileid = 1
cpm_critical = 20
"""


@pytest.mark.parametrize(("name", "text"), [("rules.csv", CSV), ("rules.CSV", "\ufeff" + CSV), ("rules.toml", TOML)])
def test_files(tmp_path, name, text):
    """A file of either kind has the columns of the original's table; what is empty is left to the default."""
    path = tmp_path / name
    path.write_text(text)
    assert read_rules(str(path)) == [
        Rule(1, 1, "0044", "09:00", "17:00", "Mon-Fri,Sun", cpm_warning=5, cpm_critical=10),
        Rule(2, 1, cpm_critical=20),
    ]


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("r.csv", "ruleid,prefix\n1,44\n", "expected a first line with columns of"),
        ("r.csv", "ruleid,profileid,colour\n1,1,red\n", "expected a first line with columns of"),
        ("r.csv", "", "expected a first line with columns of"),
        ("r.csv", "ruleid,profileid\n1,1\n2\n", "line 3: expected 2 columns"),
        ("r.csv", "ruleid,profileid\n1,1,1\n", "line 2: expected 2 columns"),
        ("r.csv", "ruleid,profileid,cpm_warning\n1,1,-5\n", "line 2.cpm_warning: expected int, got '-5'"),
        ("r.csv", "ruleid,profileid,prefix\n,1,44\n", "line 2.ruleid: expected"),
        ("r.csv", "ruleid,profileid,start_hour\n1,1,9\n", "start_hour: expected a time of the day"),
        ("r.csv", 'ruleid,profileid\n"1,1\n', "unexpected end of data"),
        ("r.toml", "x = ", "Invalid value"),
        ("r.toml", "rule = []\n", "expected tables [[rules]], got 'rule'"),
        ("r.toml", "[[rules]]\nruleid = 1\n", "profileid: expected"),
        ("r.toml", "[[rules]]\nruleid = 1\nprofileid = 1\nprefix = 44\n", "rules[0].prefix: expected str, got 44"),
        ("r.toml", "[[rules]]\nruleid = 1\nprofileid = 1\ncolour = 1\n", "unknown key 'colour'"),
    ],
)
def test_bad_files(tmp_path, name, text, problem):
    """A file with a problem is an error with the file and the place."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(evframe.ConfigError) as caught:
        read_rules(str(path))
    assert str(caught.value).startswith(f"rules_file: {path}: ")
    assert problem in str(caught.value)


def test_every_problem_of_a_file(tmp_path):
    """All rows with problems are reported at once."""
    path = tmp_path / "r.csv"
    path.write_text("ruleid,profileid,cpm_warning\n1,1,x\n2,1,3\n3,1,y\n")
    with pytest.raises(evframe.ConfigError) as caught:
        read_rules(str(path))
    assert len(caught.value.problems) == 2


def test_no_file(tmp_path):
    """A file that is not there is an error that names it."""
    with pytest.raises(evframe.ConfigError, match="^rules_file: .*nosuch.csv: .*No such file"):
        read_rules(str(tmp_path / "nosuch.csv"))


def test_numbers_are_unique():
    """Two rules with the same number are an error."""
    with pytest.raises(
        evframe.ConfigError, match="^rules: ruleid: expected a number that no other rule has, got 1 again"
    ):
        RuleBook([Rule(1, 1), Rule(1, 2)])


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (
            'rules = [{ ruleid = 1, profileid = 1, start_hour = "9" }]',
            ".rules[0].start_hour: expected a time of the day",
        ),
        ("rules = [{ ruleid = 1, profileid = 1 }, { ruleid = 1, profileid = 1 }]", ".rules: ruleid: expected a number"),
        ('rules_file = "/nosuch.csv"', ".rules_file: /nosuch.csv: "),
        ("max_counters = 0", ".max_counters: expected 1 or more, got 0"),
    ],
)
def test_configuration(table, problem):
    """What is wrong in the configuration is reported with its path, at the check of it."""
    with pytest.raises(evframe.ConfigError) as caught:
        evframe.EventInterface(parse_config(f"[plugins.fraud-detection]\n{table}\n"))
    assert f"plugins.fraud-detection{problem}" in str(caught.value)
