"""Adds, removes and reconfigures plugins while the interface works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs

from evframe.calls import comes_from_outside
from evframe.config.structuring import FIELD
from evframe.exceptions import ConfigError, PluginError, SocketError
from evframe.plugins.composition import Composition, make_plugin
from evframe.plugins.manager import DISABLED, PluginStatus, naming_hook
from evframe.plugins.transports import own_hook
from evframe.subscriptions.references import has_reference
from evframe.subscriptions.roster import Roster, release

if TYPE_CHECKING:
    from evframe.delivery.sockets import Socket
    from evframe.delivery.subscriber import Subscriber
    from evframe.plugins.transports import Transports

log = logging.getLogger("evframe.plugins")


@attrs.frozen
class _Change:
    """One plugin as it is and as it is wanted; None where it is not loaded."""

    name: str
    old: PluginStatus | None
    new: PluginStatus | None


def _problems(name: str, error: ValueError | OSError | PluginError) -> list[str]:
    """Return the reasons why the plugin *name* refuses its options, each with its path."""
    if isinstance(error, ConfigError):
        return [_placed(name, problem) for problem in error.problems]
    return [_placed(name, (error.strerror if isinstance(error, OSError) else None) or str(error))]


def _placed(name: str, text: str) -> str:
    text = text.removeprefix(f"plugin {name!r}, ")  # the path has the name
    # An error of a hook has the path already; a validator's sentence begins with the name of its field.
    if text.startswith(f"plugins.{name}"):
        return text
    return f"plugins.{name}.{text}" if FIELD.match(text) else f"plugins.{name}: {text}"


class PluginExchange:
    """Makes the plugins of *now* those of *wanted*, of which none has been started.

    A plugin with the hook `reconfigure` gets its new options. A transport without the hook is exchanged: each
    of its subscribers continues with the new transport once the batches under way are over.
    """

    def __init__(self, now: Composition, wanted: Composition, transports: Transports, roster: Roster) -> None:
        self._now = now
        self._wanted = wanted
        self._transports = transports
        self._roster = roster
        self._changes = self._compare()
        self._undo: list[Callable[[], Any]] = []
        self._held: dict[Subscriber, None] = {}  # with batches of an exchanged transport under way
        self._later: list[Callable[[], Any]] = []

    @property
    def changed(self) -> list[str]:
        """The names of the plugins that have changed."""
        return [change.name for change in self._changes]

    def _compare(self) -> list[_Change]:
        old = {status.name: status for status in self._now.statuses if status.problem is None}
        new = {status.name: status for status in self._wanted.statuses if status.problem is None}
        return [
            _Change(name, old.get(name), new.get(name))
            for name in {**old, **new}
            if not (name in old and name in new and self._now.options.get(name) == self._wanted.options.get(name))
            or self._opens(name)
        ]

    def _opens(self, name: str) -> bool:
        """Return whether a management interface is opened, or closed, for its table in the configuration."""
        return (name in self._now.unopened) != (name in self._wanted.unopened)

    def problems(self) -> list[str]:
        """Return the reasons why plugins cannot be changed as wanted."""
        reasons = {status.name: status.problem for status in self._wanted.statuses}
        problems = []
        for change in self._changes:
            name = change.name
            if change.new is None and reasons.get(name, DISABLED) != DISABLED:
                problems.append(f"plugins.{name}: {reasons[name]}")
            elif change.old and change.new and not self._reconfigures(name) and change.old.kind != "transport":
                problems.append(f"plugins.{name}: expected the same options as before, they change with a restart")
        return problems

    def _reconfigures(self, name: str) -> bool:
        return hasattr(self._now.manager.get_plugin(name), "reconfigure")

    def apply(self) -> None:
        """Make the changes.

        Raises:
            ConfigError: if a plugin refuses; nothing has changed then.
        """
        try:
            for change in self._changes:
                self._apply(change)
        except (ValueError, OSError, PluginError) as error:
            self._take_back()
            raise ConfigError(_problems(change.name, error)) from error
        except BaseException:
            self._take_back()
            raise
        for later in self._later:
            later()

    def _take_back(self) -> None:
        for undo in reversed(self._undo):
            try:
                undo()
            except BaseException as error:
                if comes_from_outside(error):
                    raise
                log.exception("a change could not be taken back")

    def _apply(self, change: _Change) -> None:
        name = change.name
        if change.new is None:
            assert change.old is not None
            self._later.append(partial(self._remove, name))
        elif change.old is None:
            self._add(change.new)
        elif self._opens(name):
            self._open(change.old)
        elif self._reconfigures(name):
            undo = self._reconfigure(name, self._wanted.options[name])
            self._undo.append(undo or partial(self._reconfigure, name, self._now.options[name]))
            self._later.append(partial(self._now.options.__setitem__, name, self._wanted.options[name]))
        else:
            self._exchange(change.old)

    def _reconfigure(self, name: str, options: Any) -> Any:
        try:
            return self._now.manager.call("reconfigure", self._now.manager.get_plugin(name), options=options)
        except (ValueError, OSError):
            raise  # these errors mean that the plugin refuses its options
        except Exception:
            with naming_hook(name, "reconfigure"):
                raise

    def _fresh(self, name: str) -> Any:
        """Return a new plugin object like that of the wanted composition, which keeps its object."""
        plugin, options = self._wanted.manager.get_plugin(name), self._wanted.options.get(name)
        return make_plugin(type(plugin), options) if options is not None else plugin

    def _add(self, status: PluginStatus) -> None:
        plugin = self._fresh(status.name)
        self._now.add(status.name, plugin, version=status.version, options=self._wanted.options.get(status.name))
        self._undo.append(partial(self._remove, status.name))
        self._begin(status.name, plugin)

    def _begin(self, name: str, plugin: Any) -> None:
        with naming_hook(name, "loaded", self._wanted.options.get(name)):
            self._now.tell_loaded([plugin])
        self._now.start([plugin])

    def _remove(self, name: str) -> None:
        plugin = self._now.remove(name)
        self._now.spawn(self._now.retire(plugin, self._roster.scheduler.end_timeout_s))

    def _open(self, status: PluginStatus) -> None:
        """Exchange a management interface that the new configuration opens or closes."""
        was, self._now.unopened = self._now.unopened, self._now.unopened ^ {status.name}
        self._undo.append(partial(setattr, self._now, "unopened", was))
        self._exchange(status)

    def _exchange(self, status: PluginStatus) -> None:
        name = status.name
        old, options = self._now.manager.get_plugin(name), self._now.options.get(name)
        new = self._fresh(name)
        transport = self._transports.get(name)
        subscribers = [] if transport is None else self._roster.of_transport(transport)
        sockets = [subscriber.socket for subscriber in subscribers]
        release_old = own_hook(self._now.manager, "unsubscribed", old)
        self._now.exchange(name, new, self._wanted.options[name])
        self._undo.append(lambda: self._exchange_back(name, old, options, new))
        self._begin(name, new)
        self._later.append(partial(self._go_on, subscribers))
        self._later.append(lambda: self._now.spawn(self._retire(old, subscribers, sockets, release_old)))

    def _exchange_back(self, name: str, old: Any, options: Any, new: Any) -> None:
        self._now.exchange(name, old, options)
        self._now.spawn(self._now.retire(new, self._roster.scheduler.end_timeout_s))

    def _go_on(self, subscribers: list[Subscriber]) -> None:
        """Resume the subscribers of an exchanged transport, each once its batches under way are over."""
        for subscriber in subscribers:
            self._held[subscriber] = None
            subscriber.hold(partial(self._held.pop, subscriber))
            try:
                socket = self._transports.parse(subscriber.text, configured=has_reference(subscriber.text)).socket
            except SocketError:
                continue  # its lease ends with this reload
            if socket.canonical == subscriber.socket.canonical:
                subscriber.adopt(socket)

    async def _retire(
        self, old: Any, subscribers: list[Subscriber], sockets: list[Socket], released: Callable[..., Any] | None
    ) -> None:
        """Release a transport that was exchanged, once it has no batches under way."""
        try:
            async with asyncio.timeout(self._roster.scheduler.end_timeout_s):
                while any(subscriber in self._held for subscriber in subscribers):  # noqa: ASYNC110 an asyncio.Event would slow every batch
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pass
        if released is not None:
            for socket in sockets:
                release(released, socket)
        await self._now.retire(old, self._roster.scheduler.end_timeout_s)
