"""A registry of bindings with expiry for evframe: who can be reached where, for how long, and what changes."""

from evframe_usrloc.contacts import Contact, Registration, StaleRegistration
from evframe_usrloc.options import Options
from evframe_usrloc.plugin import Usrloc

__all__ = ["Contact", "Options", "Registration", "StaleRegistration", "Usrloc"]
