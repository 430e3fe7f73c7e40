"""What a distribution adds to the command line."""

from __future__ import annotations

import click


class CommandLine:
    """Handed to `register_cli`: takes the commands of one distribution.

    Args:
        taken: the names of commands that others have.
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
            raise ValueError("expected a command with a name")
        if command.name in self._taken or command.name in self.commands:
            raise ValueError(f"command {command.name!r} exists already")
        self.commands[command.name] = command
