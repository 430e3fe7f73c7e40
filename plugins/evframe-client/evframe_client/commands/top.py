"""The command that shows the subscribers of a gateway again and again."""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Final

import attrs
import click
from evframe_wire.visible import is_terminal, visible_json

from evframe.command_line import say
from evframe_client import Client, ManagementError
from evframe_client.commands.connection import on_end, with_client
from evframe_client.commands.rows import COLUMNS, STATES, Query, Sample
from evframe_client.commands.samples import Sampler

_ANSWER_S: Final = 5.0  # for a terminal that a person looks at
_MOST_S: Final = 86400.0
_ORDERS: Final = [*COLUMNS, *(f"-{column}" for column in COLUMNS)]


@click.command()
@with_client
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(0.05, _MOST_S),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two samples.",
)
@click.option(
    "--sort",
    "order",
    type=click.Choice(_ORDERS, case_sensitive=False),
    default="socket",
    show_default=True,
    metavar="COLUMN",
    help=f"Sort by {', '.join(COLUMNS)}; -COLUMN for the highest first.",
)
@click.option("--filter", "pattern", metavar="GLOB", help="Only sockets that match, such as 'tcp:10.*'.")
@click.option(
    "--state", type=click.Choice(STATES), metavar="STATE", help=f"Only subscribers that are {', '.join(STATES)}."
)
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="The first N rows.  [default: all, or what fits]"
)
@click.option("--once", is_flag=True, help="Print one table, and end.")
@click.option("--no-rate", is_flag=True, help="With --once: print the first sample, which has no rates.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line for each sample.")
def top(  # noqa: PLR0913 the options of the command line
    client: Client,
    *,
    interval_s: float,
    order: str,
    pattern: str | None,
    state: str | None,
    limit: int | None,
    once: bool,
    no_rate: bool,
    as_json: bool,
) -> None:
    """Show the subscribers of the running gateway, what waits for each, and the events a second.

    On a terminal the table is renewed until q or Ctrl-C; without one it is printed once.
    Keys sort and filter, as its last line shows. What the gateway does not report is blank.
    """
    if math.isnan(interval_s):
        raise click.BadParameter("expected seconds, got nan", param_hint="--interval")
    streams = as_json and not once
    is_live = not as_json and not once and _is_terminal()
    if not as_json:
        _require_rich()
    if is_live:
        client = attrs.evolve(client, timeout_s=_ANSWER_S)
    sampler = Sampler(client.call, Query(order, pattern, state, limit))
    if not streams and not is_live:
        sample = _last(sampler, interval_s, no_rate=no_rate)
        if as_json:
            _print_line(sample)
        else:
            _print_table(sample, sampler.query.column)
        return
    on_end(lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    with suppress(KeyboardInterrupt):
        if streams:
            _print_lines(sampler, interval_s)
        else:
            _show(client, sampler, interval_s)


def _is_terminal() -> bool:
    return (
        is_terminal(sys.stdin) and is_terminal(sys.stdout) and os.environ.get("TERM", "") not in {"", "dumb", "unknown"}
    )


def _last(sampler: Sampler, interval_s: float, *, no_rate: bool) -> Sample:
    first = sampler.sample()
    if no_rate:
        return first
    time.sleep(interval_s)
    return sampler.sample()


def _print_line(sample: Sample) -> None:
    click.echo(visible_json(json.dumps(sample.as_json(), ensure_ascii=False)))


def _print_lines(sampler: Sampler, interval_s: float) -> None:
    _print_line(sampler.sample())
    while True:
        time.sleep(interval_s)
        try:
            sample = sampler.sample()
        except ManagementError as error:
            say(str(error), err=True)
        else:
            _print_line(sample)


def _print_table(sample: Sample, column: str) -> None:
    from evframe_client.commands.screen import console  # noqa: PLC0415 the other commands start without it
    from evframe_client.commands.table import print_table  # noqa: PLC0415 as above

    print_table(sample, column, console())


def _show(client: Client, sampler: Sampler, interval_s: float) -> None:
    from evframe_client.commands.screen import console, show  # noqa: PLC0415 as above

    show(sampler, client.shown, interval_s, console())


def _require_rich() -> None:
    try:
        import rich.live  # noqa: F401, PLC0415 as above
    except ImportError:
        raise click.ClickException('expected rich, pip install "evframe-client[commands]"') from None
