"""A lease as other processes get it."""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import attrs
from evframe_wire.keys import canonical_of, key_of
from orjson import dumps, loads

from evframe import UnknownEventError
from evframe.plugin import NO_POLICY, Policy, Terms

if TYPE_CHECKING:
    from evframe.plugin import Channel, PluginContext, Subscription

END_OF_TIME: Final = 1e11
"""No time of a record is later, in seconds of the wall clock: thousands of years."""
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


@attrs.frozen
class Lease:
    """What one process says of a lease to others."""

    event: str
    """The name of the event."""
    key: str
    """The name of the subscriber; see `evframe_wire.keys`."""
    text: str = attrs.field(repr=False)
    """The socket as it was subscribed, with its secrets, as `evframe_wire.keys.key_of` has it."""
    expire_s: int = 0
    """Its seconds; 0 never ends."""
    ends_at: float | None = None
    """When it ends, in seconds of the wall clock; None for a lease that never ends."""
    interface: str | None = None
    """The management interface whose client has made it, "" when it is not known; None for a process."""
    policy: Mapping[str, Any] = _NONE
    """The keys of the requested policy."""
    is_configured: bool = False
    """Whether the configuration of the process holds the lease."""

    @classmethod
    def of(cls, lease: Subscription, left_s: float | None, wall: float) -> Lease:
        """Return what others get of *lease*.

        Args:
            lease: the lease.
            left_s: the seconds that it has left; None for one that never ends.
            wall: the present time of the wall clock, in seconds.
        """
        subscriber = lease.subscriber
        return cls(
            event=lease.event.name,
            key=key_of(subscriber.socket.canonical),
            text=key_of(subscriber.text),
            expire_s=lease.expire_s,
            ends_at=None if left_s is None else wall + left_s,
            interface=lease.interface,
            policy=dict(lease.requested.keys),
            is_configured=lease.configured is not None,
        )

    @property
    def terms(self) -> Terms:
        """What is said when the lease is made in this process."""
        return Terms(self.expire_s, self.interface, Policy.read(dict(self.policy)) if self.policy else NO_POLICY)

    def left_s(self, wall: float) -> float | None:
        """Return the seconds that it has left at the time *wall* of the wall clock; None for one that never ends."""
        return None if self.ends_at is None else max(0.0, min(self.ends_at - wall, self.expire_s))

    def encode(self) -> bytes:
        """Return the lease as JSON, without what has its default."""
        return dumps(attrs.asdict(self, filter=lambda field, value: value not in (field.default, {})))

    @classmethod
    def decode(cls, data: bytes) -> Lease:
        """Return the lease that `encode` has made *data* of; ValueError when *data* are other bytes."""
        return cls.read(loads(data))

    @classmethod
    def read(cls, names: Any) -> Lease:
        """Return the lease of the JSON object that `encode` writes; what a later release adds is left out.

        Raises:
            ValueError: if *names* are those of anything else.
        """
        try:
            given = {name: _shared(name, value) for name, value in names.items() if name in _NAMES}
            if given["text"] == given["key"]:
                given["text"] = given["key"]
            lease = cls(**given)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"expected a lease, got other names: {error}") from None
        ends_at, texts = lease.ends_at, (lease.event, lease.key, lease.text, lease.interface or "")
        if (
            not all(type(text) is str for text in texts)
            or type(lease.expire_s) is not int
            or not (ends_at is None or (isinstance(ends_at, int | float) and 0 <= ends_at < END_OF_TIME))
            or not isinstance(lease.policy, Mapping)
        ):
            raise ValueError("expected a lease, got other types")
        canonical_of(lease.key), canonical_of(lease.text)
        return lease


def _shared(name: str, value: Any) -> Any:
    """Return *value*, as one object for all leases that have the same: a process may have a million of them."""
    if type(value) is str and name in _FEW:
        return intern(value)
    return _NONE if value == _NONE else value


_FEW: Final = frozenset({"event", "interface"})
_NAMES: Final = frozenset(field.name for field in attrs.fields(Lease))


def restore(context: PluginContext, lease: Lease, wall: float) -> bool:
    """Make or renew *lease* in this process; see `Subscribing.restore_subscription` for what is raised.

    Args:
        context: of the plugin that has received the lease.
        lease: the lease.
        wall: the present time of the wall clock, in seconds.
    """
    socket, left_s = canonical_of(lease.text), lease.left_s(wall)
    return context.leases.restore_subscription(lease.event, socket, lease.terms, left_s, renews=True)


def definition_of(context: PluginContext, name: str) -> Channel:
    """Return the definition of an event of another process, which is registered if it is not known here."""
    try:
        return context.raising.event(name)
    except UnknownEventError:
        context.register_event(name)
        return context.raising.event(name)
