"""Adds, removes and reconfigures plugins while the interface works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Final

import attrs
from evframe_options import FIELD

from evframe.calls import comes_from_outside
from evframe.delivery.sockets import Socket
from evframe.delivery.subscriber import Subscriber
from evframe.exceptions import ConfigError, PluginError, SocketError
from evframe.plugins.compose import make_plugin
from evframe.plugins.composition import Composition, Loaded
from evframe.plugins.manager import DISABLED, naming_hook
from evframe.subscriptions.references import has_reference
from evframe.subscriptions.roster import Roster, release

log = logging.getLogger("evframe.plugins")
_HAS_QUEUES: Final = "expected it as before, because subscribers have queues of it; it is removed with a restart"


class PluginSwap:
    """Makes the plugins of *now* those of *wanted*, of which none has been started.

    A plugin with the hook `reconfigure` gets its new options. A transport without the hook is exchanged: each
    of its subscribers continues with the new transport once the batches under way are over.
    """

    def __init__(self, now: Composition, wanted: Composition, roster: Roster) -> None:
        self._now = now
        self._wanted = wanted
        self._roster = roster
        names = sorted({**now.loaded, **wanted.loaded})
        self.changed = [name for name in names if _differ(now.loaded.get(name), wanted.loaded.get(name))]
        """The names of the plugins that change."""
        self._held: dict[Subscriber, None] = {}  # with batches of an exchanged transport under way
        self._later: list[Callable[[], Any]] = []

    def problems(self) -> list[str]:
        """Return the reasons why plugins cannot be changed as wanted."""
        problems = []
        for name in self.changed:
            old, new = self._now.loaded.get(name), self._wanted.loaded.get(name)
            status = self._wanted.refused.get(name)
            if new is None and status is not None and status.problem != DISABLED:
                problems.append(f"plugins.{name}: {status.problem}")
            elif new is None and old and getattr(old.plugin, "has_queues", False):
                problems.append(f"plugins.{name}: {_HAS_QUEUES}")
            elif old and new and not _reconfigures(old) and old.status.kind != "transport":
                problems.append(f"plugins.{name}: {_kept_options(old, new)}")
        return problems

    def apply(self) -> None:
        """Make the changes.

        Raises:
            ConfigError: if a plugin refuses; nothing has changed then.
        """
        with ExitStack() as self._undo:
            for name in self.changed:
                try:
                    self._apply(name)
                except (ValueError, OSError, PluginError) as error:
                    raise ConfigError(_problems(name, error)) from error
            self._undo.pop_all()
        for later in self._later:
            later()

    def _on_error(self, undo: Callable[[], Any]) -> None:
        """Have *undo* called when a later change is refused."""

        def call() -> None:
            try:
                undo()
            except BaseException as error:
                if comes_from_outside(error):
                    raise
                log.exception("a change could not be taken back")

        self._undo.callback(call)

    def _apply(self, name: str) -> None:
        old, new = self._now.loaded.get(name), self._wanted.loaded.get(name)
        if new is None:
            self._later.append(partial(self._remove, name))
        elif old is None:
            self._add(new)
        elif _reconfigures(old) and old.is_opened == new.is_opened:
            undo = self._reconfigure(old, new.options)
            self._on_error(undo or partial(self._reconfigure, old, old.options))
            self._later.append(partial(setattr, old, "options", new.options))
        else:
            self._exchange(old, new)

    def _reconfigure(self, loaded: Loaded, options: Any) -> Any:
        try:
            return self._now.manager.call("reconfigure", loaded.plugin, options=options)
        except (ValueError, OSError):
            raise  # these errors mean that the plugin refuses its options
        except Exception:
            with naming_hook(loaded.name, "reconfigure"):
                raise

    def _fresh(self, wanted: Loaded) -> Loaded:
        """Return a plugin like *wanted*, whose object stays with the wanted composition."""
        options = wanted.options
        plugin = wanted.plugin if options is None else make_plugin(type(wanted.plugin), options)
        return self._now.make(wanted.name, plugin, version=wanted.version, options=options, is_opened=wanted.is_opened)

    def _add(self, wanted: Loaded) -> None:
        new = self._fresh(wanted)
        self._now.add(new)
        self._on_error(partial(self._remove, new.name))
        self._begin(new)

    def _begin(self, new: Loaded) -> None:
        with naming_hook(new.name, "loaded", new.options):
            self._now.notify_loaded(new)
        self._now.start([new])

    def _remove(self, name: str) -> None:
        self._dispose(self._now.remove(name))

    def _dispose(self, loaded: Loaded) -> None:
        self._now.spawn(self._now.dispose(loaded, self._roster.scheduler.end_timeout_s))

    def _exchange(self, old: Loaded, wanted: Loaded) -> None:
        new = self._fresh(wanted)
        transport = self._now.transports.get(old.name)
        subscribers = [] if transport is None else self._roster.of_transport(transport)
        sockets = [subscriber.socket for subscriber in subscribers]
        release_old = self._now.manager.own_hook("unsubscribed", old.plugin)
        self._now.exchange(new)
        self._on_error(lambda: self._dispose(self._now.exchange(old)))
        self._begin(new)
        self._later.append(partial(self._resume_subscribers, subscribers))
        self._later.append(lambda: self._now.spawn(self._release(old, subscribers, sockets, release_old)))

    def _resume_subscribers(self, subscribers: list[Subscriber]) -> None:
        """Resume the subscribers of an exchanged transport, each once its batches under way are over."""
        for subscriber in subscribers:
            self._held[subscriber] = None
            subscriber.hold(partial(self._held.pop, subscriber))
            try:
                text = subscriber.text
                socket = self._now.transports.parse(text, configured=has_reference(text)).socket
            except SocketError:
                continue  # its lease ends with this reload
            if socket.canonical == subscriber.socket.canonical:
                subscriber.adopt(socket)

    async def _release(
        self, old: Loaded, subscribers: list[Subscriber], sockets: list[Socket], released: Callable[..., Any] | None
    ) -> None:
        """Release a transport that was exchanged, once it has no batches under way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._roster.scheduler.end_timeout_s):
                while any(subscriber in self._held for subscriber in subscribers):  # noqa: ASYNC110 an asyncio.Event would slow every batch
                    await asyncio.sleep(0.01)
        if released is not None:
            for socket in sockets:
                release(released, socket)
        await self._now.dispose(old, self._roster.scheduler.end_timeout_s)


def _differ(old: Loaded | None, new: Loaded | None) -> bool:
    """Return whether a plugin, None where it is not loaded, is changed by a reload."""
    if old is None or new is None:
        return True
    return bool(old.options != new.options) or old.is_opened != new.is_opened


def _reconfigures(loaded: Loaded) -> bool:
    return hasattr(loaded.plugin, "reconfigure")


def _kept_options(old: Loaded, new: Loaded) -> str:
    """Return what is expected of the options of a plugin that takes no others, without values, which may be secret."""
    fields = attrs.fields(type(new.options)) if type(old.options) is type(new.options) else ()
    changed = [each for each in fields if getattr(old.options, each.name) != getattr(new.options, each.name)]
    names = ", ".join(each.name if each.init else "a file that an option names" for each in changed)
    return f"expected the same options as before, they change with a restart; got another value of {names or 'them'}"


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
