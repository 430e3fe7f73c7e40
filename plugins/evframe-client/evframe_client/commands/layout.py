"""Answers of any form, for people: what fits into a line is on one."""

from __future__ import annotations

import json
import shutil
import sys
from textwrap import wrap
from typing import Any, Final

import click
from evframe_wire.visible import is_terminal, visible_json

from evframe.command_line import print_json

_INDENT: Final = 4
_LEAST: Final = 40


def print_answer(value: Any) -> None:
    """Print JSON: laid out for its width on a terminal, else on one line."""
    if is_terminal(sys.stdout):
        click.echo(visible_json(lay_out(value, shutil.get_terminal_size().columns)))
    else:
        print_json(value)


def lay_out(value: Any, width: int) -> str:
    """Return JSON in lines of at most *width* characters, as far as its texts are shorter."""
    return _laid_out(value, width, 0, 0)


def _laid_out(value: Any, width: int, depth: int, used: int) -> str:
    """Return JSON at *depth*, behind as many characters on its first line as *used* says."""
    line = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or depth + used + len(line) < width:
        return line
    inner = depth + _INDENT
    if isinstance(value, dict):
        names = {name: f"{json.dumps(name, ensure_ascii=False)}: " for name in value}
        parts = [text + _laid_out(value[name], width, inner, len(text)) for name, text in names.items()]
    elif any(isinstance(each, dict | list | str) for each in value):
        parts = [_laid_out(each, width, inner, 0) for each in value]
    else:  # numbers
        room = max(_LEAST, width - inner)
        parts = [each.rstrip(",") for each in wrap(line[1:-1], room)]
    margin = "\n" + " " * inner
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    return f"{opening}{margin}{f',{margin}'.join(parts)}\n{' ' * depth}{closing}"
