"""A configuration that is being made: its entries, where each comes from, and its TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any, Final

import attrs

from evframe_import_opensips.findings import Findings, one_line
from evframe_import_opensips.tokens import Place

_HIDDEN: Final = re.compile(r"[^ -~]")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")


@attrs.define(eq=False)
class Entry:
    """Something that stands in the configuration, as a comment when *refused* says why."""

    place: Place
    values: dict[str, Any]
    refused: str | None = None

    @property
    def origin(self) -> str:
        """Where it comes from, and why it is a comment."""
        return one_line(f"{self.place}{'' if self.refused is None else f': {self.refused}'}")

    def lines(self, head: str = "") -> list[str]:
        """Return its TOML, below *head*."""
        texts = [f"{_key(name)} = {value_text(value)}" for name, value in self.values.items()]
        mark = "" if self.refused is None else "# "
        return [f"{mark}{text}" for text in ([head, *texts] if head else texts)]


@attrs.define
class Document:
    """What the configuration will hold."""

    plugins: dict[str, dict[str, Entry]] = attrs.field(factory=dict)
    """The options of each plugin, each an entry with one value under its own name."""
    tables: dict[str, dict[str, list[Entry]]] = attrs.field(factory=dict)
    """The lists of tables of each plugin, such as the connections of a consumer."""
    events: dict[str, Entry] = attrs.field(factory=dict)
    subscriptions: list[Entry] = attrs.field(factory=list)
    routes: dict[str, Entry] = attrs.field(factory=dict)
    """Event routes by event, each an entry with one value under the event's name."""
    packages: set[str] = attrs.field(factory=set)
    """The plugins that it needs, by their names."""

    @property
    def summary(self) -> str:
        """How many entries there are of each kind."""
        options = [entry for table in self.plugins.values() for entry in table.values()]
        options += [entry for lists in self.tables.values() for entries in lists.values() for entry in entries]
        kinds: dict[str, Collection[Entry]] = {
            "options": options,
            "events": self.events.values(),
            "subscriptions": self.subscriptions,
            "routes": self.routes.values(),
        }
        counts = {kind: sum(entry.refused is None for entry in entries) for kind, entries in kinds.items()}
        return ", ".join(f"{kind}: {count}" for kind, count in counts.items())


def to_toml(document: Document, script: str, findings: Findings) -> str:
    """Return the text of a configuration that was made from the file *script*."""
    packages = ["evframe", *(f"evframe-{name}" for name in sorted(document.packages))]
    lines = [
        f"# Made from {one_line(script)} by evframe import-opensips.",
        f"# It needs the packages {' '.join(packages)}.",
    ]
    if findings.left_out:
        lines += ["#", "# What is missing here:"]
        lines += [f"#   {one_line(str(each.place))}: {each.text}" for each in findings if each.left_out]
    for name in dict.fromkeys([*document.plugins, *document.tables]):
        lines += _table(f"[plugins.{name}]", document.plugins.get(name, {}).values())
        for option, entries in document.tables.get(name, {}).items():
            for entry in entries:
                lines += ["", f"# {entry.origin}", *entry.lines(f"[[plugins.{name}.{option}]]")]
    for entry in document.events.values():
        lines += ["", f"# {entry.origin}", *entry.lines("[[events]]")]
    for entry in document.subscriptions:
        lines += ["", f"# {entry.origin}", *entry.lines("[[subscriptions]]")]
    lines += _table("[routes]", document.routes.values())
    return "\n".join(lines) + "\n"


def _table(head: str, entries: Collection[Entry]) -> Iterator[str]:
    """Yield a table whose entries stand on a line each; a comment when all of them do."""
    if entries:
        yield ""
        yield head if any(entry.refused is None for entry in entries) else f"# {head}"
    for entry in entries:
        yield from (f"{line}  # {entry.origin}" for line in entry.lines())


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else value_text(name)


def value_text(value: str | int | list[str]) -> str:
    """Return a text, a number, a switch or a list of texts as TOML.

    Raises:
        ValueError: if a text is not UTF-8.
    """
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    if not isinstance(value, str):
        return str(value).lower()
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"expected UTF-8, got {one_line(value)!r}") from None
    # JSON's escapes are those of TOML, but for characters beyond 16 bits.
    return _HIDDEN.sub(_escaped, json.dumps(value, ensure_ascii=False))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return found[0] if found[0].isprintable() else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
