"""A registry of bindings with expiry for evframe: who can be reached where, for how long, and what changes."""

from evframe_usrloc.contacts import Contact, Registration, StaleRegistration
from evframe_usrloc.events import (
    AorDeleted,
    AorInserted,
    ContactDeleted,
    ContactInserted,
    ContactRefresh,
    ContactUpdated,
    LatencyUpdated,
)
from evframe_usrloc.options import Options
from evframe_usrloc.plugin import Usrloc

__all__ = [
    "AorDeleted",
    "AorInserted",
    "Contact",
    "ContactDeleted",
    "ContactInserted",
    "ContactRefresh",
    "ContactUpdated",
    "LatencyUpdated",
    "Options",
    "Registration",
    "StaleRegistration",
    "Usrloc",
]
