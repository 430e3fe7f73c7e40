"""A transport in memory, and the contract of every transport.

A subclass of `TransportContract` says how the transport is made and what receives from it::

    class TestMine(TransportContract):
        bad_sockets = ("mine:", "mine:x:y")

        def transport(self):
            return MyTransport()

        @asynccontextmanager
        async def peer(self):
            async with my_server() as server:
                yield Peer(f"mine:{server.port}", server.receive)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, ClassVar, Final

import attrs

from evframe.config import CoreOptions
from evframe.delivery.batch import Batch
from evframe.delivery.sockets import Socket
from evframe.delivery.subscriber import Subscriber
from evframe.events.event import Event
from evframe.exceptions import SocketError
from evframe.interface import EventInterface
from evframe.plugins.markers import hookimpl
from evframe.testing.blocking import Stalls, blocking_calls
from evframe.testing.garbage import no_garbage

_LIMIT_S: Final = 30.0
_SLEPT_S: Final = 0.05
_COMPUTED_S: Final = 0.5
_ROUNDS: Final = 3
_QUICK_END: Final = CoreOptions(drain_timeout_s=0.1)


@attrs.frozen
class MemorySocket:
    """``memory:name``."""

    name: str
    expires: bool = True

    @property
    def canonical(self) -> str:
        """The name as it was given."""
        return f"memory:{self.name}"

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """It connects to no host."""
        return ()


class MemoryTransport:
    """Keeps what is delivered, or does with a subscriber what a test has said.

    Run-time clients may subscribe it where the configuration permits its scheme.
    """

    schemes = ("memory",)

    def __init__(self) -> None:
        self.delivered: dict[str, list[Event]] = {}
        """The events of each subscriber, by its name."""
        self.released: list[str] = []
        """The names of the subscribers that have ended."""
        self._behaviours: dict[str, Callable[[Batch], Awaitable[None] | bool]] = {}

    def when(self, name: str, behaviour: Callable[[Batch], Awaitable[None] | bool] | None) -> None:
        """Have *behaviour* called with each batch for the subscriber *name*; None takes it back."""
        if behaviour is None:
            self._behaviours.pop(name, None)
        else:
            self._behaviours[name] = behaviour

    @hookimpl
    def on_subscribe(self, scheme: str, rest: str) -> Socket | None:
        """Parse ``memory:`` sockets; a name without letters and digits is refused."""
        if scheme != "memory":
            return None
        if not rest.isalnum():
            raise ValueError(f"expected memory:name of letters and digits, got {rest!r}")
        return MemorySocket(rest)

    @hookimpl
    def deliver(self, socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
        """Keep the events."""
        if not isinstance(socket, MemorySocket):
            return None
        behaviour = self._behaviours.get(socket.name)
        if behaviour is not None:
            return behaviour(batch)
        self.delivered.setdefault(socket.name, []).extend(batch.events)
        return True

    @hookimpl
    def unsubscribed(self, socket: Socket) -> None:
        """Record it."""
        if isinstance(socket, MemorySocket):
            self.released.append(socket.name)


@attrs.frozen
class Peer:
    """What receives from the transport under test.

    *receive* returns the next *count* events as they arrive, each as bytes that hold its parameters.
    """

    socket: str
    receive: Callable[[int], Awaitable[list[bytes]]]


async def until(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
    """Wait until *condition* holds, looking every few milliseconds.

    Raises:
        TimeoutError: if it does not within *timeout_s* seconds.
    """
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 counters send no notification
            await asyncio.sleep(0.002)


class TransportContract:
    """What every transport has to do; subclass it and say how it is made."""

    bad_sockets: ClassVar[tuple[str, ...]] = ()
    """Texts with a scheme of the transport that it has to refuse."""
    lost_sockets: ClassVar[tuple[str, ...]] = ()
    """Sockets whose peers are not there, or fail the events."""
    library_cycles: ClassVar[tuple[type, ...]] = ()
    """Classes of the plugin that cycles of a library hold; see `no_garbage`."""
    library_objects: ClassVar[int | None] = None
    """How many objects a library may leave for each subscriber that has delivered; any number without it."""
    may_block: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Blocking calls that are bounded by design; see `blocking_calls`."""
    foreign_socket: ClassVar[Any] = MemorySocket("foreign")

    def transport(self) -> Any:
        """Return a new plugin object."""
        raise NotImplementedError

    def peer(self) -> AbstractAsyncContextManager[Peer]:
        """Return what receives, ready to."""
        raise NotImplementedError

    def _interface(self) -> EventInterface:
        return EventInterface(plugins={"under-test": self.transport()})

    async def test_every_event_arrives_in_order(self) -> None:
        """Events arrive in the order of raising, each of them once, and all of them are counted."""
        async with asyncio.timeout(_LIMIT_S), self.peer() as peer, self._interface() as events:
            events.register_event("E_CONTRACT")
            lease = events.subscribe_event("E_CONTRACT", peer.socket)
            for number in range(100, 300):
                events.raise_event("E_CONTRACT", {"number": number})
            received = await peer.receive(200)
            await until(lambda: not lease.subscriber.depth, _LIMIT_S)
            events.raise_event("E_CONTRACT", {"number": 300})  # nothing else is before it
            received += await peer.receive(1)
            await until(lambda: not lease.subscriber.depth, _LIMIT_S)
            counters = events.statistics[0]
        for number, text in zip(range(100, 301), received, strict=True):
            assert str(number).encode() in text, (number, text)
        assert (counters.raised, counters.delivered, counters.failed) == (201, 201, 0)

    async def test_outcome(self) -> None:
        """An awaited raise reports the delivery under the canonical socket."""
        async with asyncio.timeout(_LIMIT_S), self.peer() as peer, self._interface() as events:
            events.register_event("E_CONTRACT")
            canonical = events.subscribe_event("E_CONTRACT", peer.socket).subscriber.socket.canonical
            report = await events.raise_event_and_wait("E_CONTRACT", {"number": 1})
        assert [(outcome.socket, outcome.reason) for outcome in report] == [(canonical, None)]

    async def test_empty_batch(self) -> None:
        """An empty batch finds that the peer can be reached, and sends it nothing."""
        async with asyncio.timeout(_LIMIT_S), self.peer() as peer, self._interface() as events:
            events.register_event("E_CONTRACT")
            lease = events.subscribe_event("E_CONTRACT", peer.socket)
            result = lease.subscriber.transport.deliver(lease.subscriber.socket, Batch(()))
            if isinstance(result, Awaitable):
                await result
            else:
                assert result is True
            await events.raise_event_and_wait("E_CONTRACT", {"number": 404})
            assert b"404" in (await peer.receive(1))[0]

    async def test_subscribing_again_is_the_same_subscriber(self) -> None:
        """The canonical text of a socket is a socket, and the same subscriber."""
        async with asyncio.timeout(_LIMIT_S), self.peer() as peer, self._interface() as events:
            events.register_event("E_CONTRACT")
            lease = events.subscribe_event("E_CONTRACT", peer.socket)
            again = events.subscribe_event("E_CONTRACT", lease.subscriber.socket.canonical)
            assert again is lease
            assert len(events.event("E_CONTRACT").leases) == 1

    async def test_leaving_and_coming_back(self) -> None:
        """A subscriber that has left gets nothing; one that comes back gets what is raised then."""
        async with asyncio.timeout(_LIMIT_S), self.peer() as peer, self._interface() as events:
            events.register_event("E_CONTRACT")
            for number in (101, 202):
                events.subscribe_event("E_CONTRACT", peer.socket)
                report = await events.raise_event_and_wait("E_CONTRACT", {"number": number})
                assert report[0].delivered
                received = await peer.receive(1)
                assert str(number).encode() in received[0]
                assert events.unsubscribe_event("E_CONTRACT", peer.socket)
                events.raise_event("E_CONTRACT", {"number": 303})

    async def test_bad_sockets(self) -> None:
        """A socket that does not fit is one clear error, and nothing is subscribed."""
        events = self._interface()
        events.register_event("E_CONTRACT")
        for text in self.bad_sockets:
            try:
                events.subscribe_event("E_CONTRACT", text)
            except SocketError as error:
                problem = error.problem
            else:
                problem = "nothing"
            assert "expected" in problem, f"{text!r}: {problem}"
        assert not events.event("E_CONTRACT").leases

    def test_what_belongs_to_others(self) -> None:
        """The schemes and the sockets of other transports are left to them."""
        transport = self.transport()
        assert transport.on_subscribe(scheme="nosuch", rest="x") is None
        assert transport.deliver(socket=self.foreign_socket, batch=Batch(())) is None
        if hasattr(transport, "unsubscribed"):
            transport.unsubscribed(socket=self.foreign_socket)

    async def test_loop_is_not_blocked(self) -> None:
        """The loop serves others while the transport works: no blocking call, and no turn that is long."""
        module = type(self.transport()).__module__.partition(".")[0]
        work = asyncio.ensure_future(self.test_every_event_arrives_in_order())
        async with Stalls() as stalls:
            with blocking_calls(module, self.may_block, work.cancel) as calls:
                await asyncio.wait((work,))
        assert not calls, f"blocking calls on the loop: {calls}"
        await work
        assert stalls.slept_s < _SLEPT_S, f"a turn of the loop slept for {stalls.slept_s:.3f} s"
        assert stalls.computed_s < _COMPUTED_S, f"a turn of the loop computed for {stalls.computed_s:.3f} s"

    async def test_subscribers_leave_no_garbage(self) -> None:
        """Subscribers that came, delivered, failed and left leave nothing to the cyclic collector."""
        async with asyncio.timeout(_LIMIT_S), self.peer() as peer, self._interface() as events:
            events._configure(_QUICK_END)  # noqa: SLF001 the interface may be that of a subclass
            events.register_event("E_CONTRACT")
            await self._come_and_go(events, peer)
            most = None if self.library_objects is None else _ROUNDS * self.library_objects
            with no_garbage(*self.library_cycles, most=most):
                for _ in range(_ROUNDS):
                    await self._come_and_go(events, peer)

    async def _come_and_go(self, events: EventInterface, peer: Peer) -> None:
        others = len(events.statistics)
        events.subscribe_event("E_CONTRACT", peer.socket)
        await events.raise_event_and_wait("E_CONTRACT", {"number": 1})
        await peer.receive(1)
        events.unsubscribe_event("E_CONTRACT", peer.socket)
        for text in self.lost_sockets:
            subscriber = events.subscribe_event("E_CONTRACT", text).subscriber
            events.raise_event("E_CONTRACT", {"number": 2})
            await until(partial(_has_tried, subscriber))
            events.unsubscribe_event("E_CONTRACT", text)
            del subscriber
        await until(lambda: len(events.statistics) == others)


def _has_tried(subscriber: Subscriber) -> bool:
    return bool(subscriber.attempts) or not subscriber.depth
