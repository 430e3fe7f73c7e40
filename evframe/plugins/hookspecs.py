"""Every hook of evframe. Hooks are synchronous; arguments are passed by keyword."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from evframe.plugins.markers import hookspec

if TYPE_CHECKING:
    from evframe_resolver import HostAddress, Network

    from evframe.command_line import CommandLine
    from evframe.config import Policy
    from evframe.delivery.batch import Batch
    from evframe.delivery.queues import Queue
    from evframe.delivery.sockets import Socket
    from evframe.delivery.statistics import StatisticGroup
    from evframe.delivery.subscriber import Subscriber
    from evframe.events.event import Event
    from evframe.plugins.changes import Changes
    from evframe.plugins.commands import CommandTable
    from evframe.plugins.context import PluginContext
    from evframe.plugins.manager import EventCollector
    from evframe.plugins.status import StatusChange
    from evframe.plugins.workers import WorkerGroup
    from evframe.subscriptions.channel import Channel, Filter, LeaseChange, Subscription


@hookspec
def register_events(collector: EventCollector) -> None:
    """Declare the events that the plugin raises; called once, when the plugin is loaded.

    Args:
        collector: call `collector.add(name, params)` once for each event.
    """


@hookspec
def register_cli(commands: CommandLine) -> None:
    """Contribute commands to the command line `evframe`; called when the line names no command of the core.

    The hook is implemented by a module or an object that an entry point in the group `evframe.cli` names. The module
    is loaded for the command line alone, and should import quickly.

    Args:
        commands: call `commands.add(command)` once for each command of click.
    """


@hookspec(firstresult=True)
def on_subscribe(scheme: str, rest: str) -> Socket | None:
    """Parse a subscriber's socket; called for each subscription, before anything changes.

    Return None for the schemes of other plugins. Raise ValueError with one sentence that names the
    accepted form when the text does not fit the grammar.

    References to secrets in configured sockets, such as `${env:NAME}`, are replaced before the call.

    When the plugin refuses a URL of one of its schemes, such as ``udp://host:port``, the error suggests the matching
    socket.

    Args:
        scheme: the text before the first colon.
        rest: everything after it.
    """


@hookspec(firstresult=True)
def deliver(socket: Socket, batch: Batch) -> Awaitable[None] | bool | None:
    """Send a batch to one subscriber.

    Return True when every event has its outcome, or an awaitable that ends when every event has. Events
    not passed to `batch.fail` count as delivered. Raise `Unavailable` to retry the events that were
    passed neither to `batch.fail` nor to `batch.confirm`, or `Rejected` to count these events as failed.

    The next batch of a subscriber waits for the one before, and has at most 1024 events, unless the attribute `limits`
    of the plugin, an `evframe.plugin.Limits`, says otherwise.

    An empty batch is a probe of the peer: return or raise as for events. Do not create anything, such as a
    file, because the file would belong to the user who checks a configuration.

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
        commands: call `commands.add(command)` once for each; a name that cannot be called is an error of the plugin.
    """


@hookspec(firstresult=True)
def describe(socket: Socket) -> dict[str, Any] | None:
    """Return more about a subscriber than its counters; what plugins return is part of its listing.

    Args:
        socket: what the plugin returned from `on_subscribe`; None for those of others.
    """


@hookspec
def worker_groups() -> Iterable[WorkerGroup] | None:
    """Return the plugin's groups of workers, so that other plugins can observe their load and change their number."""


@hookspec
def statistics() -> Sequence[StatisticGroup] | None:
    """Return the plugin's counters, by group; called for each command that reads statistics.

    Return at once, with numbers that the plugin keeps anyhow. An error is logged, and the other plugins are called.
    """


@hookspec(firstresult=True)
def check_lease(socket: Socket, interface: str) -> bool | None:
    """Check a lease that an earlier process kept, before it is made again.

    Return True to permit it, and None when the rules of *interface* are not the plugin's. Raise `ForbiddenError` to
    refuse it. The lease of an interface whose rules no plugin has is refused, because they are not known.

    Args:
        socket: what a transport returned from `on_subscribe`.
        interface: the name of the management interface whose client made the lease; empty where none is known.
    """


@hookspec(firstresult=True)
def check_target(socket: Socket, interface: str) -> bool | None:
    """Check a socket that a client of *interface* has events sent to without a lease, such as those of a replay.

    Return True to permit it. Raise `ForbiddenError` to refuse it. `check_lease` has the same arguments.
    """


@hookspec
def check_policy(policy: Policy, event: Channel | None) -> None:
    """Check what the plugin needs of a policy, before anything changes.

    The plugin's attribute `policy_keys` names the keys that it follows; a key that no loaded plugin follows is an
    error. Raise ValueError with one sentence that begins with the key, as in ``where: expected ..., got ...``.

    Args:
        policy: of the configuration, or as it is requested.
        event: the event of the lease; None for one of the ``[[policies]]``.
    """


@hookspec(firstresult=True)
def compile_filter(dialect: str, text: str) -> Filter | None:
    """Return the filter of an expression; raise ValueError with one sentence when it is not valid.

    Args:
        dialect: the text before the first colon of ``cel:...``, empty without one; return None for those of others.
        text: what follows.
    """


@hookspec(firstresult=True)
def open_queue(subscriber: Subscriber, room: int, policy: Policy, wake: Callable[[], None]) -> Queue | None:
    """Return the queue in which the events of a subscriber wait, with those of an earlier process if there are.

    Called when a subscriber without events gets a policy, until its queue is one that outlives the process. Where a
    loaded plugin has the attribute `opens_all_queues`, the hook is called for each lease that is made or refreshed, so
    that subscribers without a policy can have such a queue, too; a configuration may have one such plugin. Return None
    for a queue in memory. The first queue that a plugin returns is used, and no other plugin is called, because a queue
    that is opened takes what an earlier process has left for it; an error is logged. Members of combined subscribers
    have queues in memory always.

    A queue that needs its plugin would take events and never deliver them without it. A plugin with such queues says
    so in its attribute `has_queues`, which may be a property: while it is true, a reload that removes the plugin is
    refused.

    Args:
        subscriber: with its socket and text; `evframe.plugin.Subscriber`.
        room: how many events may wait in memory.
        policy: of the subscriber; a later one comes with `Queue.configure`.
        wake: to be called on the loop's thread when events have come into the queue by themselves.
    """


@hookspec(firstresult=True)
def limit_queue(queue: Queue, subscriber: Subscriber, policy: Policy, wake: Callable[[], None]) -> Queue | None:
    """Return a queue round *queue* that decides when its events are sent, and which are dropped.

    Called when the policy of a subscriber changes. The plugin that was loaded last is called first; None is returned
    for policies that need no such queue, and when *queue* is the plugin's already. An error is logged.

    Args:
        queue: with the events that wait.
        subscriber: fails what is dropped, with `fail_events`.
        policy: as for `open_queue`.
        wake: as for `open_queue`.
    """


@hookspec
def lease_changed(lease: Subscription, change: LeaseChange) -> None:
    """Observe leases; called after each change, on the loop's thread once the interface is entered.

    A subscriber whose last lease has ended is ended after the call, and the hook `subscriber_released` follows. An
    implementation with ``tryfirst`` is called before the others; no event is delivered to a new lease before that. An
    error is logged and changes nothing. Leases that exist when the interface is left do not end.

    Args:
        lease: as it is now.
        change: ``made``, ``restored`` when an earlier process made it, ``refreshed``, ``expired`` at
            its time, or ``ended`` by an unsubscription.
    """


@hookspec
def lease_kept(lease: Subscription) -> Awaitable[None] | None:
    """Return what ends when the present state of a lease is kept elsewhere, such as at other processes.

    A management interface calls this after it has made, refreshed or ended a lease for a client, and answers when
    all awaitables have ended. An error, or none that ends in time, is answered as an error, and the lease stays as it
    is. Return None when nothing is to be waited for. An error of the call is logged.

    Args:
        lease: as it is now; one that has ended is not among the leases of its event.
    """


@hookspec
def lease_due(lease: Subscription) -> float | None:
    """Return the seconds by which a lease whose time is over lives on; None, or 0, to have it end.

    Called at the time of the lease, and again at the end of each prolongation. The longest of several results counts;
    an error is logged.

    Args:
        lease: its clock has run out.
    """


@hookspec
def subscriber_released(subscriber: Subscriber) -> None:
    """Observe a subscriber that has ended and has no events left; called before its host names are released.

    Args:
        subscriber: the `subscriber` of the leases that it had.
    """


@hookspec
def events_failed(
    subscriber: Subscriber, events: Sequence[Event], reasons: Sequence[str], error: BaseException | None
) -> None:
    """Keep events that have failed for good, for a subscriber whose policy has `dead_letter`.

    Called before the outcomes are reported, once for each event; not for those that the inbox of other threads has no
    room for. An error is logged. Return at once.

    Args:
        subscriber: did not get them.
        events: in their order.
        reasons: of each, such as ``rejected``, ``too_large`` or ``queue_full``.
        error: the last error of the transport that is known.
    """


@hookspec
def delivery_changed(socket: Socket, reason: str | None, event: Event | None) -> None:
    """Observe that deliveries to a subscriber begin to fail, or work again; called once for each change.

    Deliveries of events that are declared `is_meta` never trigger this hook, so that a plugin can raise such an
    event here without causing itself another call.

    Args:
        socket: the subscriber's.
        reason: of the first failure; None when deliveries work again.
        event: the first that failed or waits; None when a probe has failed, and when deliveries work again.
    """


@hookspec
def status_changed(change: StatusChange) -> None:
    """Observe that an identifier in the registry of statuses has another status.

    Args:
        change: the identifier, with its old and its new status.
    """


@hookspec
def connection_closed(peer: tuple[str, int], local: tuple[str, int], protocol: str) -> None:
    """Observe that a connection of a plugin is closed, by either side; not when the interface is left.

    Args:
        peer: host and port of the far side.
        local: host and port of this side.
        protocol: in a word such as ``tcp`` or ``http``.
    """


@hookspec
def host_answered(host: str) -> None:
    """Observe that the resolver has other addresses of a host name in use; called before they are used.

    Args:
        host: the name, as it is in the endpoints of sockets.
    """


@hookspec(firstresult=True)
def networks_beyond(endpoints: Iterable[tuple[str, int]]) -> tuple[Network, ...] | None:
    """Return the networks that hosts named by the peers at *endpoints* must be in; None for any.

    Transports whose peers name further hosts ask for them, with `context.networks_beyond`. An error ends the attempt
    to connect.

    Args:
        endpoints: the hosts and ports of a socket.
    """


@hookspec
def addresses_changed(host: str, addresses: tuple[HostAddress, ...]) -> None:
    """Exchange the connections to a host name whose addresses have changed, without losing events.

    Called for a name that subscribers use. A connection to an address that the name still has may stay.

    Args:
        host: the name, as it is in the endpoints of sockets.
        addresses: the present addresses, with port 0; empty when the policy permits none.
    """


@hookspec
def event_registered(event: Channel) -> None:
    """Observe an event that is registered after the plugins were loaded.

    Args:
        event: its definition.
    """


@hookspec(firstresult=True)
def reconfigure(options: Any) -> Callable[[], Any] | None:
    """Apply other options while the plugin works, when the configuration is reloaded.

    Called when the new options are not equal to the old ones; `evframe.plugin.file_digests` extends the
    comparison to the contents of files. Raise ValueError or OSError to refuse the new options, and keep the
    old ones: nothing of the new configuration is applied. When another plugin refuses afterwards, the change
    is undone: the returned function is called, or else this hook with the old options. No turn of the loop
    passes in between.

    A transport without this hook is exchanged for a new one, and its subscribers continue with the new one;
    another plugin without the hook refuses every change.

    Args:
        options: of the plugin's class `Options`.
    """


@hookspec
def reloaded(changes: Changes) -> None:
    """Apply what depends on the whole configuration, after a reload has applied it; called in the same turn.

    Not called for a reload that was refused. An error is raised by the reload, which is applied nevertheless.

    Args:
        changes: what has changed; a plugin adds leases that it ends to `ended`, and what else it changes to
            `reported`.
    """


@hookspec
def reload_refused(problems: Sequence[str]) -> None:
    """Observe that the configuration was not loaded again, and that the one before holds; called in the same turn.

    An error is logged.

    Args:
        problems: each with its place; the caller of the reload gets them, too.
    """


@hookspec
def loaded(context: PluginContext) -> None:
    """Keep the context; called once, when all plugins are loaded, before any subscription.

    Change nothing outside this process here, because a check of the configuration loads the plugins, too, and makes
    no interface: the context registers events, subscribes and parses sockets, and raises no events before `start`.

    When a library logs problems that its plugin logs, too, the plugin names the library's loggers in an attribute
    `library_logs`. The gateway drops the lines of these loggers, unless its log is at DEBUG.

    Args:
        context: what a plugin may do with the interface; `spawn` is an error before `start`. An installed plugin
            that raises here is removed, with the reason in its status; the others are loaded.
    """


@hookspec
def prepare() -> Awaitable[Any] | None:
    """Return what has to be over before any plugin is started, such as reading what other processes know.

    Called once on the running loop, when the configured subscriptions exist; a plugin that a reload adds is not asked.
    Events that are raised meanwhile are delivered. An error of an awaitable ends the start of the interface, and `stop`
    follows; an error of the call is logged.
    """


@hookspec
def start(context: PluginContext) -> None:
    """Begin to work; called once, on the running loop, in the order of loading.

    Bind listening sockets here, so that an address in use is an error of the start, and
    run all lasting work with `context.spawn`. An error ends the start of the interface, and gets
    the plugin and the hook in its text: an OSError stays one, a ValueError becomes a ConfigError,
    any other error a PluginError. A ValueError whose text begins with the name of an option, as
    in ``size: expected 2, got 1``, gets the path of the option.

    Args:
        context: what a plugin may do with the interface.
    """


@hookspec
def stop() -> Awaitable[Any] | None:
    """Release what the plugin holds; called once when the interface is left, after the last `deliver`.

    The plugin that was loaded last is called first.

    An awaitable that is returned is waited for, for as long as the core's `drain_timeout_s`.
    """


NAMES: Final = tuple(name for name, hook in vars().items() if hasattr(hook, "evframe_spec"))
"""The names of the hooks."""
