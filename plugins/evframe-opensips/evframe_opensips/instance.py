"""One live instance: subscribed to, looked after, and left."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from evframe_client import AsyncClient, ManagementError
from evframe_client.addresses import subscriber_text
from evframe_client.gateway_leases import GatewayLeases
from evframe_client.held_leases import HeldLeases
from evframe_client.payload_reader import PayloadReader
from evframe_ingest import LARGE_BYTES
from evframe_wire.backoff import delay_s

from evframe.plugin import LogLimiter, PluginContext
from evframe_opensips.catalogue import Choice
from evframe_opensips.endpoints import bind, is_endpoint, own_address
from evframe_opensips.intake import InstanceIntake
from evframe_opensips.options import InstanceOptions, Options
from evframe_opensips.origins import Loop, Origins

log = logging.getLogger("evframe.opensips")
GROUP: Final = "opensips"
_PATIENCE_S: Final = 1.0
_REPORTS: Final = 20


class Instance:
    """Keeps the leases at one instance, and raises what it sends.

    Args:
        options: the instance's own.
        settings: those of the plugin.
        choice: which events are wanted.
        origins: whose events are raised here.
        context: of the plugin.
        clock: the monotonic clock, in seconds.

    Raises:
        OSError: if the events cannot arrive where they should.
    """

    def __init__(  # noqa: PLR0913, PLR0917 what an instance has to do with
        self,
        options: InstanceOptions,
        settings: Options,
        choice: Choice,
        origins: Origins,
        context: PluginContext,
        clock: Callable[[], float],
    ) -> None:
        self.name = options.name
        self._options = options
        self._settings = settings
        self._choice = choice
        self._origins = origins
        self._context = context
        self._clock = clock
        self.intake = InstanceIntake(context, self.name, settings.instance_param, clock)
        self._receiver, self._is_handed_over = bind(options, settings, self._connection_lost)
        self._reader = PayloadReader(self._receiver, self.intake, LARGE_BYTES)
        self._status = context.status.group(GROUP)
        self._status.add(self.name, -1, "connecting", reports=_REPORTS)
        self._leases = HeldLeases(clock)
        self._attached = False
        self._is_other = False  # it has other options, and has to be left first
        self._is_stale = False  # it has other options
        self._is_bridge = False
        self._is_abandoned = False  # it is not in the configuration any more
        self._wake = asyncio.Event()
        self._renew_all = False
        self._patient_until = -math.inf
        self._limiter = LogLimiter(clock=clock)

    async def run(self) -> None:
        """Look after the instance until cancelled; then leave it, and raise what has arrived by then.

        A socket that another process holds is left to it with its leases, which the next gateway takes over.
        It is read from the first look on: what waits in it would be unexpected before.
        """
        attempts = 0
        try:
            while True:
                if not self._is_handed_over:
                    self._reader.begin()
                try:
                    await self._look()
                    self._reader.begin()
                except (ManagementError, OSError, ValueError, Loop) as error:
                    attempts += 1
                    await self._report_away(error)
                else:
                    attempts = 0
                await self._rest(delay_s(attempts) if attempts else self._settings.check_interval_s)
        finally:
            try:
                if self._is_handed_over and not self._is_abandoned:
                    self._origins.leave(self.name)
                else:
                    await self._leave()
            finally:
                await self._reader.end()

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        self._wake.clear()

    async def _look(self) -> None:
        """Find out what the instance has, and subscribe to what is missing or soon over."""
        if self._is_other:
            self._is_other = self._attached = False
            await self._leave()
        if not self._attached or self._is_stale:
            self._is_stale = False
            self._leases.reach(await self._connect())
        leases = self._leases
        events, leases.refused = self.intake.expect(self._choice.among(await leases.gateway.events()))
        found = await leases.look(events)
        started_anew = bool(leases.left_s) and not found  # and may be another bridge now
        if not self._attached or self._is_bridge or started_anew:
            self._is_bridge = await self._origins.join(self.name, leases.gateway.call)
        lost = leases.record(found, events)
        if lost:
            self._report("everything was lost" if started_anew else f"{lost} leases were lost")
        renew_all, self._renew_all = self._renew_all, False
        await leases.renew(events, every=renew_all)
        self._report_leases()

    async def _connect(self) -> GatewayLeases:
        settings = self._settings
        client = await asyncio.to_thread(self._client)  # which may import h11, and read files
        try:
            async with asyncio.timeout(settings.timeout_s):
                host = self._options.advertise or await own_address(self._options, settings, self._context.resolver)
        except TimeoutError:
            raise OSError("expected the address of its host in time") from None
        socket = subscriber_text(self._options.transport, self._receiver.address, host)
        return GatewayLeases(client.call, socket, settings.expire_s)

    def _client(self) -> AsyncClient:
        own, timeout_s = self._options, self._settings.timeout_s
        return AsyncClient(own.url, timeout_s, own.token, token_file=own.token_file, shown=own.shown_url)

    def _report_leases(self) -> None:
        """Report which events are subscribed at the instance, and what it refuses."""
        count, problems = len(self._leases.left_s), self._leases.refused
        refused = f"{len(problems)} refused: {next(iter(problems.values()))}" if problems else ""
        if count:
            text = f"{count} events" + (f", {refused}" if refused else "")
        else:
            text = refused or "it has none of the chosen events"
        self._status.set_status(1 if count else -1, text, self.name)
        if not self._attached:
            self._attached = True
            self._report("attached")
            log.info("an instance is attached", extra={"instance": self.name, "events": count})

    async def _report_away(self, error: Exception) -> None:
        """Report why the instance cannot be used now."""
        problem = str(error)
        if self._attached:
            self._limiter.forget("away")
        repeated = self._limiter.due("away")
        if repeated is not None:
            extra = {"instance": self.name, "problem": problem, "repeated": repeated}
            log.warning("an instance is away", extra=extra)
            self._report(problem)
        self._attached = False
        self._status.set_status(-1, problem, self.name)
        if isinstance(error, Loop):
            self.intake.expected = ()
            await self._leave()

    def _report(self, text: str) -> None:
        self._status.report(text, self.name)

    async def _leave(self) -> None:
        """End the leases, as far as the instance answers in time."""
        self._origins.leave(self.name)
        try:
            ended = await self._leases.end(self._settings.timeout_s)
        except (ManagementError, TimeoutError) as error:
            log.warning(
                "leases are left to end by themselves",
                extra={"instance": self.name, "problem": str(error), "expire_s": self._settings.expire_s},
            )
        else:
            if ended:
                log.info("an instance was left", extra={"instance": self.name, "events": ended})

    def adopt(self, options: InstanceOptions, settings: Options, choice: Choice) -> None:
        """Continue with other options, of which `keeps_endpoint` says that they can be adopted."""
        self._is_other = self._is_other or (
            (options.url, options.advertise) != (self._options.url, self._options.advertise)
        )
        self._is_stale = True
        self._options, self._settings, self._choice = options, settings, choice
        self.intake.instance_param = settings.instance_param
        self._wake.set()

    def keeps_endpoint(self, options: InstanceOptions, settings: Options) -> bool:
        """Return whether its events can arrive where they do now with other options, too."""
        return is_endpoint(self._receiver.address, options, settings) and options.transport == self._options.transport

    def abandon(self) -> None:
        """End its leases when it is left, even if another process holds its socket."""
        self._is_abandoned = True

    def close(self) -> None:
        """Take nothing more from the instance."""
        self._receiver.close()

    def resubscribe(self) -> None:
        """Subscribe to everything again, now."""
        self._renew_all = True
        self._wake.set()

    def _connection_lost(self) -> None:
        """Look at once whether the instance is still there, but not for each connection of another program."""
        now = self._clock()
        if now >= self._patient_until:
            self._patient_until = now + _PATIENCE_S
            self._wake.set()

    def describe(self) -> dict[str, Any]:
        """Return what the listing has of the instance."""
        now, intake, leases = self._clock(), self.intake, self._leases
        status = self._status.find(self.name)
        return {
            "name": self.name,
            "url": self._options.shown_url,
            "socket": leases.socket,
            "ready": status is not None and status.ready,
            "details": None if status is None else status.details,
            "events": sorted(leases.left_s),
            "refused_events": leases.refused,
            "lease_left_s": leases.shortest_s,
            "received": intake.received,
            "raised": intake.raised,
            "refused": dict(intake.refused),
            "unparsed": intake.unparsed,
            "dropped": intake.dropped,
            "lost_leases": leases.lost,
            "seen_s_ago": None if intake.seen_at is None else round(now - intake.seen_at, 3),
        }
