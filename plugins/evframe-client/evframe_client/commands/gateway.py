"""The commands that talk to a gateway, over its management interface."""

from __future__ import annotations

import re
from typing import Any, Final

import click
from evframe_wire.reading import read

from evframe import Pairs
from evframe.command_line import say
from evframe_client import Client, ManagementError
from evframe_client.answers import reading_answer
from evframe_client.commands.connection import complete_events, complete_methods, with_client
from evframe_client.commands.layout import print_answer
from evframe_client.commands.refusals import explained

_INVALID_PARAMS: Final = -32602
_NO_METHOD: Final = -32601
_NUMBER: Final = re.compile(r"-[0-9]+(\.[0-9]+)?|-", re.ASCII)


@click.command()
@with_client
@click.argument("event", shell_complete=complete_events)
@click.argument("socket")
@click.option("--expire", type=click.IntRange(min=0), help="Lease in seconds; 0 unsubscribes.")
@click.option("--where", metavar="CESQL", help="The events that it gets, such as \"code >= 400 AND ip LIKE '10.%'\".")
@click.option("--only", metavar="NAME", multiple=True, help="A parameter that it gets; repeat it for more.")
@click.option("--sample", type=float, metavar="SHARE", help="The share of the events that it gets, such as 0.01.")
@click.option("--max-age", "max_age_s", type=float, metavar="SECONDS", help="Drop events that have waited for longer.")
@click.option("--rate", type=float, help="Events a second.")
@click.option("--burst", type=int, help="Events at once after a pause.")
@click.option("--dedup", "dedup_s", type=float, metavar="SECONDS", help="Drop equal events for so long.")
def subscribe(client: Client, event: str, socket: str, expire: int | None, **policy: Any) -> None:
    """Subscribe SOCKET to EVENT. An OpenSIPS takes no options but --expire."""
    wanted = {
        name: list(value) if name == "only" else value for name, value in policy.items() if value not in {None, ()}
    }
    listed = [event, socket] if expire is None else [event, socket, expire]
    named = dict(zip(("event", "socket", "expire"), listed, strict=False)) | wanted
    with explained(client, event, socket):
        say(client.call("event_subscribe", named if wanted else listed))


@click.command("raise")
@with_client
@click.argument("event", shell_complete=complete_events)
@click.argument("pairs", nargs=-1, metavar="[K=V]...")
@click.option("--json", "text", help="The parameters as a JSON object or array.")
@click.option(
    "--until",
    type=click.Choice(["delivered", "stored"]),
    help="Wait until every subscriber has the event, or until it is also safe where it is on disk.",
)
def raise_(client: Client, event: str, pairs: tuple[str, ...], text: str | None, until: str | None) -> None:
    """Raise EVENT with its parameters.

    A value after K= is text, or a number where the event declares one; JSON has every type.
    """
    if text is not None:
        if pairs:
            raise click.BadParameter("expected no other parameters", param_hint="--json")
        params = _params(text)
        with explained(client, event):
            _raise_exactly(client, event, params, text, until)
    else:
        if wrong := [pair for pair in pairs if "=" not in pair]:
            raise click.BadParameter(f"expected name=value, got {wrong[0]!r}", param_hint="K=V")
        named = dict(pair.split("=", 1) for pair in pairs)
        listed = [event, named] if named else [event]
        with explained(client, event):
            if until is None:
                client.call("raise_event", listed)
            else:
                client.call("raise_event", dict(zip(("event", "params"), listed, strict=False)) | {"until": until})
    say("OK")


def _raise_exactly(client: Client, event: str, params: Any, text: str, until: str | None) -> None:
    try:
        client.raise_event(event, params, until=until)
    except ManagementError as error:
        if error.code != _INVALID_PARAMS or until is not None:
            raise
        # An OpenSIPS takes objects as text, and has neither form with exact numbers.
        client.call("raise_event", [event, params if isinstance(params, list) else text])


class _WithNumbers(click.Command):
    """A command whose arguments may be negative numbers, such as levels of OpenSIPS, which are no options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*; behind ``--`` an argument may be anything."""
        ctx.ignore_unknown_options = "--" not in args
        rest = super().parse_args(ctx, args)
        for word in (ctx.params.get("method") or "", *(ctx.params.get("params") or ())):
            if ctx.ignore_unknown_options and word[:1] == "-" and not _NUMBER.fullmatch(word):
                raise click.NoSuchOption(word.partition("=")[0], ctx=ctx)
        return rest


@click.command(cls=_WithNumbers)
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
        print_answer(_call(client, method, _params(text)))
    else:
        named = bool(params) and all("=" in param for param in params)
        print_answer(_call(client, method, dict(param.split("=", 1) for param in params) if named else list(params)))


def _call(client: Client, method: str, params: Any) -> Any:
    try:
        return client.call(method, params)
    except ManagementError as error:
        if error.code != _NO_METHOD:
            raise
        reason = f"expected a command of the gateway, see evframe mi, got {method!r}"
        raise ManagementError(error.message, error.code, reason) from None


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
    for name in _list_of("which", "the names of commands", client.call("which")):
        result = client.call("which", [name])
        for recipe in _list_of("which", "the parameters of a command", result):
            with reading_answer("which", "the parameters of a command", result):
                say(" ".join(map(str, [name, *recipe])))


def _list_of(command: str, expected: str, result: Any) -> list[Any]:
    with reading_answer(command, expected, result):
        if isinstance(result, list):
            return result
        raise TypeError
