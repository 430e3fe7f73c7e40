"""Filters of events in CESQL 1.0, the SQL expressions of CloudEvents, and an index of many of them."""

from evframe_cesql.errors import EvaluationError, FilterError
from evframe_cesql.filters import Filter, Outcome, compile_expression, compile_filter, positional
from evframe_cesql.index import Index

__all__ = [
    "EvaluationError",
    "Filter",
    "FilterError",
    "Index",
    "Outcome",
    "compile_expression",
    "compile_filter",
    "positional",
]
