"""The event that the plugin raises."""

from typing import Final

from evframe import EventType

ROTATION: Final = "E_FLATSTORE_ROTATION"


class Rotation(EventType, name=ROTATION):
    """A subscriber continues in another file."""

    timestamp: str
    reason: str
    filename: str
    old_filename: str
