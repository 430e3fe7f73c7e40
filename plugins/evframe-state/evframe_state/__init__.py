"""Subscriptions of run-time clients that survive a restart."""

from evframe_state.options import Options
from evframe_state.plugin import LeaseKeeper

__all__ = ["LeaseKeeper", "Options"]
