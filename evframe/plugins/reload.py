"""Reloads the configuration while the interface works: all of it, or nothing."""

from __future__ import annotations

import attrs

from evframe.exceptions import ConfigError, SocketError
from evframe.plugins.changes import Changes
from evframe.plugins.composition import Composition
from evframe.plugins.draft import DraftLease
from evframe.plugins.swap import PluginSwap
from evframe.subscriptions.channel import Channel, Subscription, Terms
from evframe.subscriptions.leases import Leases, check_parameters
from evframe.subscriptions.references import has_reference


class Reload:
    """One reload, which changes the working interface to match another configuration.

    Args:
        now: the composition of the interface that works.
        wanted: the composition of the new configuration, without problems.
        leases: of the interface.
    """

    def __init__(self, now: Composition, wanted: Composition, leases: Leases) -> None:
        self._now = now
        self._wanted = wanted
        self._table = leases
        self._plugins = PluginSwap(now, wanted, leases.roster)
        self._changes = Changes()
        self._configured = {event.name for event in now.config.events}

    def run(self) -> Changes:
        """Apply the difference, and return it; the options of the core are left to the caller.

        Raises:
            ConfigError: with every reason why it cannot be applied; nothing has changed then.
        """
        now, wanted = self._now, self._wanted
        problems = [*self._plugins.problems(), *self._lease_problems()]
        if problems:
            raise ConfigError(wanted.config.placed(problems))
        before = self._leases()
        values, now.transports.values = now.transports.values, wanted.transports.values
        try:
            self._plugins.apply()
        except BaseException as error:
            now.transports.values = values
            if isinstance(error, ConfigError):
                raise ConfigError(wanted.config.placed(error.problems)) from error
            raise
        self._changes.plugins.extend(self._plugins.changed)
        core, wanted_core = attrs.asdict(now.config.core), attrs.asdict(wanted.config.core)
        self._changes.core.extend(name for name in core if core[name] != wanted_core[name])
        self._apply_events()
        self._table.configure(wanted.config.policies, wanted.draft.policies)
        self._apply_subscriptions(before)
        now.config = wanted.config
        now.transports.keeps = wanted.config.keeps
        now.manager.decide("reloaded", changes=self._changes)
        return self._changes

    def _leases(self) -> dict[tuple[str, str], Subscription]:
        """Return the leases that the configuration holds, by event and socket."""
        return {
            (lease.event.name, lease.subscriber.socket.canonical): lease
            for lease in self._table.all
            if lease.configured is not None
        }

    def _lease_problems(self) -> list[str]:
        """Return the problems of leases outside of the configuration, which have to survive the reload."""
        problems = []
        for lease in self._table.all:
            if lease.configured is None:
                try:
                    self._check_lease(lease)
                except SocketError as error:
                    socket = lease.subscriber.socket.canonical
                    problems.append(f"subscription of {socket!r} to {lease.event.name!r}: {error.problem}")
        return problems

    def _check_lease(self, lease: Subscription) -> None:
        text = lease.subscriber.text
        wanted = self._wanted.registry.by_name.get(lease.event.name)
        declares = wanted if wanted is not None and self._declares(lease.event, wanted) else lease.event
        check_parameters(declares, self._wanted.transports.parse(text, configured=has_reference(text)))

    def _declares(self, known: Channel, wanted: Channel) -> bool:
        """Return whether an event gets the declaration that *wanted* has."""
        is_declared = wanted.declaration is not None or wanted.name in self._configured
        return is_declared and known.differs_from(wanted)

    def _apply_events(self) -> None:
        for wanted in self._wanted.registry:
            known = self._now.registry.by_name.get(wanted.name)
            if known is None:
                self._now.registry.register(wanted.name, wanted.declaration)
            elif self._declares(known, wanted):
                known.declare(wanted.declaration)
                known.enforced = wanted.enforced
            else:
                continue
            self._changes.events.append(wanted.name)

    def _apply_subscriptions(self, before: dict[tuple[str, str], Subscription]) -> None:
        """Make and end leases; *before* are those that were configured before any plugin changed."""
        for key, lease in before.items():
            if key not in self._wanted.draft.leases:
                if lease.event.leases.get(lease.subscriber) is lease:
                    self._table.end(lease)
                self._changes.ended.append(" ".join(key))
        for key, wanted in self._wanted.draft.leases.items():
            old = before.get(key)
            if old is None or old.configured != wanted.expire_s or _has_other_secret(old, wanted):
                address = self._now.transports.parse(wanted.address.text, configured=True)
                self._table.subscribe(self._now.registry[key[0]], address, Terms(wanted.expire_s), configured=True)
                self._changes.subscribed.append(" ".join(key))


def _has_other_secret(old: Subscription, new: DraftLease) -> bool:
    """Return whether two sockets of the same canonical text differ in a secret, which that text leaves out."""
    text = new.address.text
    return (old.subscriber.text != text or has_reference(text)) and old.subscriber.socket != new.address.socket
