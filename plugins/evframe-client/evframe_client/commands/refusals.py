"""Why a gateway refused something, in a sentence: its own answers are those of the original, which name no reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from evframe import ConfigError, EventInterface, SocketError
from evframe.plugin import did_you_mean
from evframe_client import Client, ManagementError
from evframe_client.answers import reading_answer
from evframe_client.gateway_leases import listed_events


@contextmanager
def explained(client: Client, event: str, socket: str | None = None) -> Iterator[None]:
    """Add the reason to the error that the gateway answers about *event*, or about subscribing *socket* to it."""
    try:
        yield
    except ManagementError as error:
        reason = None
        if error.code in {400, 404, 480} and error.data is None:
            with suppress(ManagementError, ConfigError):
                reason = _reason(client, event, socket)
        raise (error if reason is None else ManagementError(error.message, error.code, reason)) from None


def _reason(client: Client, event: str, socket: str | None) -> str | None:
    names = listed_events(client.call("events_list"))
    if event not in names:
        return f"expected an event of the gateway, see evframe events, got {event!r}{did_you_mean(event, names)}"
    if socket is None:
        result = client.call("subscribers_list", [event])
        with reading_answer("subscribers_list", "the subscribers of an event", result):
            return None if result["Event"] else f"{event!r} has no subscriber"
    try:
        EventInterface().parse_socket(socket)
    except SocketError as error:
        return str(error)
    return "the log of the gateway has the reason"
