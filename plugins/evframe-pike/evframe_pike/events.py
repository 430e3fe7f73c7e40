"""The event that the plugin raises."""

from typing import Final

from evframe import EventType, param

BLOCKED: Final = "E_PIKE_BLOCKED"


class Blocked(EventType, name=BLOCKED):
    """An address has reached its limit of requests within one window, and was not blocked before."""

    ip: str = param(summary="Blocked source address.")
