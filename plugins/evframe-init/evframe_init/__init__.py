"""A commented configuration, with every option of the plugins that are installed."""

from evframe_init.document import commented_configuration

__all__ = ["commented_configuration"]
