"""The command `evframe schema`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import Any, Final

import attrs
import click

import evframe
from evframe import hookimpl
from evframe.command_line import CommandLine, say
from evframe.plugin import did_you_mean
from evframe_schema.asyncapi import Gateway, Spec, asyncapi_document
from evframe_schema.configuration import configuration_schema
from evframe_schema.events import DIALECT, event_schema, events_schema

_CONFIG_HELP: Final = "Configuration file; without it, the installed plugins with their defaults."
_config = click.option("-c", "--config", "path", type=click.Path(dir_okay=False), help=_CONFIG_HELP)


@hookimpl
def register_cli(commands: CommandLine) -> None:
    """Add the command."""
    commands.add(schema)


@click.group()
def schema() -> None:
    """Describe the configuration, the events and the gateway, for editors and other tools."""


def _print(document: Any) -> None:
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


@schema.command()
def config() -> None:
    """Print the JSON Schema of the configuration, for the plugins that are installed.

    An editor that knows TOML finds it by the first line of the file: #:schema ./evframe.schema.json
    """
    _print(configuration_schema())


@schema.command()
@click.argument("names", nargs=-1)
@_config
def events(*, names: Sequence[str], path: str | None) -> None:
    """Print the JSON Schema of the notifications of events: of all, or of those with the NAMES, which may be patterns.

    The schema of a single name is that of its notification; of others, one schema that has each in $defs.
    """
    found = list(_declared(path)[0].events)
    for name in names:
        if not any(fnmatchcase(event.name, name) for event in found):
            meant = did_you_mean(name, [event.name for event in found])
            raise click.ClickException(f"expected a declared event, got {name!r}{meant}")
    if names:
        found = [event for event in found if any(fnmatchcase(event.name, name) for name in names)]
    is_one = len(names) == 1 and [event.name for event in found] == [*names]
    _print({"$schema": DIALECT, **event_schema(found[0])} if is_one else events_schema(found))


@schema.command()
@_config
@click.option(
    "--spec", type=click.Choice(["3.0", "3.1"]), default="3.0", show_default=True, help="Version of AsyncAPI."
)
def asyncapi(*, path: str | None, spec: Spec) -> None:
    """Print an AsyncAPI document: events, subscribers of the configuration and management commands.

    It is JSON, which every reader of YAML takes too, and has no secret.
    """
    interface, config = _declared(path)
    try:
        gateway = Gateway.of(interface, config, version("evframe"))
    except evframe.SocketError as error:
        raise click.ClickException(str(error)) from None
    _print(asyncapi_document(gateway, spec))


def _declared(path: str | None) -> tuple[evframe.EventInterface, evframe.Config | None]:
    """Return an interface, which is never entered, with what a configuration declares, and the configuration.

    It has no subscription, because a subscriber may make files at once.
    """
    if path is None:
        return evframe.EventInterface(), None
    try:
        config = evframe.load_config(path)
        interface = evframe.EventInterface(attrs.evolve(config, subscriptions=[]))
    except evframe.ConfigError as error:
        for problem in error.problems:
            say(problem, err=True)
        raise SystemExit(1) from None
    known = {event.name for event in interface.events}
    for name in dict.fromkeys(lease.event for lease in config.subscriptions):
        if name not in known:
            interface.register_event(name)
    return interface, config
