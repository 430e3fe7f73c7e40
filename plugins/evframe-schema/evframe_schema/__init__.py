"""Descriptions for tools: JSON Schema of the configuration and of events."""

from evframe_schema.configuration import configuration_schema
from evframe_schema.events import event_schema, events_schema

__all__ = ["configuration_schema", "event_schema", "events_schema"]
