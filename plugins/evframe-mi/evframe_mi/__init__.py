"""The management interface: JSON-RPC requests, the commands of the Events Interface, and parts for its servers."""

from evframe_mi.dispatcher import Dispatcher
from evframe_mi.options import ManagementOptions, NarrowingOptions, Options
from evframe_mi.plugin import Management, dispatcher_of
from evframe_mi.server import ManagementServer
from evframe_mi.traffic import Traffic

__all__ = [
    "Dispatcher",
    "Management",
    "ManagementOptions",
    "ManagementServer",
    "NarrowingOptions",
    "Options",
    "Traffic",
    "dispatcher_of",
]
