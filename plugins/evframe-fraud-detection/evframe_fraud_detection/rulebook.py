"""The rules of all profiles: read from a file, and found by the beginning of a number."""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from time import struct_time
from typing import Any, Final

import attrs

from evframe import ConfigError
from evframe.plugin import structure
from evframe_fraud_detection.rules import Rule, days_of, minute_of

COLUMNS: Final = tuple(field.name for field in attrs.fields(Rule))
_TEXTS: Final = {"prefix", "start_hour", "end_hour", "daysoftheweek"}


@attrs.frozen
class _Timed:
    """A rule with its times in numbers."""

    rule: Rule
    first: int
    last: int
    days: frozenset[int]

    @classmethod
    def of(cls, rule: Rule) -> _Timed:
        return cls(rule, minute_of(rule.start_hour), minute_of(rule.end_hour), days_of(rule.daysoftheweek))

    def holds(self, weekday: int, minute: int) -> bool:
        if self.first <= self.last:
            return weekday in self.days and self.first <= minute <= self.last
        since_today = weekday in self.days and minute >= self.first
        return since_today or ((weekday - 1) % 7 in self.days and minute <= self.last)


class _Profile:
    """The rules of one profile, found with one look-up for each length that their prefixes have."""

    def __init__(self) -> None:
        self._by_prefix: dict[str, list[_Timed]] = {}
        self._lengths: list[int] = []

    def add(self, rule: Rule) -> None:
        self._by_prefix.setdefault(rule.prefix, []).append(_Timed.of(rule))
        self._lengths = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    def find(self, number: str, now: struct_time) -> Rule | None:
        weekday, minute = now.tm_wday, now.tm_hour * 60 + now.tm_min
        for length in self._lengths:
            if length <= len(number):
                for timed in self._by_prefix.get(number[:length], ()):
                    if timed.holds(weekday, minute):
                        return timed.rule
        return None


class RuleBook:
    """Rules that do not change.

    Args:
        rules: of all profiles; of two with the same prefix that hold at the same time, the first one counts.

    Raises:
        ConfigError: if two rules have the same number.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._profiles: dict[int, _Profile] = {}
        seen: set[int] = set()
        problems = []
        for rule in rules:
            if rule.ruleid in seen:
                problems.append(f"rules: ruleid: expected a number that no other rule has, got {rule.ruleid} again")
            seen.add(rule.ruleid)
            self._profiles.setdefault(rule.profileid, _Profile()).add(rule)
        if problems:
            raise ConfigError(problems)
        self._count = len(seen)

    def __len__(self) -> int:
        return self._count

    def find(self, profile: int, number: str, now: struct_time) -> Rule | None:
        """Return the rule with the longest prefix of *number* that holds *now*; None when there is none.

        Raises:
            LookupError: if no rule is of *profile*.
        """
        rules = self._profiles.get(profile)
        if rules is None:
            raise LookupError(f"profile: expected one of {sorted(self._profiles)}, got {profile!r}")
        return rules.find(number, now)


def read_rules(path: str) -> list[Rule]:
    """Return the rules in the file *path*: CSV when its name ends so, else TOML with tables ``[[rules]]``.

    Raises:
        ConfigError: with every problem, each with the file and its place there.
    """
    problems: list[str] = []
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        rules = _from_csv(path, text, problems) if path.lower().endswith(".csv") else _from_toml(path, text, problems)
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError([f"rules_file: {path}: {error}"]) from None
    if problems:
        raise ConfigError(problems)
    return rules


def _from_toml(path: str, text: str, problems: list[str]) -> list[Rule]:
    table = tomllib.loads(text)
    problems += [f"rules_file: {path}: expected tables [[rules]], got {key!r}" for key in table if key != "rules"]
    return structure(table.get("rules", []), list[Rule], f"rules_file: {path}: rules", problems) or []


def _from_csv(path: str, text: str, problems: list[str]) -> list[Rule]:
    reader = csv.DictReader(text.splitlines(), strict=True)
    names = reader.fieldnames or []
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or not {"ruleid", "profileid"} <= set(names):
        problems.append(f"rules_file: {path}: expected a first line with columns of {list(COLUMNS)}, got {list(names)}")
        return []
    rules = []
    for row in reader:
        place = f"rules_file: {path}: line {reader.line_num}"
        if None in row or None in row.values():
            problems.append(f"{place}: expected {len(names)} columns")
            continue
        rules.append(structure(_typed(row), Rule, place, problems))
    return rules


def _typed(row: Mapping[str, str]) -> dict[str, Any]:
    """Return the cells of a row with numbers where they belong; empty ones are left out."""
    return {
        name: int(cell) if name not in _TEXTS and cell.isascii() and cell.isdigit() else cell
        for name, cell in row.items()
        if cell
    }
