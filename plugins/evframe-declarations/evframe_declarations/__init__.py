"""Declarations of events: the parameters of an event, declared once."""

from evframe_declarations.declaration import Declaration, Parameter, ParameterTypes, declare

__all__ = ["Declaration", "Parameter", "ParameterTypes", "declare"]
