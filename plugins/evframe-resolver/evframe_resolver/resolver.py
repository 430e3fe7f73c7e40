"""The resolver of host names: asynchronous, bounded, shared by all plugins, and aware of changed addresses."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final

import attrs

from evframe_resolver.hosts import HostAddress, Network, is_within, numeric
from evframe_resolver.lookups import Found, Lane, LookupThreads, look_up, start_thread

log = logging.getLogger("evframe.resolving")
UNRESOLVED: Final = "unresolved"
FORBIDDEN: Final = "forbidden"
FRESH_S: Final = 5.0
"""How long an answer holds for a connection that is opened."""
AGAIN_S: Final = 1.0
"""How long an answer holds in any case, so that many failures and renewals cause one lookup in this time."""
FAILED_S: Final = 2.0
"""How long a name that did not resolve is not looked up again."""
_MOST_NAMES: Final = 10_000  # names that are remembered without being in use
_SLICE: Final = 200  # names looked up again in one turn of the loop
_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class UnresolvedError(OSError):
    """A name has no address that may be used.

    Args:
        reason: `unresolved` or `forbidden`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Changed = Callable[[str, tuple[HostAddress, ...]], None]


@attrs.define(eq=False)
class _Name:
    """One host name: its last answer, its limits, and the callers that wait for the next answer."""

    found: Found = ()  # the last answer, which a later one is compared with
    is_usable: bool = False
    is_stale: bool = False  # a connection to its addresses has failed since the last answer
    answered_at: float = -math.inf
    has_failed: bool = False  # the last lookup has failed
    failed_until: float = -math.inf
    is_slow: bool = False  # the last lookup used up its time; its answer may have come since
    users: int = 0
    networks: dict[int, tuple[Network, ...]] = attrs.field(factory=dict)  # by port, 0 for all; none is no limit
    waiting: asyncio.Future[None] | None = None
    _by_port: dict[int, tuple[HostAddress, ...]] = attrs.field(factory=dict)

    def at(self, port: int) -> tuple[HostAddress, ...]:
        """Return the permitted addresses with *port*; the same object until they change."""
        known = self._by_port.get(port)
        if known is None:
            limits = [self.networks[each] for each in {0, port} & self.networks.keys()]
            known = self._by_port[port] = tuple(
                HostAddress(family, (sockaddr[0], port, *sockaddr[2:]))
                for family, sockaddr in self.found
                if all(is_within(sockaddr[0], networks) for networks in limits)
            )
        return known

    def limit(self, networks: tuple[Network, ...] | None, port: int) -> None:
        """Permit only addresses in *networks* for *port*, 0 for all; None permits all."""
        if networks is None:
            self.networks.pop(port, None)
        else:
            self.networks[port] = networks
        self._by_port.clear()

    def answer(self, found: Found, now: float) -> bool:
        """Store an answer; return whether the set of addresses has changed. Another order is no change."""
        self.is_usable, self.is_stale, self.has_failed = True, False, False
        self.answered_at, self.failed_until = now, -math.inf
        if set(found) == set(self.found):
            return False
        self.found = found
        self._by_port.clear()
        return True

    def fail(self, now: float) -> None:
        """Record that a lookup has failed."""
        self.failed_until, self.has_failed = now + FAILED_S, True
        self.wake()

    def wake(self) -> None:
        """Wake the callers that wait for an answer."""
        waiting, self.waiting = self.waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


class Resolver:
    """Looks host names up, and again while they are in use.

    Numeric hosts never wait. All callers that wait for a name share one lookup, and each waits for a
    bounded time. While the name servers are silent, the last answer of a name stays in use.

    Args:
        changed: called with a name in use and its addresses, with port 0, when they have changed.
        clock: a monotonic clock, in seconds.
        start: runs a function that may block; each on a separate thread.
    """

    error: ClassVar[type[Exception]] = UnresolvedError
    """What `addresses` raises, with a reason."""

    def __init__(
        self,
        changed: Changed = lambda host, addresses: None,  # noqa: ARG005 the names are part of the type
        *,
        clock: Callable[[], float] = time.monotonic,
        start: Callable[[Callable[[], None]], None] = start_thread,
    ) -> None:
        self.lookup = look_up
        """The function that looks names up; tests replace it."""
        self.every_s = 30.0
        """How often names in use are looked up again; 0 for never."""
        self.timeout_s = 5.0
        """How long a name may take before it counts as unresolved."""
        self.answered: Callable[[str], None] = lambda host: None  # noqa: ARG005 the name is part of the type
        """Called with a name in use whose addresses have changed, before the new addresses are used."""
        self.late_lookups = 0
        """How many lookups took longer than `timeout_s`."""
        self._changed = changed
        self._clock = clock
        self._names: dict[str, _Name] = {}
        self._prune_at = _MOST_NAMES
        self._threads = LookupThreads(self, start)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.Handle | None = None
        self._is_closed = False

    @property
    def lookups(self) -> int:
        """How many lookups have begun."""
        return self._threads.begun

    def known(self, host: str, port: int) -> tuple[HostAddress, ...] | None:
        """Return the addresses of *host* without waiting; None when a lookup is needed.

        The answer for a name in use holds until a later lookup returns another one.
        """
        name = self._names.get(host)
        if name is None:
            return numeric(host, port)
        if name.is_usable and not name.is_stale and (name.users or self._clock() < name.answered_at + FRESH_S):
            return name.at(port) or None
        return None

    async def addresses(self, host: str, port: int) -> tuple[HostAddress, ...]:
        """Return the addresses of *host*, at least one.

        Raises:
            UnresolvedError: or the `error` of a subclass: `unresolved` when there is none within the time
                of a lookup, `forbidden` when none is in the networks that `restrict` permits.
        """
        name = self._names.get(host)
        if name is None:
            found = numeric(host, port)
            if found is not None:
                return found
            name = self._name(host)
        if not name.is_usable or name.is_stale or self._clock() >= name.answered_at + FRESH_S:
            await self._wait(host, name)
        if not name.is_usable:
            raise self.error(UNRESOLVED)
        found = name.at(port)
        if not found:
            raise self.error(FORBIDDEN)
        return found

    def problem(self, host: str, port: int = 0) -> str | None:
        """Return why *host* has no address, `unresolved` or `forbidden`; None with an address or before any lookup."""
        name = self._names.get(host)
        if name is not None and name.is_usable:
            return None if name.at(port) else FORBIDDEN
        return UNRESOLVED if name is not None and name.has_failed else None

    def answer(self, host: str, port: int) -> tuple[HostAddress, ...]:
        """Return the permitted addresses of the last answer about the name *host*, however old; none without one."""
        name = self._names.get(host)
        return name.at(port) if name is not None and name.is_usable else ()

    def forget(self, host: str) -> None:
        """Look *host* up at its next use, because a connection to it failed.

        A lookup that is under way, or ended less than a second ago, is used for that. While the name servers are
        silent, the last answer is used again, because the peer may be back at the same address.
        """
        name = self._names.get(host)
        if name is not None and self._clock() >= name.answered_at + AGAIN_S:
            name.is_stale = True
            name.failed_until = -math.inf

    def refresh(self, host: str) -> None:
        """Look *host* up again without waiting, unless it was looked up a moment ago."""
        name = self._names.get(host)
        if name is not None and self._clock() >= name.answered_at + AGAIN_S:
            self._refresh(host, name)

    def restrict(self, host: str, networks: Sequence[Network] | None, port: int = 0) -> None:
        """Permit only addresses of *host* in *networks*, until its last use ends; None permits all.

        Args:
            host: a name; a numeric host has no restrictions.
            networks: what is permitted.
            port: for which port, 0 for all.
        """
        if host not in self._names and (networks is None or numeric(host, 0) is not None):
            return
        name = self._name(host)
        wanted = None if networks is None else tuple(networks)
        if name.networks.get(port) == wanted:
            return
        before = name.at(port)
        name.limit(wanted, port)
        if name.users and name.is_usable and name.at(port) != before:
            self._changed(host, name.at(port))

    def is_used(self, host: str) -> bool:
        """Return whether *host* is a name that is in use."""
        name = self._names.get(host)
        return name is not None and name.users > 0

    def use(self, host: str) -> None:
        """Count a use of *host*: it is looked up now, and again every so often until `release`."""
        if host in self._names or numeric(host, 0) is None:
            self._name(host).users += 1
            self.refresh(host)

    def release(self, host: str) -> None:
        """End a use of *host*; the last one ends its limits, too."""
        name = self._names.get(host)
        if name is not None and name.users:
            name.users -= 1
            if not name.users:
                for port in list(name.networks):
                    name.limit(None, port)

    @property
    def in_use(self) -> list[str]:
        """The names in use."""
        return [host for host, name in self._names.items() if name.users]

    def start(self) -> None:
        """Look up the names in use, and again every so often, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._is_closed = False
        self.refresh_all()

    def refresh_all(self) -> None:
        """Look up every name in use, a few in each turn of the loop, and then every so often."""
        if self._loop is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._round(iter(self.in_use))

    def _round(self, hosts: Iterator[str]) -> None:
        assert self._loop is not None
        for _ in range(_SLICE):
            host = next(hosts, None)
            if host is None:
                self._timer = self._loop.call_later(self.every_s, self.refresh_all) if self.every_s else None
                return
            name = self._names.get(host)
            if name is not None:
                self._refresh(host, name)
        self._timer = self._loop.call_soon(self._round, hosts)

    def close(self) -> None:
        """Stop; callers that wait for a name get `unresolved`."""
        self._loop, self._is_closed = None, True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._threads.close()
        for name in self._names.values():
            name.wake()

    def _name(self, host: str) -> _Name:
        name = self._names.get(host)
        if name is None:
            if len(self._names) >= self._prune_at:  # forget names that are neither in use nor looked up
                self._names = {each: name for each, name in self._names.items() if name.users or each in self._threads}
                self._prune_at = len(self._names) + _MOST_NAMES
            name = self._names[host] = _Name()
        return name

    async def _wait(self, host: str, name: _Name) -> None:
        """Wait until *host* is looked up, or the time of the lookup is over."""
        if self._is_closed or self._threads.is_late(host) or self._clock() < name.failed_until:
            return
        if name.waiting is None:
            name.waiting = asyncio.get_running_loop().create_future()
        waiting = name.waiting
        self._enqueue(host, name, Lane.ANSWERED if name.found else Lane.NEW)
        await asyncio.wait({waiting}, timeout=self.timeout_s)

    def _refresh(self, host: str, name: _Name) -> None:
        """Look *host* up in the background."""
        if self._loop is not None and host not in self._threads and self._clock() >= name.failed_until:
            self._enqueue(host, name, Lane.REFRESH)

    def _enqueue(self, host: str, name: _Name, lane: Lane) -> None:
        if not self._threads.put(host, Lane.SLOW if name.is_slow else lane):
            name.fail(self._clock())

    def late(self, host: str) -> None:
        """End the wait for a lookup that has used up its time; a late answer is used when it arrives."""
        self.late_lookups += 1
        self._names[host].fail(self._clock())

    def ended(self, host: str, found: Found | Exception, *, was_late: bool) -> None:
        """Take the result of a lookup."""
        name = self._names[host]
        name.is_slow = was_late
        if isinstance(found, Exception) or not found:
            if getattr(found, "errno", None) in _NO_SUCH_NAME:
                name.is_usable = False  # the name servers have answered; while they are silent, it stays
            name.fail(self._clock())
            return
        before = name.at(0)
        is_other = name.answer(found, self._clock())
        name.wake()
        if is_other and name.users:
            self.answered(host)
        if is_other and before and name.users:
            after = name.at(0)
            extra = {"host": host, "before": [one.ip for one in before], "after": [one.ip for one in after]}
            log.info("a name has other addresses", extra=extra)
            self._changed(host, after)
