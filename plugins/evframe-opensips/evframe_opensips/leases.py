"""What an instance has of this gateway's leases, and what is to be done about it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from evframe_client import AsyncClient, ManagementError

NEVER: Final = 2**31 - 1
"""What a lease without an end has left, in seconds."""
_AT_ONCE: Final = 8


def listed_events(result: Any) -> list[str]:
    """Return the names in the answer to `events_list`.

    Raises:
        ValueError: if it is no such answer.
    """
    try:
        return [str(event["name"]) for event in result["Events"]]
    except (KeyError, TypeError):
        raise ValueError("events_list: expected a list of events, got another answer") from None


def listed_leases(result: Any, socket: str) -> dict[str, int]:
    """Return the events that *socket* is subscribed to, each with the seconds left, from `subscribers_list`.

    Raises:
        ValueError: if it is no such answer.
    """
    try:
        return {
            str(event["name"]): left
            for event in result["Events"]
            for lease in event["Subscribers"]
            if lease["socket"] == socket and (left := _seconds_left(lease)) > 0
        }
    except (KeyError, TypeError):
        raise ValueError("subscribers_list: expected a list of subscribers, got another answer") from None


def listed_lease(result: Any, socket: str) -> int:
    """Return the seconds that *socket* has left, from `subscribers_list` with an event and this socket; 0 for none.

    The original also finds a socket that *socket* is the beginning of (Q-3).

    Raises:
        ValueError: if it is no such answer.
    """
    try:
        lease = result["Event"]["Subscriber"]
        return _seconds_left(lease) if lease["socket"] == socket else 0
    except (KeyError, TypeError):
        raise ValueError("subscribers_list: expected a subscriber, got another answer") from None


def begins(socket: str, other: str) -> bool:
    """Return whether the original takes *socket* for *other* when it is subscribed.

    That is so for datagrams of the same kind and port when the host, or the path, is the beginning of the other's.
    """
    scheme, _, place = socket.partition(":")
    if scheme == "unix":
        return other != socket and other.startswith(socket)
    host, _, port = place.rpartition(":")
    other_place, _, other_port = other.rpartition(":")
    return scheme == "udp" and port == other_port and other != socket and other_place.startswith(f"udp:{host}")


def beginnings(result: Any, socket: str) -> dict[str, str]:
    """Return the events that a socket is subscribed to which *socket* is the beginning of, each with that one."""
    return {
        str(event["name"]): str(lease["socket"])
        for event in result["Events"]
        for lease in event["Subscribers"]
        if begins(socket, str(lease["socket"]))
    }


def _seconds_left(lease: Mapping[str, Any]) -> int:
    if lease["expire"] == "never":
        return NEVER
    left = lease["ttl"]
    return left if isinstance(left, int) else 0  # the text "expired"


def due(wanted: Iterable[str], left_s: Mapping[str, int], expire_s: int) -> list[str]:
    """Return those of the *wanted* events whose lease is not there, or has less than half of *expire_s* left."""
    return [name for name in wanted if left_s.get(name, 0) * 2 <= expire_s]


class RemoteLeases:
    """The leases of one socket at one instance.

    Every call raises ManagementError when the instance cannot be reached, and ValueError when it
    answers what no bridge expects.

    Args:
        client: of the instance.
        socket: the subscriber's, as the instance gets it.
        expire_s: how long a lease is, in seconds.
    """

    def __init__(self, client: AsyncClient, socket: str, expire_s: int) -> None:
        self.client = client
        self.socket = socket
        self._expire_s = expire_s
        self.taken_for: Mapping[str, str] = {}
        """The events at which the original would take this socket for another one, each with that one."""

    async def events(self) -> list[str]:
        """Return the events that the instance has."""
        return listed_events(await self.client.call("events_list"))

    async def held(self, events: Iterable[str]) -> dict[str, int]:
        """Return the seconds left of each lease that exists; *events* are those that may be."""
        try:
            found = await self.client.call("subscribers_list")
        except ManagementError as error:
            if error.code is None:
                raise
        else:
            left_s = listed_leases(found, self.socket)
            self.taken_for = beginnings(found, self.socket)
            return left_s
        left_s = {}  # that answer was too long for its transport: ask for each
        for name in events:
            try:
                left_s[name] = listed_lease(
                    await self.client.call("subscribers_list", [name, self.socket]), self.socket
                )
            except ManagementError as error:
                if error.code is None:
                    raise
        return {name: seconds for name, seconds in left_s.items() if seconds > 0}

    async def take(self, event: str) -> None:
        """Make or renew a lease; what the instance has against it is a ManagementError with a code."""
        await self.client.call("event_subscribe", [event, self.socket, self._expire_s])

    async def end(self, events: Iterable[str]) -> None:
        """End leases, of events that the instance may not know any more."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def end(name: str) -> None:
            async with gate:
                await self.client.call("event_subscribe", [name, self.socket, 0])

        for outcome in await asyncio.gather(*map(end, events), return_exceptions=True):
            if isinstance(outcome, ManagementError) and outcome.code is not None:
                continue
            if isinstance(outcome, BaseException):
                raise outcome
