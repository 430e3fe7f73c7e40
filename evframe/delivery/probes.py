"""Probes of idle subscribers: empty batches that find an unreachable peer before an event is raised."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Protocol

from evframe.calls import comes_from_outside
from evframe.delivery.batch import Batch
from evframe.delivery.subscriber import State
from evframe.exceptions import DeliveryError, Unavailable

if TYPE_CHECKING:
    from evframe.delivery.carrier import Carrier
    from evframe.delivery.scheduler import Scheduler
    from evframe.delivery.sockets import Socket
    from evframe.delivery.subscriber import Subscriber

log = logging.getLogger("evframe.delivery")
LIMIT_S: Final = 15.0
"""How long one target may take."""
MOST: Final = 64
"""How many targets are probed at the same time."""
_SLICE: Final = 1024
CONNECTED: Final = "connected"
AWAY: Final = "away"
UNKNOWN: Final = "unknown"


class Target(Protocol):
    """A socket with the transport that delivers to it."""

    @property
    def socket(self) -> Socket:
        """The socket that events are sent to."""

    @property
    def transport(self) -> Carrier:
        """The transport that sends them."""


def is_asked(socket: Socket) -> bool:
    """Return whether the peer of *socket* can be probed, which a protocol without connections does not permit."""
    return not getattr(socket, "is_connectionless", False)


async def problem_of(target: Target, limit_s: float = LIMIT_S) -> str | None:
    """Send an empty batch, and return why *target* cannot be reached within *limit_s* seconds; None when it can.

    Raises:
        Exception: an error that the contract of transports does not permit.
    """
    result = None
    try:
        async with asyncio.timeout(limit_s):
            result = target.transport.deliver(target.socket, Batch(()))
            if isinstance(result, Awaitable):
                await result
    except DeliveryError as error:
        return error.reason
    except TimeoutError:
        return "timeout"
    finally:
        del result  # its error has a traceback with this frame
    return None


def can_be_probed(subscriber: Subscriber) -> bool:
    """Return whether *subscriber* is idle and its peer can be probed, which no other process does."""
    rests = subscriber.state is State.IDLE and not subscriber.depth and not subscriber.batches
    is_here = not getattr(subscriber.queue, "is_elsewhere", False)
    return rests and is_here and not subscriber.ended and is_asked(subscriber.socket)


async def contained_problem_of(target: Target, limit_s: float = LIMIT_S) -> str | None:
    """As `problem_of`; an error that the contract does not permit is logged, and `plugin_error` is returned."""
    try:
        return await problem_of(target, limit_s)
    except BaseException as error:
        if comes_from_outside(error):
            raise
        log.exception("a transport raised an error", extra={"socket": target.socket.canonical})
        return "plugin_error"


async def question(subscriber: Subscriber) -> None:
    """Find out whether the peer of *subscriber* can be reached.

    Raises:
        Unavailable: if it cannot.
    """
    problem = await contained_problem_of(subscriber)
    subscriber.record_probe(problem)
    if problem is not None:
        raise Unavailable(problem)


def state_of(subscriber: Subscriber, away: str | None) -> str:
    """Return whether *subscriber* is `connected`, `away` or `unknown`; *away* is the reason that is known."""
    if away is not None:
        return AWAY
    is_known = is_asked(subscriber.socket) and (subscriber.reached or subscriber.delivered)
    return CONNECTED if is_known else UNKNOWN


class Probes:
    """Probes subscribers when they are added, and those that have been idle for a while.

    Each probe counts as an attempt in the budget of retries. An event that is raised during the probe of its
    subscriber waits for the end of the probe, as for a batch.

    Args:
        scheduler: of the interface.
        subscribers: returns the subscribers that may be idle.
    """

    def __init__(self, scheduler: Scheduler, subscribers: Callable[[], Iterable[Subscriber]]) -> None:
        self._scheduler = scheduler
        self._subscribers = subscribers
        self._due: deque[Subscriber] = deque()
        self._seen: dict[Subscriber, int] = {}
        self._woken = asyncio.Event()
        self._free = asyncio.Semaphore(MOST)
        self._task: asyncio.Task[Any] | None = None
        self._every_s = 0.0

    @property
    def every_s(self) -> float:
        """After how many seconds without an event a subscriber is probed; 0 for never, at the start neither."""
        return self._every_s

    @every_s.setter
    def every_s(self, every_s: float) -> None:
        if every_s != self._every_s:
            self._every_s = every_s
            self._seen.clear()  # without probes, nothing else would release the subscribers that end
            self._woken.set()

    def add(self, subscriber: Subscriber) -> None:
        """Probe *subscriber* as soon as the budget permits an attempt."""
        self._due.append(subscriber)
        self._woken.set()

    def start(self) -> None:
        """Start the probes on the running loop."""
        self._woken, self._free = asyncio.Event(), asyncio.Semaphore(MOST)
        self._woken.set()
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Stop the probes; those under way end with the delivery."""
        self._due.clear()
        self._seen.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            await self._probe_due()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s or None):
                    await self._woken.wait()
                    continue
            await self._look()

    async def _probe_due(self) -> None:
        while self._due:
            subscriber = self._due.popleft()
            if not self._every_s or not can_be_probed(subscriber):
                continue
            await self._free.acquire()
            await self._scheduler.retries.turn(0.0)
            if can_be_probed(subscriber):
                probe = self._scheduler.probe(subscriber, question(subscriber))
                probe.add_done_callback(lambda _: self._free.release())
            else:
                self._free.release()

    async def _look(self) -> None:
        """Schedule a probe of each subscriber that has had no event since the last check."""
        seen: dict[Subscriber, int] = {}
        for number, subscriber in enumerate(list(self._subscribers())):
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            if is_asked(subscriber.socket):
                seen[subscriber] = subscriber.raised
                if self._seen.get(subscriber) == subscriber.raised:
                    self._due.append(subscriber)
        self._seen = seen
