"""Declarations of events: the parameters of an event, declared once."""

from evframe_declarations.declaration import Declaration, ParameterTypes
from evframe_declarations.fields import param
from evframe_declarations.parameter import Parameter
from evframe_declarations.typed import EventType, declaration_of, declare, event_of, name_of, params_of

__all__ = [
    "Declaration",
    "EventType",
    "Parameter",
    "ParameterTypes",
    "declaration_of",
    "declare",
    "event_of",
    "name_of",
    "param",
    "params_of",
]
