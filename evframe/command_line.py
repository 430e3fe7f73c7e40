"""Commands that distributions add to the command line, and the output of commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import click
from evframe_options import Setting
from evframe_wire.visible import is_terminal, visible, visible_json

DEFAULT_CONFIG: Final = "/etc/evframe/evframe.toml"
"""The configuration of a gateway whose command line names none."""
CONFIG_VARIABLE: Final = "EVFRAME_CONFIG"
"""The environment variable that names another one."""


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


def _settings(context: click.Context, parameter: click.Parameter, texts: Sequence[str]) -> list[Setting]:
    try:
        return [Setting.parse(text) for text in texts]
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


_FILE: Final = click.Path(dir_okay=False, readable=False)  # reading it says why it cannot be read
_CONFIG_HELP: Final = f"Configuration file.  [env var: {CONFIG_VARIABLE}]"
config_option = click.option(
    "-c", "--config", envvar=CONFIG_VARIABLE, default=DEFAULT_CONFIG, show_default=True, type=_FILE, help=_CONFIG_HELP
)
"""The option of a command that reads a whole configuration."""
_SET_HELP: Final = "Replace an option of the file, as in core.queue_size=1000; repeat it for more."
settings_option = click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, callback=_settings, help=_SET_HELP
)
"""The option whose values, instances of `evframe_options.Setting`, replace those of the file."""


def say(text: str, *, err: bool = False) -> None:
    """Print *text* on one line, escaped so that it cannot move the cursor, change colours or forge a line."""
    click.echo(visible(str(text)), err=err)


def print_json(value: Any) -> None:
    """Print JSON: with a line for each value on a terminal, else on one line."""
    click.echo(visible_json(json.dumps(value, ensure_ascii=False, indent=4 if is_terminal(sys.stdout) else None)))
