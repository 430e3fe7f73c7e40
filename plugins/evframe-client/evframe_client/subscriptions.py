"""Events as they are raised: a subscription to a gateway, for threads and for event loops."""

from __future__ import annotations

import asyncio
import math
import select
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, get_args

import attrs
from evframe_wire.payload import Pairs

from evframe_client.leases import Call, Keeping, Leases
from evframe_client.problems import told
from evframe_client.protocol import ManagementError, decode
from evframe_client.receivers import Kind, Receiver, check_address, open_receiver, own_address
from evframe_client.steps import Pause, ready, run, run_async
from evframe_client.urls import parse_url

if TYPE_CHECKING:
    from evframe_client.clients import AsyncClient, Client

LEASE_S: Final = 60
LOOK_S: Final = 1.0


@attrs.frozen
class ReceivedEvent:
    """One event as it has arrived."""

    name: str
    params: dict[str, Any] | list[Any] | Pairs | None
    """By name or in order, `Pairs` when a name occurs twice; None when it has none."""
    payload: bytes = attrs.field(repr=False)
    """The JSON-RPC notification as it was on the wire."""


def parse_event(payload: bytes) -> ReceivedEvent:
    """Return the event of the JSON-RPC notification *payload*.

    Raises:
        ValueError: if it is none.
    """
    message = decode(payload)
    members = dict(message) if isinstance(message, dict | Pairs) else {}
    name, params = members.get("method"), members.get("params")
    if not isinstance(name, str) or not isinstance(params, dict | list | Pairs | None):
        raise ValueError(f"expected an event, got {payload[:100]!r}")  # noqa: TRY004 what arrived is wrong, not a type
    return ReceivedEvent(name, params, payload)


def _kind(_: Any, attribute: attrs.Attribute[Kind], value: Kind) -> None:
    if value not in get_args(Kind):
        raise ValueError(f"{attribute.name}: expected {', '.join(get_args(Kind))}, got {value!r}")


def _at_least_a_second(_: Any, attribute: attrs.Attribute[int], value: int) -> None:
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"{attribute.name}: expected whole seconds, 1 or more, got {value!r}")


@attrs.frozen
class Wanted:
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


class _Base:
    """What both subscriptions are made of."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._receiver: Receiver | None = None
        self._leases: Leases | None = None
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

    def _open(self, address: str) -> Leases:
        wanted = self._wanted
        self._receiver = open_receiver(wanted.receiver, address)
        self.socket = self._receiver.text
        self._leases = Leases(self.socket, wanted.patterns or ("*",), wanted.lease_s, wanted.look_s)
        return self._leases

    @property
    def _opened(self) -> Receiver:
        if self._receiver is None:
            raise RuntimeError("expected a subscription in its `with` block")
        return self._receiver

    def _close(self) -> None:
        if self._receiver is not None:
            self._receiver.close()
            self._receiver = None

    def _take(self) -> ReceivedEvent | None:
        """Return the next event that has arrived, or None."""
        if not self._events:
            for payload in self._opened.read():
                try:
                    self._events.append(parse_event(payload))
                except ValueError:
                    self.unparsed += 1
            self.lost = self._opened.lost
        return self._events.popleft() if self._events else None


def _tell(steps: Keeping, outcome: Any) -> Call | Pause:
    """Continue after a call with its result or its error."""
    return steps.throw(outcome) if isinstance(outcome, ManagementError) else steps.send(outcome)


class Subscription(_Base, Iterator[ReceivedEvent]):
    """The events that match, received in a `with` block by iterating; one thread keeps the leases."""

    def __init__(self, client: Client, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._client = client
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Subscribe.

        Raises:
            ManagementError: if the gateway cannot be reached, or refuses.
        """
        leases = self._open(self._wanted.address or self._own_address())
        try:
            self._go(leases.look())
            self._keeper = threading.Thread(target=self._go, args=(leases.keep(),), name="evframe.leases", daemon=True)
            self._keeper.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        try:
            if self._keeper is not None:
                self._keeper.join()
            if self._leases is not None:
                self._go(self._leases.leave())
        finally:
            self._close()

    def _own_address(self) -> str:
        with told(self._client.shown, self._client.timeout_s):
            return run(own_address(parse_url(self._client.url)), self._client.timeout_s)

    def __next__(self) -> ReceivedEvent:
        return self.get()

    def get(self, timeout_s: float | None = None) -> ReceivedEvent:
        """Return the next event.

        Raises:
            TimeoutError: if none has arrived within *timeout_s* seconds.
        """
        ends_at = math.inf if timeout_s is None else time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._opened.fileno(), select.POLLIN)
        while (event := self._take()) is None:
            left_s = ends_at - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"expected an event within {timeout_s} s")
            poll.poll(math.ceil(min(left_s, 1.0) * 1000))
            if self._keeper is None or not self._keeper.is_alive():
                raise RuntimeError("expected a thread that keeps the leases")
        return event

    def _go(self, steps: Keeping) -> None:
        with closing(steps), suppress(StopIteration):
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    if self._stop.wait(step.seconds):
                        return
                    step = next(steps)
                else:
                    step = _tell(steps, self._call(step))

    def _call(self, call: Call) -> Any:
        try:
            return self._client.call(call.method, call.params)
        except ManagementError as error:
            return error


class AsyncSubscription(_Base, AsyncIterator[ReceivedEvent]):
    """The events that match, received in an `async with` block by iterating; one task keeps the leases."""

    def __init__(self, client: AsyncClient, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._client = client
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Subscribe.

        Raises:
            ManagementError: if the gateway cannot be reached, or refuses.
        """
        leases = self._open(self._wanted.address or await self._own_address())
        try:
            await self._go(leases.look())
            self._keeper = asyncio.create_task(self._go(leases.keep()))
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
                await self._go(self._leases.leave())
        finally:
            self._close()

    async def _own_address(self) -> str:
        with told(self._client.shown, self._client.timeout_s):
            return await run_async(own_address(parse_url(self._client.url)), self._client.timeout_s)

    async def __anext__(self) -> ReceivedEvent:
        if not self._events:
            await asyncio.sleep(0)  # others have their turn even when events never end
        while (event := self._take()) is None:
            assert self._keeper is not None
            await ready(self._opened.fileno(), unless=self._keeper)
            if self._keeper.done():
                self._keeper.result()
        return event

    async def _go(self, steps: Keeping) -> None:
        with closing(steps):
            try:
                step = next(steps)
                while True:
                    if isinstance(step, Pause):
                        await asyncio.sleep(step.seconds)
                        step = next(steps)
                    else:
                        step = _tell(steps, await self._call(step))
            except StopIteration:
                return

    async def _call(self, call: Call) -> Any:
        try:
            return await self._client.call(call.method, call.params)
        except ManagementError as error:
            return error
