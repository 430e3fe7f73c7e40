"""The leases of one subscriber socket as a gateway, or an OpenSIPS, lists and takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from evframe_client.answers import reading_answer
from evframe_client.protocol import ManagementError, Params

Call = Callable[[str, Params | None], Awaitable[Any]]
"""Calls a management command, as `AsyncClient.call` does."""
NEVER: Final = 2**31 - 1
"""What a lease without an end has left, in seconds."""
_NO_SUCH_SUBSCRIBER: Final = 404
_AT_ONCE: Final = 8


class GatewayLeases:
    """The leases of one socket at one gateway.

    Every call raises `ManagementError`: with a code when the gateway refuses, without one when it does not answer,
    or not as a gateway does.

    Args:
        call: calls a management command of the gateway.
        socket: the subscriber, ``scheme:address``.
        lease_s: how long a lease is, in whole seconds.
        policy: what else is asked for with each lease, such as ``where``; an OpenSIPS refuses it.
    """

    def __init__(self, call: Call, socket: str, lease_s: int, policy: Mapping[str, Any] | None = None) -> None:
        self.call = call
        self.socket = socket
        self.lease_s = lease_s
        self._policy = policy or {}
        self.taken_for: Mapping[str, str] = {}
        """The events at which the original would take this socket for another one, each with that one."""

    async def events(self) -> list[str]:
        """Return the events that the gateway has."""
        return listed_events(await self.call("events_list", None))

    async def held(self, events: Iterable[str]) -> dict[str, int]:
        """Return the seconds left of each lease that exists; *events* are those that may be."""
        try:
            found = await self.call("subscribers_list", None)
        except ManagementError as error:
            if error.code is None:
                raise
            # That answer was too long for its transport: ask for each.
            left_s = {name: await self.left_s(name) for name in events}
            return {name: seconds for name, seconds in left_s.items() if seconds}
        held = listed_leases(found, self.socket)
        self.taken_for = beginnings(found, self.socket)
        return held

    async def left_s(self, event: str) -> int:
        """Return the seconds left of the lease on *event*; 0 if there is none."""
        try:
            return listed_lease(await self.call("subscribers_list", [event, self.socket]), self.socket)
        except ManagementError as error:
            if error.code is None or error.code != _NO_SUCH_SUBSCRIBER:
                raise
            return 0

    async def take(self, event: str) -> None:
        """Take or renew a lease."""
        if self._policy:
            named = {"event": event, "socket": self.socket, "expire": self.lease_s, **self._policy}
            await self.call("event_subscribe", named)
        else:
            await self.call("event_subscribe", [event, self.socket, self.lease_s])

    async def end(self, event: str) -> None:
        """End a lease, of an event that the gateway may not know any more."""
        try:
            await self.call("event_subscribe", [event, self.socket, 0])
        except ManagementError as error:
            if error.code is None:
                raise

    async def end_all(self, events: Iterable[str]) -> None:
        """End leases, several at a time."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def end(event: str) -> None:
            async with gate:
                await self.end(event)

        for outcome in await asyncio.gather(*map(end, events), return_exceptions=True):
            try:
                if isinstance(outcome, BaseException):
                    raise outcome
            finally:
                del outcome  # the traceback of the error has this frame, and would form a cycle


def listed_events(result: Any) -> list[str]:
    """Return the names in the answer to `events_list`."""
    with reading_answer("events_list", "the events of a gateway", result):
        return [str(event["name"]) for event in result["Events"]]


def listed_leases(result: Any, socket: str) -> dict[str, int]:
    """Return the events that *socket* is subscribed to, each with the seconds left, from `subscribers_list`."""
    with reading_answer("subscribers_list", "a list of subscribers", result):
        return {
            str(event["name"]): left
            for event in result["Events"]
            for lease in event["Subscribers"]
            if lease["socket"] == socket and (left := _seconds_left(lease)) > 0
        }


def listed_lease(result: Any, socket: str) -> int:
    """Return the seconds that *socket* has left, from `subscribers_list` with an event and this socket; 0 for none.

    The original also finds a socket that *socket* is the beginning of (Q-3).
    """
    with reading_answer("subscribers_list", "a subscriber", result):
        lease = result["Event"]["Subscriber"]
        return max(0, _seconds_left(lease)) if lease["socket"] == socket else 0


def _seconds_left(lease: Mapping[str, Any]) -> int:
    if lease["expire"] == "never":
        return NEVER
    left = lease["ttl"]
    return left if isinstance(left, int) else 0  # the text "expired"


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
    with reading_answer("subscribers_list", "a list of subscribers", result):
        return {
            str(event["name"]): str(lease["socket"])
            for event in result["Events"]
            for lease in event["Subscribers"]
            if begins(socket, str(lease["socket"]))
        }
