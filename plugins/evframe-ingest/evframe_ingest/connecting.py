"""One connection that is consumed: made again whenever it ends, with a wait that grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar

from evframe_wire.backoff import delay_s

from evframe import Unavailable
from evframe.plugin import HostAddress, LateModule, PluginContext, comes_from_outside, connection_problem
from evframe_ingest.availability import Availability
from evframe_ingest.queues import QueueIntake, Rules

SETTLE_S: Final = 0.5
"""How long an end waits for the outcomes of what has come."""


class Connection(Protocol):
    """The options of a connection."""

    @property
    def name(self) -> str:
        """What listings, statuses and the log call it."""

    @property
    def address(self) -> str:
        """The broker as people see it, without secrets."""

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of its brokers."""

    @property
    def event(self) -> str | None:
        """The event of messages that name none."""

    @property
    def events(self) -> Sequence[str]:
        """Patterns of the events that messages may name."""

    @property
    def max_events(self) -> int:
        """How many events may be registered because messages name them."""

    @property
    def retry_timeout_ms(self) -> int:
        """The longest wait between two attempts to connect."""


class Session(Protocol):
    """The time of one connection."""

    async def ended(self) -> str:
        """Wait until no more messages come, and return the reason."""

    def moved(self, addresses: Sequence[HostAddress]) -> None:
        """End when the connection is to none of *addresses*."""

    def take_no_more(self) -> None:
        """Leave the messages to come to others; those that came are answered until the session is closed."""

    async def close(self) -> None:
        """Say what is still to be said, and close the connection, within a bound."""

    def cut(self) -> None:
        """End at once."""


OptionsT = TypeVar("OptionsT", bound=Connection)
SessionT = TypeVar("SessionT", bound=Session)


class ConnectingConsumer(Generic[OptionsT]):
    """Consumes, and begins again when that ends, forever.

    Args:
        options: of the connection.
        context: of the plugin.
        sleep: waits so many seconds.
    """

    plugin: ClassVar[str]
    """The name of the plugin, which that of its group of statuses is, too."""

    def __init__(
        self,
        options: OptionsT,
        context: PluginContext,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.options = options
        rules = Rules(options.event, tuple(options.events), options.max_events)
        self.intake = QueueIntake(context, options.name, rules)
        self._resolver = context.resolver
        self._sleep = sleep
        self._availability = Availability(context.status.group(self.plugin), options.name, options.address)
        self._library = LateModule(f"evframe_{self.plugin.replace('-', '_')}.library")

    async def run(self) -> None:
        """Consume until this is cancelled; then the answers still go out until `stop`."""
        attempt = 0
        hosts = [host for host, _ in self.options.endpoints]
        for host in hosts:
            self._resolver.use(host)
        try:
            while True:
                await self._prepare()
                begun = time.monotonic()
                self._availability.ends(await self._consume())
                await self._leave()
                cap_s = self.options.retry_timeout_ms / 1000
                attempt = attempt + 1 if time.monotonic() - begun < cap_s else 1
                wait_s = self._wait_s(attempt, cap_s)
                if wait_s:
                    await self._sleep(wait_s)
        finally:
            for host in hosts:
                self._resolver.release(host)
            self._take_no_more()

    async def _prepare(self) -> None:
        """Wait for what has to be before an attempt."""

    async def _consume(self) -> str:
        """Consume, and return why that has ended."""
        raise NotImplementedError

    async def _leave(self) -> None:
        """End what is left."""

    def _wait_s(self, attempt: int, cap_s: float) -> float:
        """Return how long to wait behind attempt number *attempt*; 0 when another broker is tried at once."""
        return delay_s(attempt, cap_s)

    def _take_no_more(self) -> None:
        """Raise no more events; what came is answered until `stop`."""

    def adopt(self, options: OptionsT) -> None:
        """Use the secrets of *options* for the next login."""
        self.options = options


class SessionConsumer(ConnectingConsumer[OptionsT], Generic[OptionsT, SessionT]):
    """Consumes over one session after another."""

    def __init__(
        self,
        options: OptionsT,
        context: PluginContext,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(options, context, sleep)
        self._session: SessionT | None = None
        self._settled = asyncio.Event()
        """Set when an outcome is known."""

    @property
    def _waiting(self) -> int:
        """How many events have no outcome yet."""
        raise NotImplementedError

    def _made(self, library: Any) -> SessionT:
        """Return a session to open, of a class that *library* has."""
        raise NotImplementedError

    async def _open(self, session: SessionT) -> None:
        """Connect, and begin to consume.

        Raises:
            BaseException: of which `_reason_of` knows the word.
        """
        raise NotImplementedError

    def _reason_of(self, library: Any, error: BaseException) -> str | None:  # noqa: ARG002 others need it
        """Return the word for *error*; None for a mistake. The name of the broker is looked up again."""
        if isinstance(error, Unavailable):
            self._resolver.forget(self._endpoint[0])
            return error.reason
        return connection_problem(error) if isinstance(error, OSError) else None

    async def _finish(self, library: Any, session: SessionT, reason: str) -> None:  # noqa: ARG002 others need them
        """End *session*, which takes no more messages because of *reason*."""
        session.cut()

    @property
    def _endpoint(self) -> tuple[str, int]:
        """Host and port of the broker."""
        return self.options.endpoints[0]

    async def _consume(self) -> str:
        library = await self._library.get()
        session = self._session = self._made(library)
        try:
            await self._open(session)
            self._availability.begins()
            reason = await session.ended()
        except BaseException as error:  # whatever a library makes of what the broker does, cancellations too
            found = None if comes_from_outside(error) else self._reason_of(library, error)
            if found is None:
                raise
            reason = found
        self._session = None
        await self._finish(library, session, reason)
        return reason

    async def _until_waiting(self, most: int) -> None:
        """Wait until at most so many events have no outcome."""
        while self._waiting > most:
            self._settled.clear()
            await self._settled.wait()

    def _take_no_more(self) -> None:
        if self._session is not None:
            self._session.take_no_more()

    def moved(self, host: str, addresses: Sequence[HostAddress]) -> None:
        """Connect again when *host* is the broker's, and the connection is to an address that it has no more."""
        if self._session is not None and host == self._endpoint[0]:
            self._session.moved(addresses)

    async def stop(self) -> None:
        """Answer what has its outcome by now, and end the connection: the rest comes again."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    await self._until_waiting(0)
            await session.close()
        finally:
            session.cut()
