"""`EventInterface`: the registry, the leases and the delivery, put together."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Any, Self

from evframe_options import Setting

from evframe.config import Config, CoreOptions, read_config_file
from evframe.exceptions import ConfigError
from evframe.plugins.changes import Changes
from evframe.plugins.compose import compose
from evframe.plugins.manager import PluginStatus
from evframe.plugins.reload import Reload
from evframe.plugins.subscribing import Subscribing
from evframe.subscriptions.channel import Terms
from evframe.subscriptions.leases import Leases
from evframe.subscriptions.raising import Raising
from evframe.subscriptions.roster import Roster

log = logging.getLogger("evframe.interface")


class EventInterface(Raising, Subscribing):
    """Registers events, keeps the leases of subscribers and raises events to them."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        plugins: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
        gateway: bool = False,
    ) -> None:
        """Make an interface.

        Args:
            config: the configuration; the defaults and every installed plugin without one.
            plugins: plugin objects by name instead of the installed ones.
            clock: the monotonic clock of the leases, in seconds.
            gateway: whether a management interface that has no table in the configuration is opened
                with its defaults; in a service, a plugin that is merely installed opens nothing.

        Raises:
            ConfigError: with every problem of the configuration.
        """
        self.composition = composed = compose(config, plugins=plugins, gateway=gateway)
        """The plugins, and what they share."""
        composed.raise_problems()
        self.resolver, self.status = composed.resolver, composed.status
        self.commands = composed.commands
        """The management commands."""
        self.plugins = composed.manager
        """The plugins of this interface; register one here to add it, such as a wrapper round a hook."""
        self.is_gateway = gateway
        """Whether this is the daemon's interface."""
        self.is_running = False
        """Whether the interface is entered, and is not being left."""
        source = composed.config.source
        self.config_path: str | Path | None = None if source is None else source.path
        """The file that `reload` reads."""
        self._settings = () if source is None else source.settings
        self._has_own_plugins = plugins is not None
        registry, notify = composed.registry, composed.manager.notify
        roster = Roster(registry, composed.config.core, self.resolver, notify, composed.manager.collect)
        leases = Leases(registry, roster, clock, notify)
        Raising.__init__(self, registry, roster, composed.config.core)
        Subscribing.__init__(self, registry, leases, composed.transports, composed.manager)
        self._configure(composed.config.core)
        composed.bind(raising=self, leases=self, roster=roster, host=self)
        leases.policies.configure(composed.config.policies, composed.draft.policies)
        for lease in composed.draft.leases.values():
            leases.subscribe(lease.event, lease.address, Terms(lease.expire_s), configured=True)

    def _configure(self, core: CoreOptions) -> None:
        """Apply the options of the core."""
        self.core = core
        """The table ``[core]``."""
        self._roster.configure(core)
        loaded = self.composition.loaded.values()
        self._roster.opens_all = any(getattr(each.plugin, "opens_all_queues", False) for each in loaded)
        self._configure_raising(core)
        self.resolver.every_s, self.resolver.timeout_s = core.resolve_every_s, core.resolve_timeout_s

    @classmethod
    def from_toml(cls, path: str | Path, *, gateway: bool = False, settings: Sequence[Setting] = ()) -> Self:
        """Return an interface with the configuration in the file *path*; see `EventInterface`.

        Args:
            path: of the file, which may include others.
            gateway: see `EventInterface`.
            settings: options whose values replace those of the files, after each `reload` too.

        Raises:
            ConfigError: with every problem, each with its path.
        """
        return cls(read_config_file(path, settings), gateway=gateway)

    def reload(self, config: Config | None = None) -> Changes:
        """Apply the difference between the configuration and *config*, all of it or nothing.

        Leases without a difference stay, with their queued events. Events stay registered, even when
        the new configuration lacks them.

        Args:
            config: the new configuration; None reads the file of `config_path` again.

        Raises:
            ConfigError: with every problem, each with its path; nothing has changed then.
        """
        if config is None:
            if self.config_path is None:
                raise ConfigError(["config: expected a Config, or an interface made by from_toml, got neither"])
            config = read_config_file(self.config_path, self._settings)
        if self._has_own_plugins:
            raise ConfigError(["plugins: expected the installed plugins, which a reload loads, got plugin objects"])
        try:
            wanted = compose(config, gateway=self.is_gateway)
            wanted.raise_problems()
            changes = Reload(self.composition, wanted, self._leases).run()
        except ConfigError as error:
            self.plugins.notify("reload_refused", problems=error.problems)
            raise
        self._configure(config.core)
        self.resolver.refresh_all()
        return changes

    async def __aenter__(self) -> Self:
        self._thread = get_ident()
        status = self.status.group("core")
        status.set_status(-1, "initializing")
        self.resolver.start()
        self._roster.start()
        self._leases.alarm.start()
        self._inbox.start(asyncio.get_running_loop())
        try:
            await asyncio.gather(*self.plugins.collect("prepare"))
            self.composition.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self.is_running = True
        status.set_status(1, "running")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_running = False
        terminating = self.status.group("core").add()
        terminating.status, terminating.details = -2, "shutting down"  # does not call `status_changed`
        timeout_s = self.core.drain_timeout_s
        self._leases.alarm.stop()
        await self.composition.end_tasks(timeout_s)
        self._inbox.flush()
        await self._roster.drain(timeout_s)
        self._inbox.stop()
        self.resolver.close()
        await self.composition.stop(max(1.0, timeout_s))

    @property
    def plugin_status(self) -> list[PluginStatus]:
        """Whether each plugin was loaded, and why not."""
        return self.composition.statuses

    def plugin(self, name: str) -> Any:
        """Return the plugin object called *name*; LookupError when it is not loaded."""
        found = self.plugins.get_plugin(name)
        if found is None:
            raise LookupError(f"expected a loaded plugin, got {name!r}")
        return found
