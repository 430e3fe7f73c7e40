"""Names for plugin authors, beside those of `evframe` itself."""

from evframe_wire.addresses import connection_problem, without_brackets

from evframe.events.templates import MISSING, UNFIT, Template, UnfitError, template_of, template_text

__all__ = [
    "MISSING",
    "UNFIT",
    "Template",
    "UnfitError",
    "connection_problem",
    "template_of",
    "template_text",
    "without_brackets",
]
