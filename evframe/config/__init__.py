"""The configuration: reads and checks its tables, and reports every problem at once."""

from evframe.config.policy import Policy, PolicyOptions
from evframe.config.tables import (
    Config,
    CoreOptions,
    EventOptions,
    ParameterOptions,
    SubscriptionOptions,
    load_config,
    parse_config,
    read_config_file,
)

__all__ = [
    "Config",
    "CoreOptions",
    "EventOptions",
    "ParameterOptions",
    "Policy",
    "PolicyOptions",
    "SubscriptionOptions",
    "load_config",
    "parse_config",
    "read_config_file",
]
