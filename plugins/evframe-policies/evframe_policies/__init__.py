"""Policies: which events a subscriber gets, how fast, and which of them are dropped."""

from evframe_policies.options import Options
from evframe_policies.plugin import PoliciesPlugin

__all__ = ["Options", "PoliciesPlugin"]
