"""Reloads the configuration while the interface works: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from evframe.config import Config, CoreOptions
from evframe.exceptions import ConfigError, SocketError
from evframe.plugins.changes import Changes
from evframe.plugins.exchange import PluginExchange
from evframe.subscriptions.channel import Subscription
from evframe.subscriptions.leases import Leases, check_parameters
from evframe.subscriptions.references import has_reference

if TYPE_CHECKING:
    from evframe.events.event import EventRegistry
    from evframe.plugins.composition import Composition
    from evframe.plugins.transports import Transports
    from evframe.subscriptions.channel import Channel
    from evframe.subscriptions.client_leases import ClientLeases
    from evframe.subscriptions.policy import Policies
    from evframe.subscriptions.roster import Roster


@attrs.frozen
class Parts:
    """The parts of an interface that a reload compares and changes."""

    config: Config
    registry: EventRegistry[Channel]
    composition: Composition
    transports: Transports
    roster: Roster
    leases: Leases
    policies: Policies
    client_leases: ClientLeases

    @property
    def rules(self) -> dict[str, Any]:
        """The rules of run-time clients by their names."""
        rules = attrs.asdict(self.config.management)
        for name, narrowing in self.composition.narrowings.items():
            rules |= {f"{name}.{key}": value for key, value in attrs.asdict(narrowing).items() if value is not None}
        return rules

    @property
    def configured(self) -> dict[tuple[str, str], Subscription]:
        """The leases that the configuration holds, by event and socket."""
        return {
            (lease.event.name, lease.subscriber.socket.canonical): lease
            for lease in self.leases.all
            if lease.configured is not None
        }


class Reload:
    """One reload, which changes the working interface to match one with the new configuration.

    Args:
        now: the parts of the interface that works.
        wanted: those of an interface that was composed of the new configuration, and is never entered.
        configure: applies the options of the core.
    """

    def __init__(self, now: Parts, wanted: Parts, configure: Callable[[CoreOptions], None]) -> None:
        self._now = now
        self._wanted = wanted
        self._configure = configure
        self._plugins = PluginExchange(now.composition, wanted.composition, now.transports, now.roster)
        self._changes = Changes()
        self._configured = {event.name for event in now.config.events}

    def run(self) -> Changes:
        """Apply the difference, and return it.

        Raises:
            ConfigError: with every reason why it cannot be applied; nothing has changed then.
        """
        problems = [*self._plugins.problems(), *self._lease_problems()]
        if problems:
            raise ConfigError(problems)
        before = self._now.configured
        values = self._now.transports.values
        self._now.transports.values = self._wanted.transports.values
        try:
            self._plugins.apply()
        except BaseException:
            self._now.transports.values = values
            raise
        self._changes.plugins.extend(self._plugins.changed)
        self._apply_core()
        self._apply_events()
        self._apply_subscriptions(before)
        self._apply_policy()
        return self._changes

    def _lease_problems(self) -> list[str]:
        """Return the problems of leases outside of the configuration, which have to survive the reload."""
        problems = []
        for lease in self._now.leases.all:
            if lease.configured is None:
                problem = self._lease_problem(lease)
                if problem is not None:
                    socket = lease.subscriber.socket.canonical
                    problems.append(f"subscription of {socket!r} to {lease.event.name!r}: {problem}")
        return problems

    def _lease_problem(self, lease: Subscription) -> str | None:
        text = lease.subscriber.text
        wanted = self._wanted.registry.by_name.get(lease.event.name)
        declares = wanted if wanted is not None and self._declares(lease.event, wanted) else lease.event
        try:
            check_parameters(declares, self._wanted.transports.parse(text, configured=has_reference(text)))
        except SocketError as error:
            return error.problem
        return None

    def _declares(self, known: Channel, wanted: Channel) -> bool:
        """Return whether an event gets the declaration that *wanted* has."""
        is_declared = wanted.declaration is not None or wanted.name in self._configured
        return is_declared and known.differs_from(wanted)

    def _apply_core(self) -> None:
        old, new = self._now.config.core, self._wanted.config.core
        names = [field.name for field in attrs.fields(CoreOptions)]
        self._changes.core.extend(name for name in names if getattr(old, name) != getattr(new, name))
        self._configure(new)

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
        wanted = self._wanted.configured
        for key, lease in before.items():
            if key not in wanted:
                if lease.event.leases.get(lease.subscriber) is lease:
                    self._now.leases.end(lease)
                self._changes.ended.append(" ".join(key))
        for (name, canonical), lease in wanted.items():
            old = before.get((name, canonical))
            if old is None or old.configured != lease.configured or _has_other_secret(old, lease):
                self._subscribe(name, lease)
                self._changes.subscribed.append(f"{name} {canonical}")

    def _apply_policy(self) -> None:
        """Apply the rules of run-time clients, and end the leases that the rules do not permit."""
        old, new = self._now.rules, self._wanted.rules
        self._changes.management.extend(key for key in {**old, **new} if old.get(key) != new.get(key))
        narrowings = self._now.composition.narrowings
        narrowings.clear()
        narrowings.update(self._wanted.composition.narrowings)
        self._now.policies.configure(self._wanted.config.management, narrowings)
        ended = self._now.client_leases.review()
        self._changes.ended.extend(f"{lease.event.name} {lease.subscriber.socket.canonical}" for lease in ended)

    def _subscribe(self, name: str, wanted: Subscription) -> None:
        event = self._now.registry[name]
        address = self._now.transports.parse(wanted.subscriber.text, configured=True)
        self._now.leases.subscribe(event, address, wanted.expire_s, configured=True)


def _has_other_secret(old: Subscription, new: Subscription) -> bool:
    """Return whether two sockets of the same canonical text differ in a secret, which that text leaves out."""
    text = new.subscriber.text
    return (old.subscriber.text != text or has_reference(text)) and old.subscriber.socket != new.subscriber.socket
