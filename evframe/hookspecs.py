"""Every hook of evframe. Hooks are synchronous; arguments are passed by keyword."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from evframe.batch import Batch
    from evframe.context import PluginContext
    from evframe.management.commands import CommandTable
    from evframe.plugins import EventCollector
    from evframe.sockets import Socket

hookspec = pluggy.HookspecMarker("evframe")
hookimpl = pluggy.HookimplMarker("evframe")


@hookspec
def register_events(collector: EventCollector) -> None:
    """Declare the events that the plugin raises; called once, when the plugin is loaded.

    Args:
        collector: call `collector.add(name, params)` once for each event.
    """


@hookspec(firstresult=True)
def on_subscribe(scheme: str, rest: str) -> Socket | None:
    """Parse a subscriber's socket; called for each subscription, before anything changes.

    Return None for the schemes of others. Raise ValueError with one sentence that names the
    accepted form when the text does not fit the grammar.

    Args:
        scheme: the text before the first colon.
        rest: everything after it, untouched.
    """


@hookspec(firstresult=True)
def deliver(socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
    """Send a batch to one subscriber.

    Return True when every event has its outcome, or an awaitable that ends when it has. Events
    not passed to `batch.fail` count as delivered. Raise `Unavailable` to have those that were
    neither failed nor passed to `batch.confirm` kept and tried again, `Rejected` to have them
    counted as failed.

    The next batch of a subscriber waits for the one before, unless the plugin has an attribute
    `in_flight`: so many events of a subscriber may be under way at the same time, and
`evframe.ordering.Ordering` keeps its batches in order. A batch has
    at most 1024 events, or as many as the plugin's attribute `batch_events` says. A plugin whose attribute
    `reads_params` is true gets `event.params` at no further cost; for others they are read from
    `event.payload` at the first use.

    An empty batch asks whether the peer can be reached: return or raise as for events.

    Args:
        socket: what the plugin returned from `on_subscribe`.
        batch: the events, oldest first.
    """


@hookspec
def unsubscribed(socket: Socket) -> None:
    """Release what belongs to a subscriber that has ended; called once for each socket."""


@hookspec
def management_commands(commands: CommandTable) -> None:
    """Contribute management commands; called once, when the plugin is loaded.

    Args:
        commands: call `commands.add(command)` once for each.
    """


@hookspec(firstresult=True)
def describe(socket: Socket) -> dict[str, Any] | None:
    """Tell more about a subscriber than its counters; what is returned is part of its listing.

    Args:
        socket: what the plugin returned from `on_subscribe`; None for those of others.
    """


@hookspec
def loaded(context: PluginContext) -> None:
    """Keep what a plugin may do; called once, when all are loaded, before any subscription.

    Args:
        context: what a plugin may do with the interface; it can `spawn` from `start` on.
    """


@hookspec
def start(context: PluginContext) -> None:
    """Begin to work; called once, on the running loop, in the order of loading.

    Bind listening sockets here, so that an address in use is an error of the start, and
    give everything that goes on to `context.spawn`.

    Args:
        context: what a plugin may do with the interface.
    """


@hookspec
def stop() -> Awaitable[Any] | None:
    """Release what the plugin holds; called once when the interface is left, after the last `deliver`.

    An awaitable that is returned is waited for, for as long as the core's `drain_timeout_s`.
    """
