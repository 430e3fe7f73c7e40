"""The configuration: reads and checks its tables, and reports every problem at once."""

from evframe.config.tables import (
    TYPES,
    Config,
    CoreOptions,
    EventOptions,
    Overflow,
    ParameterOptions,
    SubscriptionOptions,
    are_named_apart,
    at_least,
    is_event_name,
    is_readable,
    load_config,
    parse_config,
    read_config,
    read_config_file,
    within,
)

__all__ = [
    "TYPES",
    "Config",
    "CoreOptions",
    "EventOptions",
    "Overflow",
    "ParameterOptions",
    "SubscriptionOptions",
    "are_named_apart",
    "at_least",
    "is_event_name",
    "is_readable",
    "load_config",
    "parse_config",
    "read_config",
    "read_config_file",
    "within",
]
