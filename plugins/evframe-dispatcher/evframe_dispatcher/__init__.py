"""Sets of destinations for evframe: their health by probing, and a choice among them."""

from evframe_dispatcher.destinations import Destination
from evframe_dispatcher.dispatcher import Dispatcher
from evframe_dispatcher.options import DestinationOptions, Options

__all__ = ["Destination", "DestinationOptions", "Dispatcher", "Options"]
