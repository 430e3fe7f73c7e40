"""The commands of the core."""

from __future__ import annotations

import asyncio
import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final, NoReturn

import attrs
import click
from evframe_options import Setting

from evframe.cli import gateway
from evframe.cli.group import Commands
from evframe.cli.reaching import reach
from evframe.command_line import config_option, print_json, say, settings_option
from evframe.config import read_config_file
from evframe.exceptions import ConfigError, PluginError
from evframe.logs import set_up_logs
from evframe.plugins.compose import compose
from evframe.plugins.manager import PluginStatus

_COLUMNS: Final = ("name", "version", "kind")


def _refuse(error: ConfigError, code: int = 1) -> NoReturn:
    for problem in error.problems:
        say(problem, err=True)
    raise SystemExit(code) from None


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evframe")
def main() -> None:
    """Deliver events to their subscribers."""


@main.command()
@config_option
@settings_option
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What is logged: lines of this level and above.",
)
@click.option("--workers", type=click.IntRange(1, 64), help="How many processes of evframe-workers deliver the events.")
def run(config: str, settings: Sequence[Setting], log_level: str, workers: int | None) -> None:
    """Run the gateway until SIGTERM or SIGINT; SIGHUP loads the configuration again.

    The exit code is 78 when the configuration has a problem, and 1 when an address or a file cannot be used.
    """
    set_up_logs(log_level)
    settings = [*settings, Setting.parse(f"plugins.workers.count={workers}")] if workers else settings
    try:
        gateway.run(config, settings)
    except ConfigError as error:
        _refuse(error, os.EX_CONFIG)
    except (OSError, PluginError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@config_option
@settings_option
@click.option("--connect", is_flag=True, help="Try to reach the target of every subscription.")
def check(config: str, settings: Sequence[Setting], *, connect: bool) -> None:
    """Check a configuration; print every problem with its file, its line and its path.

    A hint, such as an event whose name resembles a declared one, is printed and is no problem.

    Nothing is looked up and no connection is made; with --connect, every target is tried, which brings it
    no event, and the addresses of its names are printed.

    When the file includes others, all files that were read are printed.
    """
    read = read_config_file(config, settings)
    files = [] if read.source is None else read.source.files
    for file in files if len(files) > 1 else ():
        say(f"read {file}")
    composition = compose(read)
    try:
        composition.raise_problems()
    except ConfigError as error:
        _refuse(error)
    for hint in composition.hints:
        say(f"hint: {hint}", err=True)
    gateway.fold_logs(composition)
    findings = asyncio.run(reach(composition)) if connect else []
    for finding in findings:
        say(str(finding), err=finding.problem is not None)
    if any(finding.problem is not None for finding in findings):
        raise SystemExit(1)
    say("ok")


@main.command()
@_json
def plugins(*, as_json: bool) -> None:
    """List the installed plugins: name, version, kind, whether it is loaded, its schemes, events and commands."""
    found = compose().statuses
    if as_json:
        print_json([attrs.asdict(status) for status in found])
        return
    if not found:
        say("no plugin is installed", err=True)
    for line in _table(found):
        say(line)


def _table(plugins: list[PluginStatus]) -> Iterator[str]:
    """Yield a line for each plugin, and below it what it adds, as wide as the terminal."""
    name, version, kind = (max((len(getattr(one, field)) for one in plugins), default=0) for field in _COLUMNS)
    for one in plugins:
        state = "loaded" if one.problem is None else f"not loaded: {one.problem}"
        schemes = " ".join(f"{scheme}:" for scheme in one.schemes)
        yield f"{one.name:{name}}  {one.version:{version}}  {one.kind:{kind}}  {state}  {schemes}".rstrip()
        for title, names in (("events", one.events), ("commands", one.commands)):
            yield from textwrap.wrap(
                f"{title:8}  {' '.join(names)}" if names else "",
                width=shutil.get_terminal_size().columns,
                initial_indent=" " * 4,
                subsequent_indent=" " * 14,
                break_long_words=False,
                break_on_hyphens=False,
            )
