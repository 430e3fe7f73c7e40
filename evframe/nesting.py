"""How deep a raise is nested: an event that a route raises while it handles another one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

depth: Final[ContextVar[int]] = ContextVar("evframe_depth", default=0)
"""The depth of an event that is raised now.

A transport that runs code for an event sets this to `event.depth + 1` before it calls the
code. It follows the code into the tasks that it starts.
"""
