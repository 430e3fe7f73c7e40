"""The command `evframe import-opensips`."""

from __future__ import annotations

from pathlib import Path

import click

from evframe import hookimpl
from evframe.command_line import CommandLine, say
from evframe_import_opensips.conversion import convert


@hookimpl
def register_cli(commands: CommandLine) -> None:
    """Add the command."""
    commands.add(import_opensips)


@click.command("import-opensips")
@click.argument("script", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("-o", "--output", type=click.Path(dir_okay=False), default="-", help="Configuration to write.")
@click.option("--routes-module", metavar="NAME", help="Python module with a function for each event route.")
@click.option("--write-routes", type=click.Path(dir_okay=False), help="New file for that module, with what to write.")
@click.option("--strict", is_flag=True, help="Exit with 1 when something was left out.")
@click.option("--bridge", is_flag=True, help="Keep OpenSIPS: subscribe to its events, and send them from here.")
def import_opensips(  # noqa: PLR0913 one for each option
    *, script: str, output: str, routes_module: str | None, write_routes: str | None, strict: bool, bridge: bool
) -> None:
    """Turn the events part of the OpenSIPS SCRIPT into a configuration.

    What cannot be converted is named on standard error, with its line.
    """
    if bridge and (routes_module is not None or write_routes is not None):
        raise click.UsageError("--bridge: expected no event routes, which stay in OpenSIPS")
    if routes_module is None and write_routes is not None:
        routes_module = Path(write_routes).stem
    if routes_module is not None and not all(part.isidentifier() for part in routes_module.split(".")):
        raise click.BadParameter(f"expected the name of a module, got {routes_module!r}", param_hint="--routes-module")
    try:
        done = convert(script, routes_module=routes_module, bridge=bridge)
        if write_routes is not None:
            with Path(write_routes).open("x", encoding="utf-8") as file:
                file.write(done.routes)
        with click.open_file(output, "w", encoding="utf-8") as file:
            file.write(done.toml)
    except OSError as error:
        raise click.ClickException(str(error)) from None
    for line in (*done.findings, done.summary):
        say(line, err=True)
    if strict and done.findings.left_out:
        raise SystemExit(1)
