"""Where code runs: how deep a raise is nested in others, and whether an event is being delivered."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

depth: Final[ContextVar[int]] = ContextVar("evframe_depth", default=0)
"""The depth of an event that is raised now.

A transport that runs code for an event sets this to `event.depth + 1` before it calls the
code. It follows the code into the tasks that it starts.
"""

delivering: Final[ContextVar[bool]] = ContextVar("evframe_delivering", default=False)
"""Whether the code that runs now delivers an event, or handles one.

The core sets it for every `deliver`, and it follows the code into the tasks that it starts. A
transport that starts threads copies it to them with `contextvars.copy_context`.
"""
