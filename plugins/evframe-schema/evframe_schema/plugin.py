"""The command `evframe schema`."""

from __future__ import annotations

import json
from typing import Any

import click

from evframe import hookimpl
from evframe.command_line import CommandLine
from evframe_schema.configuration import configuration_schema


@hookimpl
def register_cli(commands: CommandLine) -> None:
    """Add the command."""
    commands.add(schema)


@click.group()
def schema() -> None:
    """Describe the configuration, or the events, for editors and other tools."""


def _print(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@schema.command()
def config() -> None:
    """Print the JSON Schema of the configuration, for the plugins that are installed.

    An editor that knows TOML finds it by the first line of the file: #:schema ./evframe.schema.json
    """
    _print(configuration_schema())
