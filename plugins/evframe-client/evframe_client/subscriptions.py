"""Events as they are raised: a subscription to a gateway, for threads and for event loops."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, get_args

import attrs
from evframe_wire.messages import NotAnEvent, read_message, reply
from evframe_wire.payload import Pairs

from evframe_client.addresses import Kind, check_address, subscriber_text
from evframe_client.gateway_leases import Call
from evframe_client.leases import Leases
from evframe_client.loop_thread import run
from evframe_client.receivers import Receiver, open_receiver
from evframe_client.sockets import ready

LEASE_S: Final = 60
LOOK_S: Final = 1.0


@attrs.frozen
class ReceivedEvent:
    """One event as it has arrived."""

    name: str
    params: dict[str, Any] | list[Any] | Pairs | None
    """By name or in order, `Pairs` when a name occurs twice; None when it has none."""
    payload: bytes = attrs.field(repr=False)
    """The JSON-RPC notification, or the CloudEvent, as it was on the wire."""
    at: float = attrs.field(factory=time.time, eq=False)
    """When it has arrived, seconds since 1970."""


def parse_event(payload: bytes) -> ReceivedEvent:
    """Return the event of the JSON-RPC notification *payload*, or of a CloudEvent, whose type is the name then.

    Raises:
        ValueError: if it is neither.
    """
    try:
        message = read_message(payload)
    except NotAnEvent as error:
        found = _cloud_event(error.value)
        if found is None:
            raise ValueError(f"expected an event, got {payload[:100]!r}") from None
        return ReceivedEvent(*found, payload)
    return ReceivedEvent(message.method, message.params, payload)


def _cloud_event(value: Any) -> tuple[str, Any] | None:
    """Return the type and the data of a CloudEvent, which a gateway sends where it is configured so."""
    members = dict(value) if isinstance(value, dict | Pairs) else {}
    name, params = members.get("type"), members.get("data")
    if members.get("specversion") != "1.0" or not isinstance(name, str):
        return None
    return (name, params) if params is None or isinstance(params, dict | list | Pairs) else None


def confirmation(payload: bytes) -> bytes:
    """Return the answer to an event that has an id, which a gateway in reliable mode waits for; nothing to others."""
    if b'"id"' in payload:
        with suppress(ValueError):
            message = read_message(payload)  # a CloudEvent has an id, too, and no answer
            if isinstance(message.id, int | str):
                return reply(message.id)
    return b""


def _kind(_: Any, attribute: attrs.Attribute[Kind], value: Kind) -> None:
    if value not in get_args(Kind):
        raise ValueError(f"{attribute.name}: expected {', '.join(get_args(Kind))}, got {value!r}")


def _at_least_a_second(_: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{attribute.name}: expected whole seconds, 1 or more, got {value!r}")


@attrs.frozen
class SubscriptionRequest:
    """What is subscribed, and how."""

    patterns: tuple[str, ...]
    """`fnmatch` patterns of event names; events that are registered later are found too. None match all.

    ``*`` and ``E_*`` leave out what asking for events brings about itself: `E_CORE_TCP_DISCONNECT` and
    `E_EVFRAME_LEASE_*`, which other patterns and their names find."""
    receiver: Kind = attrs.field(validator=_kind)
    """How events arrive: `udp`, `unix` (datagrams too) or `tcp`."""
    address: str | None = attrs.field(converter=attrs.converters.optional(check_address))
    """The local IP address at which the gateway reaches this program; that from which it is reached when left out."""
    lease_s: int = attrs.field(validator=_at_least_a_second)
    """How long the gateway continues to send when this program has died."""
    look_s: float
    """How often new events and lost leases are looked for."""
    where: str | None = None
    """The events that the gateway sends, as an expression in CESQL; an OpenSIPS refuses it, as the next one."""
    only: Sequence[str] = ()
    """The parameters that the gateway sends, by name; none for all."""

    @property
    def policy(self) -> dict[str, Any]:
        """What is asked for with each lease."""
        return {
            **({} if self.where is None else {"where": self.where}),
            **({"only": list(self.only)} if self.only else {}),
        }


class AsyncSubscription(AsyncIterator[ReceivedEvent]):
    """The events that match, received in an `async with` block by iterating; one task keeps the leases.

    Args:
        call: calls a management command of the gateway.
        own_address: returns the local IP address from which the gateway is reached.
        wanted: what is subscribed.
    """

    def __init__(self, call: Call, own_address: Callable[[], Awaitable[str]], wanted: SubscriptionRequest) -> None:
        self._call = call
        self._own_address = own_address
        self._wanted = wanted
        self._receiver: Receiver | None = None
        self._leases: Leases | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._receiving = asyncio.Lock()  # one task at a time waits for the receiver
        self._events: deque[ReceivedEvent] = deque()
        self.unparsed = 0
        """How many payloads were no events."""
        self.lost = 0
        """How many datagrams found no room in the kernel, because events were not taken fast enough."""
        self.socket = ""
        """What is subscribed, ``scheme:address``, once it is."""

    @property
    def names(self) -> tuple[str, ...]:
        """The events that are subscribed now."""
        return self._leases.names if self._leases is not None else ()

    @property
    def interruptions(self) -> int:
        """How often leases were found lost and taken again; what was raised meanwhile has not arrived."""
        return self._leases.interruptions if self._leases is not None else 0

    async def __aenter__(self) -> Self:
        """Subscribe.

        Raises:
            ManagementError: if the gateway cannot be reached, or refuses.
        """
        wanted = self._wanted
        self._receiver = open_receiver(wanted.receiver, wanted.address or await self._own_address())
        self.socket = subscriber_text(wanted.receiver, self._receiver.address)
        patterns = wanted.patterns or ("*",)
        self._leases = Leases(self._call, self.socket, patterns, wanted.lease_s, wanted.look_s, policy=wanted.policy)
        try:
            await self._leases.look()
            self._keeper = asyncio.create_task(self._leases.keep())
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._keeper is not None:
                self._keeper.cancel()
                await asyncio.wait({self._keeper})
            if self._leases is not None:
                await self._leases.leave()
        finally:
            if self._receiver is not None:
                self._receiver.close()
                self._receiver = None

    async def __anext__(self) -> ReceivedEvent:
        if not self._events:
            await asyncio.sleep(0)  # others have their turn even when events never end
        while (event := self.take()) is None:
            await self.wait()
        return event

    def take(self) -> ReceivedEvent | None:
        """Return the next of the events that `wait` has found, or None."""
        with suppress(IndexError):
            return self._events.popleft()
        return None

    async def wait(self) -> None:
        """Wait until an event has arrived.

        Raises:
            RuntimeError: if the subscription has not begun, or has ended.
        """
        async with self._receiving:
            while not self._events:
                if self._receiver is None or self._keeper is None or self._keeper.done():
                    raise RuntimeError("expected a subscription in its `with` block")
                self._receive(self._receiver)
                if not self._events:
                    await ready(self._receiver.fileno(), unless=self._keeper)

    def _receive(self, receiver: Receiver) -> None:
        for payload, connection in receiver.read():
            if connection is not None:
                connection.reply(confirmation(payload))
            try:
                self._events.append(parse_event(payload))
            except ValueError:
                self.unparsed += 1
        self.lost = receiver.lost


class Subscription(Iterator[ReceivedEvent]):
    """The events that match, received in a `with` block by iterating, in any thread."""

    def __init__(self, subscription: AsyncSubscription) -> None:
        self._subscription = subscription

    def __enter__(self) -> Self:
        """Subscribe.

        Raises:
            ManagementError: if the gateway cannot be reached, or refuses.
        """
        try:
            run(self._subscription.__aenter__())
        except BaseException:  # a signal, when leases were there already
            run(self._subscription.__aexit__(None, None, None))
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        run(self._subscription.__aexit__(kind, error, trace))

    def __next__(self) -> ReceivedEvent:
        return self.get()

    def get(self, timeout_s: float | None = None) -> ReceivedEvent:
        """Return the next event.

        Raises:
            TimeoutError: if none has arrived within *timeout_s* seconds.
        """
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        while (event := self._subscription.take()) is None:
            try:
                run(self._wait(ends_at))
            except TimeoutError:
                raise TimeoutError(f"expected an event within {timeout_s} s") from None
        return event

    async def _wait(self, ends_at: float | None) -> None:
        async with asyncio.timeout(None if ends_at is None else max(0.0, ends_at - time.monotonic())):
            await self._subscription.wait()

    @property
    def socket(self) -> str:
        """What is subscribed, ``scheme:address``, once it is."""
        return self._subscription.socket

    @property
    def names(self) -> tuple[str, ...]:
        """The events that are subscribed now."""
        return self._subscription.names

    @property
    def interruptions(self) -> int:
        """How often leases were found lost and taken again; what was raised meanwhile has not arrived."""
        return self._subscription.interruptions

    @property
    def unparsed(self) -> int:
        """How many payloads were no events."""
        return self._subscription.unparsed

    @property
    def lost(self) -> int:
        """How many datagrams found no room in the kernel, because events were not taken fast enough."""
        return self._subscription.lost
