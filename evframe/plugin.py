"""Names for plugin authors, beside those of `evframe` itself: a plugin imports from these two modules alone."""

from evframe_options import (
    LARGEST,
    are_named_apart,
    at_least,
    check_timeout,
    file_digests,
    is_readable,
    read_secret,
    secret,
    structure,
    within,
)
from evframe_resolver import HostAddress, Network, first_reached, is_within, numeric
from evframe_resolver.resolver import FORBIDDEN, UNRESOLVED
from evframe_timing import Age, LogLimiter, Schedule
from evframe_wire.addresses import connection_problem, without_brackets
from evframe_wire.late import LateModule
from evframe_wire.listing import Listing, holds_listing
from evframe_wire.open_files import reserved
from evframe_wire.templates import MISSING, UNFIT, Template, UnfitError, template_of, template_text

from evframe.calls import comes_from_outside, without_tracebacks
from evframe.config import Policy, parse_config
from evframe.config.hints import did_you_mean
from evframe.config.names import is_event_name
from evframe.config.policy import NONE as NO_POLICY
from evframe.config.policy import OF_CLIENTS as CLIENT_KEYS
from evframe.config.tables import TYPES
from evframe.delivery.limits import Limits
from evframe.delivery.members import Address, Member
from evframe.delivery.nesting import delivering
from evframe.delivery.ordering import Ordering, Step
from evframe.delivery.probes import contained_problem_of
from evframe.delivery.queues import NO_DONES, STORED, Done, MemoryQueue, Queue, QueueFull, UntilStored
from evframe.delivery.sockets import endpoints_of, leaves, shown_socket
from evframe.delivery.statistics import StatisticGroup
from evframe.delivery.subscriber import Subscriber
from evframe.events.event import check_name
from evframe.exceptions import ForbiddenError
from evframe.logs import keys_text
from evframe.plugins.changes import Changes, describe_changes
from evframe.plugins.commands import Command, CommandError, CommandTable, int32, int_param, invalid_params, text_param
from evframe.plugins.context import PluginContext
from evframe.plugins.filling import shown_option, unfilled
from evframe.plugins.manager import EventCollector, PluginStatus
from evframe.plugins.status import MAIN, READY, Identifier, StatusChange, StatusGroup, StatusRegistry
from evframe.plugins.tasks import PluginTasks, in_thread
from evframe.plugins.workers import CallLimit, WorkerGroup
from evframe.subscriptions.channel import Channel, Filter, LeaseChange, Select, Subscription, Terms
from evframe.subscriptions.consumers import Feed
from evframe.subscriptions.references import Template as ReferenceTemplate
from evframe.subscriptions.references import Values
from evframe.subscriptions.resolving import Resolver

__all__ = [
    "CLIENT_KEYS",
    "FORBIDDEN",
    "LARGEST",
    "MAIN",
    "MISSING",
    "NO_DONES",
    "NO_POLICY",
    "READY",
    "STORED",
    "TYPES",
    "UNFIT",
    "UNRESOLVED",
    "Address",
    "Age",
    "CallLimit",
    "Changes",
    "Channel",
    "Command",
    "CommandError",
    "CommandTable",
    "Done",
    "EventCollector",
    "Feed",
    "Filter",
    "ForbiddenError",
    "HostAddress",
    "Identifier",
    "LateModule",
    "LeaseChange",
    "Limits",
    "Listing",
    "LogLimiter",
    "Member",
    "MemoryQueue",
    "Network",
    "Ordering",
    "PluginContext",
    "PluginStatus",
    "PluginTasks",
    "Policy",
    "Queue",
    "QueueFull",
    "ReferenceTemplate",
    "Resolver",
    "Schedule",
    "Select",
    "StatisticGroup",
    "StatusChange",
    "StatusGroup",
    "StatusRegistry",
    "Step",
    "Subscriber",
    "Subscription",
    "Template",
    "Terms",
    "UnfitError",
    "UntilStored",
    "Values",
    "WorkerGroup",
    "are_named_apart",
    "at_least",
    "check_name",
    "check_timeout",
    "comes_from_outside",
    "connection_problem",
    "contained_problem_of",
    "delivering",
    "describe_changes",
    "did_you_mean",
    "endpoints_of",
    "file_digests",
    "first_reached",
    "holds_listing",
    "in_thread",
    "int32",
    "int_param",
    "invalid_params",
    "is_event_name",
    "is_readable",
    "is_within",
    "keys_text",
    "leaves",
    "numeric",
    "parse_config",
    "read_secret",
    "reserved",
    "secret",
    "shown_option",
    "shown_socket",
    "structure",
    "template_of",
    "template_text",
    "text_param",
    "unfilled",
    "within",
    "without_brackets",
    "without_tracebacks",
]
