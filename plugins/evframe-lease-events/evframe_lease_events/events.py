"""The events that the plugin raises; they are meta events, so that delivering them raises no event."""

from __future__ import annotations

from typing import Final

from evframe import EventType, param

MADE: Final = "E_EVFRAME_LEASE_MADE"
REFRESHED: Final = "E_EVFRAME_LEASE_REFRESHED"
EXPIRING: Final = "E_EVFRAME_LEASE_EXPIRING"
EXPIRED: Final = "E_EVFRAME_LEASE_EXPIRED"
ENDED: Final = "E_EVFRAME_LEASE_ENDED"
FAILING: Final = "E_EVFRAME_DELIVERY_FAILING"
FAILED: Final = "E_EVFRAME_DELIVERY_FAILED"
RECOVERED: Final = "E_EVFRAME_DELIVERY_RECOVERED"
MOVED: Final = "E_EVFRAME_ADDRESS_CHANGED"


class LeaseEvent(EventType):
    """The base of the events about leases."""

    event: str = param(summary="The event that is subscribed to.")
    socket: str = param(summary="The subscriber's canonical socket, without secrets.")
    expire: int = param(summary="The whole lease in seconds; 0 never ends.")


class LeaseMade(LeaseEvent, name=MADE, is_meta=True):
    """A subscription was made at run time."""


class LeaseRefreshed(LeaseEvent, name=REFRESHED, is_meta=True):
    """A subscription was refreshed by subscribing again."""


class LeaseExpired(LeaseEvent, name=EXPIRED, is_meta=True):
    """A subscription ended at its time, because it was not refreshed."""


class LeaseEnded(LeaseEvent, name=ENDED, is_meta=True):
    """A subscription was ended by an unsubscription."""


class LeaseExpiring(LeaseEvent, name=EXPIRING, is_meta=True):
    """A subscription is about to end unless it is refreshed."""

    ttl: int = param(summary="The whole seconds that are left.")


class DeliveryFailing(EventType, name=FAILING, is_meta=True):
    """Deliveries to a subscriber begin to fail."""

    socket: str = param(summary="The subscriber's canonical socket, without secrets.")
    reason: str = param(summary="Why the first event could not be delivered.")
    event: str | None = param(default=None, summary="The event, where the option `with_payload` says so.")
    payload: str | None = param(
        default=None, summary="Its JSON-RPC notification, where the option `with_payload` says so."
    )


class DeliveryFailed(EventType, name=FAILED, is_meta=True):
    """An event has failed for good at a subscriber whose policy has `dead_letter`."""

    socket: str = param(summary="The subscriber's canonical socket, without secrets.")
    event: str = param(summary="The event that has failed.")
    reason: str = param(summary="Why it could not be delivered.")
    unreported: int = param(summary="How many failures since the last such event raised none.")
    payload: str | None = param(
        default=None, summary="Its JSON-RPC notification, where the option `with_payload` says so."
    )


class DeliveryRecovered(EventType, name=RECOVERED, is_meta=True):
    """Deliveries to a subscriber that failed have worked again for a while."""

    socket: str = param(summary="The subscriber's canonical socket, without secrets.")


class AddressChanged(EventType, name=MOVED, is_meta=True):
    """A host name that subscribers use has other addresses."""

    host: str = param(summary="The host name.")
    addresses: list[str] = param(summary="The addresses that the name has now; empty when none is permitted.")


EVENTS: Final = (
    LeaseMade,
    LeaseRefreshed,
    LeaseExpired,
    LeaseEnded,
    LeaseExpiring,
    DeliveryFailing,
    DeliveryFailed,
    DeliveryRecovered,
    AddressChanged,
)
