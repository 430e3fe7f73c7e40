"""The commands of the core, and those that talk to a gateway."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, NoReturn

import attrs
import click
from evframe_wire.payload import Pairs
from evframe_wire.reading import read

from evframe.cli import gateway
from evframe.cli.group import Commands
from evframe.cli.reaching import reach
from evframe.cli.terminal import Notes, print_json, say
from evframe.client import Client, ManagementError
from evframe.connecting import complete_events, complete_methods, with_client
from evframe.exceptions import ConfigError, PluginError
from evframe.explaining import explained
from evframe.interface import EventInterface
from evframe.logs import set_up_logs
from evframe.plugins import PluginStatus
from evframe.watching import lines, unmatched

_INVALID_PARAMS: Final = -32602
_COLUMNS: Final = ("name", "version", "kind")


def _refuse(error: ConfigError) -> NoReturn:
    for problem in error.problems:
        say(problem, err=True)
    raise SystemExit(1) from None


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="evframe")
def main() -> None:
    """Deliver events to their subscribers."""


@main.command()
@click.option("-c", "--config", required=True, type=click.Path(dir_okay=False), help="Configuration file.")
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="What is logged: lines of this level and above.",
)
def run(config: str, log_level: str) -> None:
    """Run the gateway until SIGTERM or SIGINT; SIGHUP loads the configuration again."""
    set_up_logs(log_level)
    try:
        gateway.run(config)
    except ConfigError as error:
        _refuse(error)
    except (OSError, PluginError) as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.option("-c", "--config", required=True, type=click.Path(dir_okay=False), help="Configuration file.")
@click.option("--connect", is_flag=True, help="Try to reach the target of every subscription.")
def check(config: str, *, connect: bool) -> None:
    """Check a configuration; print every problem with its file, its line and its path.

    A hint, such as an event whose name resembles a declared one, is printed and is no problem.

    Nothing is looked up and no connection is made; with --connect, every target is tried, which brings it
    no event, and the addresses of its names are printed.
    """
    try:
        interface = EventInterface.from_toml(config)
    except ConfigError as error:
        _refuse(error)
    for hint in interface.hints:
        say(f"hint: {hint}", err=True)
    gateway.fold_logs(interface)
    findings = asyncio.run(reach(interface)) if connect else []
    for finding in findings:
        say(str(finding), err=finding.problem is not None)
    if any(finding.problem is not None for finding in findings):
        raise SystemExit(1)
    say("ok")


@main.command()
@_json
def plugins(*, as_json: bool) -> None:
    """List the installed plugins: name, version, kind, whether it is loaded, its schemes, events and commands."""
    interface = EventInterface()
    if as_json:
        print_json([attrs.asdict(status) for status in interface.plugin_status])
        return
    if not interface.plugin_status:
        say("no plugin is installed", err=True)
    for line in _table(interface.plugin_status):
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


@main.command()
@with_client
@_json
def events(client: Client, *, as_json: bool) -> None:
    """List the events of the running gateway."""
    result = client.call("events_list")
    if as_json:
        print_json(result)
        return
    for event in result["Events"]:
        say(f"{event['id']:4} {event['name']}")


@main.command()
@with_client
@_json
def subscribers(client: Client, *, as_json: bool) -> None:
    """List the subscribers of the running gateway."""
    result = client.call("subscribers_list")
    if as_json:
        print_json(result)
        return
    for event in result["Events"]:
        for subscriber in event["Subscribers"]:
            left = f"{subscriber['ttl']} s" if "ttl" in subscriber else "never ends"
            state = f"away: {subscriber['away']}" if "away" in subscriber else subscriber.get("state", "unknown")
            say(f"{event['name']:32} {subscriber['socket']:48} {left}, {state}")


@main.command()
@with_client
@click.argument("event", shell_complete=complete_events)
@click.argument("socket")
@click.option("--expire", type=click.IntRange(min=0), help="Lease in seconds; 0 unsubscribes.")
def subscribe(client: Client, event: str, socket: str, expire: int | None) -> None:
    """Subscribe SOCKET to EVENT."""
    with explained(client, event, socket):
        say(client.call("event_subscribe", [event, socket] if expire is None else [event, socket, expire]))


@main.command("raise")
@with_client
@click.argument("event", shell_complete=complete_events)
@click.argument("pairs", nargs=-1, metavar="[K=V]...")
@click.option("--json", "text", help="The parameters as a JSON object or array.")
def raise_(client: Client, event: str, pairs: tuple[str, ...], text: str | None) -> None:
    """Raise EVENT with its parameters.

    A value after K= is text, or a number where the event declares one; JSON has every type.
    """
    if text is not None:
        if pairs:
            raise click.BadParameter("expected no other parameters", param_hint="--json")
        params = _params(text)
        with explained(client, event):
            _raise_exactly(client, event, params, text)
    else:
        if any("=" not in pair for pair in pairs):
            raise click.BadParameter("expected name=value", param_hint="K=V")
        named = dict(pair.split("=", 1) for pair in pairs)
        with explained(client, event):
            client.call("raise_event", [event, named] if named else [event])
    say("OK")


def _raise_exactly(client: Client, event: str, params: Any, text: str) -> None:
    try:
        client.raise_event(event, params)
    except ManagementError as error:
        if error.code != _INVALID_PARAMS:
            raise
        # An OpenSIPS takes objects as text, and has neither form with exact numbers.
        client.call("raise_event", [event, params if isinstance(params, list) else text])


@main.command()
@with_client
@click.argument("method", required=False, shell_complete=complete_methods)
@click.argument("params", nargs=-1)
@click.option("--json", "text", help="The parameters as a JSON object or array.")
def mi(client: Client, method: str | None, params: tuple[str, ...], text: str | None) -> None:
    """Call the management command METHOD; k=v for every parameter passes them by name.

    Without METHOD, list the commands, each with the parameters that it takes.
    """
    if method is None:
        _list_commands(client)
    elif text is not None:
        if params:
            raise click.BadParameter("expected no other parameters", param_hint="--json")
        print_json(client.call(method, _params(text)))
    else:
        named = bool(params) and all("=" in param for param in params)
        print_json(client.call(method, dict(param.split("=", 1) for param in params) if named else list(params)))


def _params(text: str) -> Any:
    """Return the parameters that *text* holds."""
    try:
        params = read(text.encode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise click.BadParameter(f"expected JSON: {error}", param_hint="--json") from None
    if not isinstance(params, dict | list | Pairs):
        raise click.BadParameter(f"expected a JSON object or array, got {text}", param_hint="--json")
    return params


def _list_commands(client: Client) -> None:
    for name in client.call("which"):
        for recipe in client.call("which", [name]):
            say(" ".join([name, *recipe]))


@main.command()
@with_client
@_json
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_events)
@click.option("--receiver", default="udp", type=click.Choice(["udp", "unix", "tcp"]), help="How events arrive.")
@click.option("--address", help="Address at which the gateway reaches this program.  [default: found out]")
def watch(client: Client, patterns: tuple[str, ...], receiver: Any, address: str | None, *, as_json: bool) -> None:
    """Print the events of the running gateway that match PATTERN as they are raised.

    Without a PATTERN, and with 'E_*', that is all of them but those that watching brings about itself:
    E_CORE_TCP_DISCONNECT and E_EVFRAME_LEASE_*.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    try:
        subscription = client.subscribe(*patterns, receiver=receiver, address=address)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from None
    logger = logging.getLogger("evframe.client")
    logger.setLevel(logging.INFO)
    logger.addHandler(Notes())
    with suppress(KeyboardInterrupt), subscription:
        for pattern in unmatched(patterns, subscription.names):
            say(f"no event of the gateway matches {pattern!r} so far, see evframe events", err=True)
        for line in lines(subscription, as_json=as_json):
            click.echo(line)  # which is escaped as what it is
    for count, what in ((subscription.unparsed, "could not be read"), (subscription.lost, "came too fast")):
        if count:
            say(f"{count} events {what}", err=True)
