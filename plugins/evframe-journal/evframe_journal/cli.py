"""The command `evframe dead`: the dead letters of a running gateway, over its management interface."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

import click
from evframe_client import Client, ManagementError
from evframe_client.answers import reading_answer
from evframe_client.commands.connection import with_client

from evframe import hookimpl
from evframe.command_line import CommandLine, print_json, say

_NO_METHOD: Final = -32601
_LOOK_S: Final = 0.5
_EVERY: Final = {"socket": "*"}
_COLUMNS: Final = ("id", "at", "event", "socket", "reason", "attempts")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@hookimpl
def register_cli(commands: CommandLine) -> None:
    """Add the command."""
    commands.add(dead)


def _with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the filters that the options name."""

    @click.option("--socket", metavar="PATTERN", help="Of these sockets, such as 'tcp:10.*'.")
    @click.option("--event", metavar="PATTERN", help="Of these events.")
    @click.option("--reason", help="With this reason.")
    @click.option("--older", "older_s", type=click.IntRange(min=0), metavar="SECONDS", help="Failed longer ago.")
    @click.option("--newer", "newer_s", type=click.IntRange(min=0), metavar="SECONDS", help="Failed since then.")
    @wraps(command)
    def run(**options: Any) -> None:
        names = ("socket", "event", "reason", "older_s", "newer_s")
        filters = {name: value for name in names if (value := options.pop(name)) is not None}
        command(filters=filters, **options)

    return run


def _with_letters(command: Callable[..., None]) -> Callable[..., None]:
    """Give *command* the parameters that name letters: by ID, by filters, or all of them."""

    @click.argument("ids", type=click.IntRange(min=1), nargs=-1, metavar="[ID]...")
    @_with_filters
    @click.option("--all", "all_", is_flag=True, help="All letters.")
    @wraps(command)
    def run(*, ids: tuple[int, ...], filters: Mapping[str, Any], all_: bool, **options: Any) -> None:
        if all_ and (ids or filters):
            raise click.UsageError("--all: expected neither IDs nor filters")
        if not (all_ or ids or filters):
            raise click.UsageError("expected IDs, filters or --all")
        command(letters=_EVERY if all_ else {**filters, **({"ids": list(ids)} if ids else {})}, **options)

    return run


@click.group()
def dead() -> None:
    """List, show, replay and drop events that have failed for good."""


@dead.command("list")
@with_client
@_with_filters
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Continue behind this ID.")
@_json
def list_(client: Client, *, filters: Mapping[str, Any], limit: int, after: int, as_json: bool) -> None:
    """List dead letters, the oldest first."""
    with _journal():
        result = client.call("dead_letters:list", {**filters, "limit": limit, "after": after})
    if as_json:
        print_json(result)
        return
    with reading_answer("dead_letters:list", "dead letters", result):
        lines, following = list(_table(result["Letters"])), result["next"]
    for line in lines:
        say(line)
    if following is not None:
        say(f"there may be more: --after {following}", err=True)


@dead.command()
@with_client
@click.argument("id_", type=click.IntRange(min=1), metavar="ID")
@_json
def show(client: Client, *, id_: int, as_json: bool) -> None:
    """Show the dead letter ID with its payload."""
    with _journal():
        result = client.call("dead_letters:show", [id_])
    with reading_answer("dead_letters:show", "a dead letter", result):
        letter = result["Letter"]
        lines = [f"{name:13}{value}" for name, value in letter.items() if name != "params"]  # which the payload has
    if as_json:
        print_json(letter)
        return
    for line in lines:
        say(line)


@dead.command()
@with_client
@_with_letters
@click.option("--rate", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Letters a second.")
@click.option("--to", metavar="SOCKET", help="Send them to this socket.  [default: where they failed]")
@click.option("--no-wait", is_flag=True, help="Do not wait for the end of the replay.")
@_json
def replay(  # noqa: PLR0913 one for each option
    client: Client, *, letters: Mapping[str, Any], rate: int, to: str | None, no_wait: bool, as_json: bool
) -> None:
    """Send dead letters again; each is deleted once its delivery is confirmed.

    Name them by ID, by filters, or with --all. When this command is stopped, the replay continues. The exit code is
    1 when a letter has failed again, or was left.
    """
    with _journal():
        result = client.call("dead_letters:replay", {**letters, "rate": rate, **({} if to is None else {"to": to})})
        progress = _replay(result)
        while not no_wait and progress["state"] == "running":
            time.sleep(_LOOK_S)
            result = client.call("dead_letters:replays")
            with reading_answer("dead_letters:replays", "replays", result):
                known = {each["id"]: each for each in result["Replays"]}
                progress = known.get(progress["id"], {**progress, "state": "gone"})
    if as_json:
        print_json(progress)
    else:
        numbers = {name: progress[name] for name in ("delivered", "failed", "left", "under_way")}
        is_empty = progress["state"] == "over" and not any(numbers.values())
        counts = "no letter found" if is_empty else ", ".join(f"{name} {number}" for name, number in numbers.items())
        say(f"replay {progress['id']} {progress['state']}: {counts}")
        if "problem" in progress:
            say(progress["problem"], err=True)
    if progress["failed"] or progress["left"] or progress["state"] == "gone":
        raise click.exceptions.Exit(1)


def _replay(result: Any) -> Mapping[str, Any]:
    with reading_answer("dead_letters:replay", "a replay", result):
        progress: Mapping[str, Any] = result["Replay"]
        if {"id", "state", "delivered", "failed", "left", "under_way"} <= progress.keys():
            return progress
        raise KeyError


@dead.command()
@with_client
@_with_letters
@click.option("--yes", is_flag=True, help="Do not ask before all letters are dropped.")
@_json
def drop(client: Client, *, letters: Mapping[str, Any], yes: bool, as_json: bool) -> None:
    """Drop dead letters, by ID, by filters, or with --all."""
    if letters == _EVERY and not yes:
        click.confirm("Drop all dead letters?", abort=True, err=True)
    with _journal():
        result = client.call("dead_letters:drop", dict(letters))
    if as_json:
        print_json(result)
    else:
        with reading_answer("dead_letters:drop", "how many were dropped", result):
            line = f"{result['Dropped']} dropped"
        say(line)


@contextmanager
def _journal() -> Iterator[None]:
    """Name what is missing when the gateway has no dead letters."""
    try:
        yield
    except ManagementError as error:
        if error.code != _NO_METHOD:
            raise
        raise click.ClickException("expected a gateway with evframe-journal, which has dead letters") from None


def _table(letters: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for the names of the columns, and one for each letter."""
    rows = [[name.upper() for name in _COLUMNS], *([str(each[name]) for name in _COLUMNS] for each in letters)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
