"""Filters of events in CESQL 1.0, the SQL expressions of CloudEvents, and an index of many of them."""

from evframe_cesql.errors import EvaluationError, FilterError
from evframe_cesql.filters import Filter, Outcome, compile_expression, compile_filter, positional
from evframe_cesql.index import Index
from evframe_cesql.plugin import CesqlPlugin

__all__ = [
    "CesqlPlugin",
    "EvaluationError",
    "Filter",
    "FilterError",
    "Index",
    "Outcome",
    "compile_expression",
    "compile_filter",
    "positional",
]
