"""Commands that distributions add to the command line, and the output of commands."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from evframe_wire.visible import visible, visible_json


class CommandLine:
    """Handed to `register_cli`: takes the commands of one distribution.

    Args:
        taken: the names of the commands that exist already.
    """

    def __init__(self, taken: set[str]) -> None:
        self._taken = taken
        self.commands: dict[str, click.Command] = {}

    def add(self, command: click.Command) -> None:
        """Add a command.

        Raises:
            ValueError: if it has no name, or that of another command.
        """
        if command.name is None:
            raise ValueError("name: expected a command with a name, got None")
        if command.name in self._taken or command.name in self.commands:
            raise ValueError(f"name: expected that of a new command, got {command.name!r}, which exists already")
        self.commands[command.name] = command


def say(text: str, *, err: bool = False) -> None:
    """Print *text* on one line, escaped so that it cannot move the cursor, change colours or forge a line."""
    click.echo(visible(str(text)), err=err)


def print_json(value: Any) -> None:
    """Print JSON: with a line for each value on a terminal, else on one line."""
    click.echo(visible_json(json.dumps(value, ensure_ascii=False, indent=4 if sys.stdout.isatty() else None)))
