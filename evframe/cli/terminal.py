"""What the command line prints: nothing from outside may move the cursor, change colours or forge a line."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from evframe_wire.visible import visible, visible_json


def say(text: str, *, err: bool = False) -> None:
    """Print *text* on one line."""
    click.echo(visible(str(text)), err=err)


def print_json(value: Any) -> None:
    """Print JSON: with a line for each value on a terminal, else on one line."""
    click.echo(visible_json(json.dumps(value, ensure_ascii=False, indent=4 if sys.stdout.isatty() else None)))
