"""The plugin: notifies systemd of what the gateway does, feeds its watchdog, and uses the sockets that it has bound."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from evframe_wire.handed_over import HANDED_OVER, HeldSocket
from evframe_wire.visible import visible

from evframe import hookimpl
from evframe.plugin import Changes, PluginContext
from evframe_systemd.service_manager import ServiceManager, watchdog_usec
from evframe_systemd.sockets import handed_over, keep_from_children

log = logging.getLogger("evframe.systemd")
_STATUS_S: Final = 5.0  # between two looks at the subscribers
_RETRY_S: Final = 1.0
_LONGEST: Final = 200  # characters of a problem
_MOST_STATES: Final = 8  # that wait for a service manager that cannot be reached: the last ones say what holds


class ServiceNotifier:
    """Notifies the service manager that ``NOTIFY_SOCKET`` names; without it, and in a service, nothing is sent.

    The sockets that the service manager has bound are used in a service, too, where their addresses are configured.

    A service that embeds evframe is ready when the service says so, not when evframe is.

    Args:
        clock: the monotonic clock of the intervals, in seconds.
    """

    kind = "extension"

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._context: PluginContext | None = None
        self._manager: ServiceManager | None = None
        self._states: deque[str] = deque(maxlen=_MOST_STATES)  # that are not sent yet
        self._status = ""  # as it was sent last
        self._refusal = ""  # what the status ends with when the last reload was refused
        self._status_at = -math.inf
        self._unused: set[HeldSocket] = set()  # sockets that were handed over, and whose addresses nothing has
        self._lost: set[HeldSocket] = set()  # and those whose paths were removed
        self._watchdog_s = math.inf
        self._watchdog_at = math.inf

    @hookimpl
    def loaded(self) -> None:
        """Have the first address that is bound look for the sockets that were handed over; most are bound later."""
        HANDED_OVER.come_from(handed_over)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin; the service manager is notified in the next turn of the loop, when every plugin has started."""
        if not context.host.is_gateway:
            return  # the sockets may be those of the service
        keep_from_children(HANDED_OVER.held)
        self._context = context
        address = os.environ.get("NOTIFY_SOCKET", "")
        if address:
            self._begin(address, context)
        if address or HANDED_OVER.held:
            context.spawn(self._run(context))

    def _begin(self, address: str, context: PluginContext) -> None:
        self._manager = ServiceManager(address)
        usec = watchdog_usec(os.environ)
        if usec:
            self._watchdog_s, self._watchdog_at = usec / 2e6, -math.inf
            if context.host.is_running:  # a reload has loaded the plugin; one that removed it has ended the watchdog
                self._states.append(f"WATCHDOG_USEC={usec}")
        details = f"notifies {address}" + (f", each {self._watchdog_s:g} s for the watchdog" if usec else "")
        context.status.group("systemd").add(details=details)

    async def _run(self, context: PluginContext) -> None:
        if not context.host.is_running:
            return  # another plugin could not start
        self._look_at_sockets()
        self._status = self._text(context)
        self._status_at = self._clock() + _STATUS_S
        self._states.append(f"READY=1\nSTATUS={self._status}")
        try:
            while True:  # noqa: ASYNC110 what is due depends on the time alone
                await asyncio.sleep(self.process_due())
        except asyncio.CancelledError:
            # Without the plugin no loop feeds the watchdog, which would kill a gateway that works.
            is_removed = context.host.is_running
            self._states.append("WATCHDOG_USEC=0" if is_removed else "STOPPING=1\nSTATUS=delivers what is queued")
            self._send_states()
            raise

    def process_due(self) -> float:
        """Send what is due; return the seconds until the next call."""
        assert self._context is not None
        now = self._clock()
        self._send_states()
        if self._manager is not None and now >= self._watchdog_at:
            is_sent = self._manager.send("WATCHDOG=1")
            self._watchdog_at = now + (self._watchdog_s if is_sent else min(self._watchdog_s, _RETRY_S))
        if now >= self._status_at:
            self._status_at = now + _STATUS_S
            self._look_at_sockets()
            status = self._text(self._context)
            if self._manager is not None and status != self._status and self._manager.send(f"STATUS={status}"):
                self._status = status
        retry_at = now + _RETRY_S if self._states and self._manager is not None else math.inf
        return min(self._watchdog_at, self._status_at, retry_at) - now

    def _look_at_sockets(self) -> None:
        """Log each socket that was handed over and that nothing uses, or that no client finds, once."""
        unused = set(HANDED_OVER.unused)
        for each in unused - self._unused:
            log.warning("a socket that was handed over is not used", extra={"socket": each.name, "is": str(each)})
        self._unused = unused
        lost = {each for each in HANDED_OVER.held if each.is_lost}
        for each in lost - self._lost:
            log.error("the path of a socket that was handed over is gone", extra={"socket": each.name, "is": str(each)})
        self._lost = lost

    def _text(self, context: PluginContext) -> str:
        return _status(context) + self._refusal

    def _send_states(self) -> None:
        """Send the states in their order, as far as the service manager takes them."""
        while self._manager is not None and self._states and self._manager.send(self._states[0]):
            self._states.popleft()

    @hookimpl
    def reloaded(self, changes: Changes) -> None:  # noqa: ARG002 as in the specification
        """Notify of a reload, which has begun and ended in this turn of the loop."""
        self._refusal = ""
        if self._manager is not None:
            self._states += (f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", "READY=1")
            self._send_states()

    @hookimpl
    def reload_refused(self, problems: Sequence[str]) -> None:
        """Have the status show the first problem until a reload is applied."""
        more = f", and {len(problems) - 1} more" if problems[1:] else ""
        # A line of the status ends the protocol's line: a problem may have text of a file that has line breaks.
        self._refusal = f"; the last reload was refused: {visible(problems[0])[:_LONGEST]}{more}"

    @hookimpl
    def stop(self) -> None:
        """Send what a full socket has refused, and close the socket."""
        if self._manager is not None:
            self._send_states()
            self._manager.close()


def _status(context: PluginContext) -> str:
    """Return how many subscribers exist, how many of them are away, and how many events wait."""
    subscribers = context.roster.subscribers
    away = sum(each.away is not None for each in subscribers)
    waiting = sum(each.depth for each in subscribers)
    return f"{_number(len(subscribers), 'subscriber')}, {away} away, {_number(waiting, 'event')} waiting"


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
