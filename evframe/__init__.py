"""evframe: the OpenSIPS Events Interface in Python."""

from evframe_declarations import EventType, Parameter, event_of, param, params_of
from evframe_wire.addresses import split_host_port
from evframe_wire.payload import UNSET, ExactNumber, Pairs

from evframe.config import Config, load_config
from evframe.delivery.batch import Batch
from evframe.delivery.nesting import depth
from evframe.delivery.outcomes import Outcome
from evframe.delivery.sockets import Socket
from evframe.delivery.statistics import Counters
from evframe.events.event import Event, EventDefinition
from evframe.exceptions import (
    ConfigError,
    DeliveryError,
    EventNameError,
    EvframeError,
    ParameterError,
    PluginError,
    Rejected,
    SocketError,
    Unavailable,
    UnknownEventError,
)
from evframe.interface import EventInterface
from evframe.plugins.markers import hookimpl, hookspec
from evframe.subscriptions.consumers import EventStream
from evframe.threads import ThreadedInterface, start_in_thread

__all__ = [
    "UNSET",
    "Batch",
    "Config",
    "ConfigError",
    "Counters",
    "DeliveryError",
    "Event",
    "EventDefinition",
    "EventInterface",
    "EventNameError",
    "EventStream",
    "EventType",
    "EvframeError",
    "ExactNumber",
    "Outcome",
    "Pairs",
    "Parameter",
    "ParameterError",
    "PluginError",
    "Rejected",
    "Socket",
    "SocketError",
    "ThreadedInterface",
    "Unavailable",
    "UnknownEventError",
    "depth",
    "event_of",
    "hookimpl",
    "hookspec",
    "load_config",
    "param",
    "params_of",
    "split_host_port",
    "start_in_thread",
]
