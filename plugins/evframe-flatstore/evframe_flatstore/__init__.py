"""The flatstore transport of evframe: ``flatstore:`` subscribers, one line per event in a file."""

from evframe_flatstore.address import FlatSocket
from evframe_flatstore.events import Rotation
from evframe_flatstore.options import Options
from evframe_flatstore.plugin import FlatstoreTransport

__all__ = ["FlatSocket", "FlatstoreTransport", "Options", "Rotation"]
