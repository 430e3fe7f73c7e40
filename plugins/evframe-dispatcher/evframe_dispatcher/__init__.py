"""Sets of destinations for evframe: their health by probing, and a choice among them."""

from evframe_dispatcher.destinations import Destination
from evframe_dispatcher.events import StatusChanged
from evframe_dispatcher.options import DestinationOptions, Options
from evframe_dispatcher.plugin import Dispatcher

__all__ = ["Destination", "DestinationOptions", "Dispatcher", "Options", "StatusChanged"]
