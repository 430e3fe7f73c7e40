"""Names for plugin authors, beside those of `evframe` itself."""

from evframe.events.templates import MISSING, UNFIT, Template, UnfitError, template_of, template_text

__all__ = ["MISSING", "UNFIT", "Template", "UnfitError", "template_of", "template_text"]
