"""Subscriptions of run-time clients that survive a restart."""

from evframe_state.keeper import LeaseKeeper
from evframe_state.options import Options

__all__ = ["LeaseKeeper", "Options"]
