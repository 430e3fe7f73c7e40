"""The commands of the Events Interface: subscribe, list and raise."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from evframe_wire.visible import brief

from evframe import SocketError, UnknownEventError
from evframe.plugin import (
    CLIENT_KEYS,
    STORED,
    Command,
    CommandError,
    ForbiddenError,
    Listing,
    LogLimiter,
    Terms,
    int_param,
    invalid_params,
    shown_socket,
    text_param,
)
from evframe_mi.client_leases import kept
from evframe_mi.raise_params import values_of
from evframe_mi.requested_policy import POLICY_KEYS, requested_policy
from evframe_mi.subscriber_pages import PAGE_KEYS, SubscriberPages, counted

log = logging.getLogger("evframe.management")
_WAIT_S: Final = 8.0  # for the outcome of an event; clients wait for 10 s, and would not get a later answer

if TYPE_CHECKING:
    from evframe import Event
    from evframe.plugin import Channel, PluginContext, Subscription
    from evframe_mi.client_leases import ClientLeases
    from evframe_mi.policy import Policies


class _Clients(Protocol):
    """What run-time clients may do, and have subscribed."""

    policies: Policies
    leases: ClientLeases


def evi_commands(context: Callable[[], PluginContext], clients: _Clients) -> Iterator[Command]:
    """Yield the ``evi:`` commands; *context* returns the context of the plugin."""
    evi = _Evi(context, clients)
    yield Command(
        "evi:subscribe",
        (("event", "socket"), ("event", "socket", "expire")),
        evi.subscribe,
        "subscribes an event to the Event Interface",
        ("event_subscribe",),
        needs_interface=True,
        optional=tuple(sorted(CLIENT_KEYS)),
        refused=tuple(POLICY_KEYS - CLIENT_KEYS),
    )
    yield Command("evi:list", ((),), evi.list, "lists all the events", ("events_list",))
    yield Command(
        "evi:subscribers",
        ((), ("event",), ("event", "socket")),
        evi.subscribers,
        "lists the subscribers of all events, of one, or one subscriber",
        ("subscribers_list",),
    )
    yield Command(
        "evi:raise",
        (("event",), ("event", "params")),
        evi.raise_,
        "raises an event",
        ("raise_event",),
        needs_interface=True,
        named=(("event", "json"),),
        optional=("until",),
        prepare=evi.prepare,
    )
    yield Command(
        "evi:statistics",
        ((),),
        evi.statistics,
        "counts the outcomes of the events of each subscriber, of all or of a page",
        optional=PAGE_KEYS,
    )
    yield Command(
        "evi:describe",
        ((), ("event",)),
        evi.describe,
        "lists the events with their parameters and how often each was raised, or one of them",
    )


class _Evi:
    def __init__(self, context: Callable[[], PluginContext], clients: _Clients) -> None:
        self._get_context = context
        self._clients = clients
        self._limiter = LogLimiter()

    @property
    def _context(self) -> PluginContext:
        return self._get_context()

    def subscribe(self, params: Mapping[str, Any], interface: str) -> str | asyncio.Future[str]:
        expire = int_param(params, "expire") if "expire" in params else self._context.host.core.default_expire_s
        event = text_param(params, "event")
        socket = text_param(params, "socket")
        if expire < 0:
            raise invalid_params("Negative expire value")
        if socket.startswith("/"):
            socket = f"unix:{socket}"  # a client of the original sends the bare path
        try:
            terms = Terms(expire, interface, requested_policy(params))
            lease = self._clients.leases.subscribe(self._clients.policies.of(interface), event, socket, terms)
        except (UnknownEventError, SocketError) as error:
            # The answer is that of the original; the log has the reason for the operator.
            problem = str(error)
            repeated = self._limiter.due(problem)
            if repeated is not None:
                extra = {"event": event, "problem": problem, "repeated": repeated}
                log.warning("a subscription was refused", extra=extra)
            raise CommandError(400, "Bad parameter value") from None
        except ForbiddenError:
            raise
        except ValueError as error:  # of a key that clients of the original do not send
            raise CommandError(400, "Bad parameter value", str(error)) from None
        waits = [] if lease is None else self._context.plugins.collect("lease_kept", lease=lease)
        return asyncio.ensure_future(kept(waits, _WAIT_S)) if waits else "OK"

    def list(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return {"Events": Listing(self._context.raising.events, lambda event: {"name": event.name, "id": event.id})}

    def describe(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if "event" not in params:
            return {"Events": Listing(self._context.raising.events, _described)}
        try:
            return {"Event": _described(self._context.raising.event(text_param(params, "event")))}
        except UnknownEventError:
            raise CommandError(404, "Event not published") from None

    def subscribers(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if "event" in params:
            return {"Event": self._one(params)}
        self._context.leases.expire()
        return {"Events": Listing((event for event in self._context.raising.events if event.leases), self._event)}

    def _one(self, params: Mapping[str, Any]) -> dict[str, Any]:
        name = text_param(params, "event")
        try:
            event = self._context.raising.event(name)
        except UnknownEventError:
            raise CommandError(404, "Event not published") from None
        if "socket" in params:
            return self._subscriber(event, text_param(params, "socket"))
        self._context.leases.expire()
        return self._event(event) if event.leases else {}

    def _subscriber(self, event: Channel, socket: str) -> dict[str, Any]:
        try:
            text = f"unix:{socket}" if socket.startswith("/") else socket
            lease = self._context.leases.subscription(event.name, text)
        except SocketError:
            lease = None
        if lease is None:
            raise CommandError(404, "Subscriber does not exist")
        return {"name": event.name, "id": event.id, "Subscriber": self._lease(lease)}

    def _event(self, event: Channel) -> dict[str, Any]:
        return {
            "name": event.name,
            "id": event.id,
            "Subscribers": Listing(reversed(event.leases.values()), self._present),
        }

    def _present(self, lease: Subscription) -> dict[str, Any] | None:
        """Return the listing of *lease*; None when the lease has ended since."""
        return self._lease(lease) if lease.event.leases.get(lease.subscriber) is lease else None

    def _lease(self, lease: Subscription) -> dict[str, Any]:
        socket = lease.subscriber.socket
        listed: dict[str, Any] = {"socket": shown_socket(socket), "expire": lease.expire_s or "never"}
        if lease.expire_s:
            listed["ttl"] = self._context.leases.remaining_s(lease) or "expired"
        listed["state"] = self._context.leases.state(lease)
        away = self._context.leases.away(lease)
        if away is not None:
            listed["away"] = away
        if depth := lease.subscriber.depth:
            listed["depth"] = depth
            raised_at = lease.subscriber.queue.oldest
            if raised_at is not None:
                listed["oldest"] = round(max(0.0, time.monotonic() - raised_at), 3)
        return {**listed, **self._context.leases.describe(socket)}

    def statistics(self, params: Mapping[str, Any]) -> dict[str, Any] | asyncio.Future[dict[str, Any]]:
        roster = self._context.roster
        pages = SubscriberPages(self._context)
        if params:
            return pages.page(params)
        return {
            "Events": Listing(self._context.raising.events, _raised),
            "Subscribers": Listing(roster.subscribers, pages.row),
            "Ended": {name: value for name, value in counted(roster.ended.counters()).items() if name != "socket"},
            "Refused": dict(self._clients.policies.refused),
        }

    def prepare(self, params: Mapping[str, Any]) -> Event | CommandError | None:
        """Return the event that *params* raise, or their error; from any thread."""
        try:
            event = self._context.raising.event(text_param(params, "event"))
            return event.snapshot(values_of(params, event), time.monotonic())
        except UnknownEventError:
            return None
        except CommandError as error:
            return CommandError(error.code, error.message, error.data)  # the traceback would keep all frames alive
        except ValueError as error:
            return CommandError(400, "Bad Params", str(error))

    def raise_(
        self, params: Mapping[str, Any], interface: str, prepared: Event | CommandError | None = None
    ) -> str | asyncio.Future[str]:
        name = text_param(params, "event")
        try:
            event = self._context.raising.event(name)
        except UnknownEventError:
            raise CommandError(404, "Event not registered") from None
        self._clients.policies.of(interface).check_raise(name)
        if not event.has_targets:
            raise CommandError(480, "Temporarily Unavailable")
        if isinstance(prepared, CommandError):
            raise prepared
        until = params.get("until")
        if until not in {None, "delivered", "stored"}:
            raise invalid_params(f"until: expected 'delivered' or 'stored', got {brief(until)}")
        try:
            if until is not None:
                return self._raise_and_wait(
                    prepared or event.snapshot(values_of(params, event), time.monotonic()), until
                )
            if prepared is None:
                self._context.raise_event(name, values_of(params, event))
            else:
                self._context.raising.raise_prepared(prepared)
        except ValueError as error:
            raise CommandError(400, "Bad Params", str(error)) from None
        return "OK"

    def _raise_and_wait(self, event: Event, until: Literal["delivered", "stored"]) -> asyncio.Future[str]:
        """Raise *event*, and return what becomes the answer when each of its subscribers has it, or it is on disk."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()

        def end(reasons: Sequence[str | None]) -> None:
            failed = sorted({reason for reason in reasons if reason not in {None, STORED}} - {None})
            if answer.done():
                return
            if failed:
                answer.set_exception(CommandError(500, "Event not delivered", ", ".join(map(str, failed))))
            else:
                answer.set_result("OK")

        timer = loop.call_later(_WAIT_S, end, ["pending"])
        answer.add_done_callback(lambda _: timer.cancel())
        self._context.raising.raise_prepared(event, end, until=until)
        return answer


def _raised(event: Channel) -> dict[str, Any]:
    return {"name": event.name, "id": event.id, "raised": event.raised}


def _described(event: Channel) -> dict[str, Any]:
    """Return *event* with its declaration; without one it has no parameters here, although it may be raised with any.

    Events that are raised otherwise than declared, because the declaration only describes them, are not enforced.
    """
    described: dict[str, Any] = {"name": event.name, "id": event.id, "raised": event.raised}
    declaration = event.declaration
    if declaration is not None:
        described["summary"] = declaration.summary
        described["enforced"] = declaration.enforced
        described["params"] = [
            {"name": name, "type": each.type.__name__, "optional": each.optional, "summary": each.summary}
            for name, each in declaration.params.items()
        ]
    return described
