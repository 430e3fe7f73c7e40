"""The command that prints events as they are raised."""

from __future__ import annotations

import logging
import re
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import attrs
import click

from evframe.command_line import say
from evframe_client import Client, ManagementError, ReceivedEvent, Subscription
from evframe_client.commands.columns import has_colours
from evframe_client.commands.connection import complete_events, on_end, with_client
from evframe_client.commands.event_lines import EventLines, Notes, unmatched

_LOOK_S: Final = 1.0
_ANSWER_S: Final = 2.0  # at the end, which does not wait for long


@click.command()
@with_client
@click.option("--json", "as_json", is_flag=True, help="Print each event as its JSON-RPC notification with a time.")
@click.argument("patterns", nargs=-1, metavar="[PATTERN]...", shell_complete=complete_events)
@click.option("--receiver", default="udp", type=click.Choice(["udp", "unix", "tcp"]), help="How events arrive.")
@click.option("--address", help="Address at which the gateway reaches this program.  [default: found out]")
@click.option("--where", metavar="CESQL", help='The events that the gateway sends, such as "code >= 400".')
@click.option("--only", metavar="NAME", multiple=True, help="A parameter that it sends; repeat it for more.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option("--utc", is_flag=True, help="Times in UTC instead of those of this machine.")
@click.option("--no-time", is_flag=True, help="Print no times.")
def watch(  # noqa: PLR0913 the options of the command line
    client: Client,
    patterns: tuple[str, ...],
    receiver: Any,
    *,
    count: int | None,
    as_json: bool,
    utc: bool,
    no_time: bool,
    **how: Any,
) -> None:
    """Print the events of the running gateway that match PATTERN as they are raised.

    Without a PATTERN, and with 'E_*', that is all of them but those that watching brings about itself:
    E_CORE_TCP_DISCONNECT and E_EVFRAME_LEASE_*. At the end, standard error has how many these were, and how many were
    lost as far as that is known.
    """
    on_end(signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    try:
        subscription = client.subscribe(*patterns, receiver=receiver, **how)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--address") from None
    logger = logging.getLogger("evframe.client")
    logger.setLevel(logging.INFO)
    logger.addHandler(Notes())
    lines = EventLines(as_json=as_json, utc=utc, has_time=not no_time, has_colours=has_colours())
    summary = _Summary()
    with suppress(KeyboardInterrupt), subscription:
        for pattern in unmatched(patterns, subscription.names):
            say(f"no event of the gateway matches {pattern!r} so far, see evframe events", err=True)
        try:
            for event in _events(subscription, count):
                summary.events += 1
                click.echo(lines.line(event))  # which is escaped as what it is
        finally:
            summary.ask(client, subscription)
    say(summary.text(subscription), err=True)


def _events(subscription: Subscription, count: int | None) -> Iterator[ReceivedEvent]:
    """Yield at most *count* events, until no process reads the output any more."""
    passed = 0
    while passed != count:
        try:
            event = subscription.get(_LOOK_S)
        except TimeoutError:
            if _is_unread():
                return
        else:
            passed += 1
            yield event


def _is_unread() -> bool:
    """Return whether the output is a pipe whose reader has gone, as `head` does; the next event may be far away."""
    with suppress(AttributeError, OSError, ValueError):  # there is no output where the process began without one
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(events & select.POLLERR for _, events in poll.poll(0))
    return False


@attrs.define
class _Summary:
    """What has arrived, and what has not."""

    events: int = 0
    failed: int = 0
    _began_at: float = attrs.field(factory=time.monotonic)

    def ask(self, client: Client, subscription: Subscription) -> None:
        """Ask the gateway how many events for this subscriber have failed, while it has a lease."""
        pattern = re.sub(r"([*?\[])", r"[\1]", subscription.socket)
        with suppress(ManagementError, LookupError, TypeError, KeyboardInterrupt):
            quick = attrs.evolve(client, timeout_s=_ANSWER_S)
            answer = quick.call("evi:statistics", {"filter": pattern, "limit": 1})
            self.failed = int(answer["Subscribers"][0]["failed"])

    def text(self, subscription: Subscription) -> str:
        """Return the summary in a line."""
        passed = time.monotonic() - self._began_at
        lost = subscription.lost + self.failed
        known = ((subscription.lost, "came too fast"), (self.failed, "failed at the gateway"))
        why = ", ".join(f"{number} {what}" for number, what in known if number)
        line = f"{self.events} event{'s'[: self.events != 1]} in {passed:.0f} s, {lost or 'none'} lost"
        line += f" ({why})" if why else ""
        if subscription.unparsed:
            line += f", {subscription.unparsed} could not be read"
        if subscription.interruptions:
            line += ", and those that were raised while the leases were lost"
        return line
