"""Descriptions for tools: JSON Schema of the configuration and of events, and AsyncAPI."""

from evframe_schema.configuration import configuration_schema

__all__ = ["configuration_schema"]
