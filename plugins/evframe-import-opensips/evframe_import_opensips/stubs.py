"""A Python module with a function for each event route, which holds the script that it replaces."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Iterable, Mapping

from evframe_import_opensips.findings import one_line
from evframe_import_opensips.statements import EventRoute


def function_name(event: str, events: Iterable[str]) -> str:
    """Return the name of the function for *event*, which is another one than those of the *events* before it."""
    taken: set[str] = set()
    for each in events:
        name = re.sub(r"[^a-z0-9_]", "_", each.lower()) or "_"
        if name[0].isdigit() or keyword.iskeyword(name):
            name = f"_{name}"
        while name in taken:
            name += "_"
        if each == event:
            return name
        taken.add(name)
    raise LookupError(f"expected one of the events, got {event!r}")


def stub_module(script: str, routes: Mapping[str, EventRoute]) -> str:
    """Return the text of a module for the event routes of the file *script*."""
    parts = [f'"""The event routes of {_quoted(script)}: each gets the event that its route got."""\n']
    if routes:
        parts.append("\nfrom evframe import Event\n")
    for event, statement in routes.items():
        what = _quoted(f"{statement.route}, {statement.route.place}")
        parts.append(
            f"\n\ndef {function_name(event, routes)}(event: Event) -> None:\n"
            f'    """Take the place of {what}."""\n'
            f"{_comment(statement.body)}"
            f'    raise NotImplementedError("{what}")\n'
        )
    return "".join(parts)


def _quoted(text: str) -> str:
    """Return *text* as it can stand between quotation marks."""
    return one_line(text).replace("\\", "\\\\").replace('"', '\\"')


def _comment(body: str) -> str:
    lines = textwrap.dedent("\n".join(one_line(line.expandtabs(4)) for line in body.splitlines())).strip("\n")
    return "".join(f"    # {line}".rstrip() + "\n" for line in lines.splitlines())
