"""The commands that list the events and the subscribers of a gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from evframe.command_line import print_json
from evframe_client import Client, ManagementError
from evframe_client.answers import reading_answer
from evframe_client.commands.columns import is_wide, print_columns
from evframe_client.commands.connection import with_client

_NO_METHOD: Final = -32601
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@with_client
@_json
def events(client: Client, *, as_json: bool) -> None:
    """List the events of the running gateway, with their parameters.

    Without a terminal the columns are separated by tabs, without a header: id, name, how often it was raised, and
    parameters.
    """
    result = _described(client)
    if as_json:
        print_json(result)
        return
    with reading_answer("evi:describe", "the events of a gateway", result):
        rows = [
            [str(event["id"]), str(event["name"]), str(event.get("raised", "")), _parameters(event.get("params"))]
            for event in result["Events"]
        ]
    print_columns(("ID", "NAME", "RAISED", "PARAMETERS"), rows, numbers=("ID", "RAISED"))


def _described(client: Client) -> Any:
    try:
        return client.call("evi:describe")
    except ManagementError as error:
        if error.code != _NO_METHOD:
            raise
        return client.call("events_list")  # of an OpenSIPS, which declares no parameters


def _parameters(params: list[Mapping[str, Any]] | None) -> str:
    if params is None:
        return ""
    return ", ".join(f"{each['name']}{'?' if each['optional'] else ''}: {each['type']}" for each in params) or "none"


@click.command()
@with_client
@_json
def subscribers(client: Client, *, as_json: bool) -> None:
    """List the subscriptions of the running gateway: state, what waits, and how many seconds each lasts.

    Without a terminal the columns are separated by tabs, without a header: event, state, how many events wait, the
    seconds for which the first one has waited, the seconds that are left, or never, and socket.
    """
    result = client.call("subscribers_list")
    if as_json:
        print_json(result)
        return
    names = ["EVENT", "STATE", "DEPTH", "OLDEST", "LEASE", "SOCKET"]
    with reading_answer("subscribers_list", "a list of subscribers", result):
        rows = list(_rows(result))
    if not is_wide():
        at = names.index("OLDEST")
        for row in (names, *rows):
            del row[at]
    print_columns(names, rows, numbers=("DEPTH", "OLDEST", "LEASE"), red="STATE")


def _rows(result: Any) -> Iterator[list[str]]:
    for event in result["Events"]:
        for each in event["Subscribers"]:
            state = f"away: {each['away']}" if "away" in each else str(each.get("state", ""))
            is_behind = state == "unknown" and "Behind" in each  # in a fleet, where the owner knows how much
            depth = str(each.get("depth", 0 if state and not is_behind else ""))
            if is_behind:
                state = f"behind at {each.get('Owner') or 'no gateway'}"
            oldest = str(each.get("oldest", ""))
            yield [str(event["name"]), state, depth, oldest, str(each.get("ttl", "never")), str(each["socket"])]
