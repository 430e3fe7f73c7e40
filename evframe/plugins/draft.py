"""The events and the leases of a configuration, before there is an interface."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import attrs
from evframe_declarations import EventType, ParameterTypes, declare, name_of

from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import Policy
from evframe.delivery.members import Address
from evframe.events.event import EventRegistry
from evframe.exceptions import PluginError
from evframe.plugins.subscribing import check_expire_s
from evframe.plugins.transports import Transports
from evframe.subscriptions.channel import Channel
from evframe.subscriptions.leases import check_declaration, check_parameters


@attrs.frozen
class DraftLease:
    """A lease that an interface with the configuration has."""

    event: Channel
    address: Address
    expire_s: int
    policy: Policy = NO_POLICY


class Draft:
    """Registers and subscribes like an interface, which makes the leases when it takes over the composition.

    The hook `loaded` gets it in place of the interface, because a configuration can be checked without one. Other
    methods of an interface are errors.
    """

    def __init__(self, registry: EventRegistry[Channel], transports: Transports) -> None:
        self._registry = registry
        self._transports = transports
        self.leases: dict[tuple[str, str], DraftLease] = {}
        """The leases by event and socket."""
        self.tracing = None
        """See `Raising.tracing`."""
        self.is_running = False
        """See `Host.is_running`; `evframe check --connect` closes its connections without an interface."""

    def event(self, name: str) -> Channel:
        """See `Raising.event`."""
        return self._registry[name]

    @property
    def events(self) -> Iterator[Channel]:
        """See `Raising.events`."""
        return iter(self._registry)

    def register_event(
        self,
        name: str | type[EventType],
        params: ParameterTypes | None = None,
        *,
        summary: str = "",
        enforced: bool = True,
    ) -> int:
        """See `Raising.register_event`."""
        declaration, name = declare(name, params, summary=summary, enforced=enforced), name_of(name)
        known = self._registry.by_name.get(name)
        if known is not None:
            check_declaration(
                known, declaration, (lease.address.socket for lease in self.leases.values() if lease.event is known)
            )
        return self._registry.register(name, declaration).id

    @property
    def policies(self) -> dict[tuple[str, str], Policy]:
        """The policies of the leases that have one."""
        return {key: lease.policy for key, lease in self.leases.items() if lease.policy is not NO_POLICY}

    def subscribe_event(
        self,
        name: str,
        socket: str,
        expire_s: int = 0,
        *,
        configured: bool = True,
        policy: Policy = NO_POLICY,
    ) -> Address:
        """See `Subscribing.subscribe_event`; every lease of a draft is *configured*. Returns where it delivers."""
        check_expire_s(expire_s)
        event, address = self._registry[name], self._transports.parse(socket, configured=configured)
        check_parameters(event, address)
        self.leases[name, address.socket.canonical] = DraftLease(event, address, expire_s, policy)
        return address

    def __getattr__(self, name: str) -> NoReturn:
        raise PluginError(f"{name}: expected a call from the hook 'start' on")
