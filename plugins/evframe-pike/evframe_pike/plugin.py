"""The plugin: checks of requests, the event, the commands and the sweep."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs

from evframe import hookimpl
from evframe.plugin import (
    Command,
    CommandError,
    CommandTable,
    EventCollector,
    Listing,
    PluginContext,
    int_param,
    invalid_params,
    text_param,
)
from evframe_pike.address import Address, pack, unpack
from evframe_pike.detector import Detector
from evframe_pike.events import BLOCKED, Blocked
from evframe_pike.options import LEVELS
from evframe_pike.options import Options as PikeOptions
from evframe_pike.verdict import Verdict

log = logging.getLogger("evframe.pike")
_REPORTS: Final = 100
_LISTED: Final = 1000


class Pike:
    """The plugin object; `check` and the other methods may be called from any thread.

    Args:
        options: the table ``[plugins.pike]``.
        clock: the time in seconds, which never goes back.
        sleep: waits so many seconds.
    """

    Options = PikeOptions

    def __init__(
        self,
        options: PikeOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        options = PikeOptions() if options is None else options
        self._level = LEVELS[options.pike_log_level]
        self._sleep = sleep
        self._context: PluginContext | None = None
        self.detector = Detector(options, clock)
        """What counts the requests."""

    def check(self, address: Address) -> Verdict:
        """Count a request of *address* and return true when it may pass.

        Args:
            address: as text, as 4 or 16 bytes, or an address of the module `ipaddress`.

        Raises:
            ValueError: if it is no address.
        """
        verdict = self.detector.check(address)
        if verdict is Verdict.NEWLY_BLOCKED:
            self._report(unpack(pack(address)))
        return verdict

    def remove(self, address: Address) -> bool:
        """Forget *address*, blocked or not; return whether it was known.

        Raises:
            ValueError: if it is no address.
        """
        return self.detector.remove(address)

    def retry_after_s(self) -> int:
        """Return the seconds after which an address that sends nothing more is not blocked."""
        return self.detector.retry_after_s()

    def _report(self, ip: str) -> None:
        log.log(self._level, "an address is blocked for flooding", extra={"ip": ip})
        if self._context is not None:
            self._context.status.group("pike").report(f"IP {ip} detected as flooding")
            self._context.raise_event(BLOCKED, {"ip": ip})

    @hookimpl
    def register_events(self, collector: EventCollector) -> None:
        """Declare the event."""
        collector.add(Blocked)

    @hookimpl
    def loaded(self, context: PluginContext) -> None:
        """Keep what raises events."""
        self._context = context
        context.status.group("pike").add(reports=_REPORTS)

    @hookimpl
    def reconfigure(self, options: PikeOptions) -> None:
        """Continue with other options; what is known of addresses stays."""
        self._level = LEVELS[options.pike_log_level]
        self.detector.reconfigure(options)

    @hookimpl
    def start(self, context: PluginContext) -> None:
        """Begin to sweep."""
        context.spawn(self._sweep_periodically())

    async def _sweep_periodically(self) -> None:
        while True:
            await self._sleep(1)
            for freed in self.detector.sweep():
                for ip in freed:
                    log.log(self._level, "an address is not blocked any more", extra={"ip": ip})
                await asyncio.sleep(0)

    @hookimpl
    def management_commands(self, commands: CommandTable) -> None:
        """Contribute the commands."""
        commands.add(
            Command(
                "pike:list",
                ((), ("state",), ("state", "limit")),
                self._list,
                "lists the addresses that are remembered, or with the state 'blocked' those that are blocked",
                ("pike_list",),
            )
        )
        commands.add(Command("pike:rm", (("ip",),), self._remove, "forgets an address, blocked or not", ("pike_rm",)))

    def _list(self, params: Mapping[str, Any]) -> dict[str, Any]:
        state = text_param(params, "state") if "state" in params else "all"
        if state not in {"all", "blocked"}:
            raise invalid_params(f"Bad value for parameter 'state': expected 'all' or 'blocked', got {state!r}")
        limit = int_param(params, "limit") if "limit" in params else _LISTED
        if limit < 0:
            raise invalid_params("Negative limit value")
        nodes = self.detector.nodes(blocked=state == "blocked", limit=limit)
        return {
            "nodes": len(self.detector),
            "blocked": self.detector.blocked_count,
            "detected": self.detector.detected,
            "evicted": self.detector.evicted,
            "untracked": self.detector.untracked,
            "Nodes": Listing(nodes, attrs.asdict),
        }

    def _remove(self, params: Mapping[str, Any]) -> str:
        try:
            known = self.remove(text_param(params, "ip"))
        except ValueError:
            raise invalid_params("Bad value for parameter 'ip': expected an IPv4 or IPv6 address") from None
        if not known:
            raise CommandError(404, "Address not found")
        return "OK"
