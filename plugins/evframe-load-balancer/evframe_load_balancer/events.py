"""The event that the plugin raises."""

from typing import Final

from evframe import EventType, param

STATUS: Final = "E_LOAD_BALANCER_STATUS"


class StatusChanged(EventType, name=STATUS):
    """Raised when a destination is used again, or is not used any more."""

    group: int = param(summary="The group of the destination.")
    uri: str = param(summary="The URI of the destination.")
    status: str = param(summary="`enabled` or `disabled`: whether it is used now.")
