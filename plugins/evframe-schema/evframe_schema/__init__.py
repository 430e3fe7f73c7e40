"""Descriptions for tools: JSON Schema of the configuration and of events, and AsyncAPI."""

from evframe_schema.asyncapi import Gateway, asyncapi_document
from evframe_schema.configuration import configuration_schema
from evframe_schema.events import event_schema, events_schema

__all__ = ["Gateway", "asyncapi_document", "configuration_schema", "event_schema", "events_schema"]
