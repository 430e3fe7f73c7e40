"""Events of evframe's own: subscriptions that come, go and are about to end, and deliveries that fail."""

from evframe_lease_events.events import (
    AddressChanged,
    DeliveryFailed,
    DeliveryFailing,
    DeliveryRecovered,
    LeaseEnded,
    LeaseExpired,
    LeaseExpiring,
    LeaseMade,
    LeaseRefreshed,
)
from evframe_lease_events.notices import Notices
from evframe_lease_events.options import Options
from evframe_lease_events.plugin import LeaseEvents
from evframe_lease_events.troubles import Troubles

__all__ = [
    "AddressChanged",
    "DeliveryFailed",
    "DeliveryFailing",
    "DeliveryRecovered",
    "LeaseEnded",
    "LeaseEvents",
    "LeaseExpired",
    "LeaseExpiring",
    "LeaseMade",
    "LeaseRefreshed",
    "Notices",
    "Options",
    "Troubles",
]
