"""Names for plugin authors, beside those of `evframe` itself: a plugin imports from these two modules alone."""

from evframe_wire.addresses import connection_problem, without_brackets

from evframe.ages import Age
from evframe.calls import comes_from_outside, without_tracebacks
from evframe.changes import describe_changes
from evframe.channel import Channel, LeaseChange, Subscription
from evframe.commands import Command, CommandError, CommandTable, int32, int_param, invalid_params, text_param
from evframe.config import TYPES, are_named_apart, at_least, is_event_name, is_readable, parse_config, within
from evframe.contents import contents_of
from evframe.context import PluginContext
from evframe.events.event import check_name
from evframe.events.templates import MISSING, UNFIT, Template, UnfitError, template_of, template_text
from evframe.exceptions import ForbiddenError
from evframe.filling import shown_option, unfilled
from evframe.hints import did_you_mean
from evframe.late import LateModule
from evframe.limits import Limits
from evframe.listing import Listing, holds_listing
from evframe.log_limit import LogLimiter
from evframe.logs import keys_text
from evframe.members import HANDED_OVER, Address, Member
from evframe.nesting import delivering
from evframe.open_files import reserved
from evframe.ordering import Ordering, Step
from evframe.plugins import EventCollector
from evframe.schedule import Schedule
from evframe.secret import read_secret, secret
from evframe.sockets import endpoints_of, shown_socket
from evframe.statistics import StatisticGroup
from evframe.status import MAIN, READY, Identifier, StatusChange, StatusGroup, StatusRegistry
from evframe.structuring import LARGEST, check_timeout, structure
from evframe.subscriptions.attempts import first_reached
from evframe.subscriptions.names import FORBIDDEN, UNRESOLVED, HostAddress, Network, is_within, numeric
from evframe.subscriptions.policy import Policies, Policy
from evframe.subscriptions.references import Template as ReferenceTemplate
from evframe.subscriptions.references import Values
from evframe.subscriptions.resolving import Resolver
from evframe.tasks import PluginTasks, in_thread
from evframe.workers import CallLimit, WorkerGroup

__all__ = [
    "FORBIDDEN",
    "HANDED_OVER",
    "LARGEST",
    "MAIN",
    "MISSING",
    "READY",
    "TYPES",
    "UNFIT",
    "UNRESOLVED",
    "Address",
    "Age",
    "CallLimit",
    "Channel",
    "Command",
    "CommandError",
    "CommandTable",
    "EventCollector",
    "ForbiddenError",
    "HostAddress",
    "Identifier",
    "LateModule",
    "LeaseChange",
    "Limits",
    "Listing",
    "LogLimiter",
    "Member",
    "Network",
    "Ordering",
    "PluginContext",
    "PluginTasks",
    "Policies",
    "Policy",
    "ReferenceTemplate",
    "Resolver",
    "Schedule",
    "StatisticGroup",
    "StatusChange",
    "StatusGroup",
    "StatusRegistry",
    "Step",
    "Subscription",
    "Template",
    "UnfitError",
    "Values",
    "WorkerGroup",
    "are_named_apart",
    "at_least",
    "check_name",
    "check_timeout",
    "comes_from_outside",
    "connection_problem",
    "contents_of",
    "delivering",
    "describe_changes",
    "did_you_mean",
    "endpoints_of",
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
