"""CloudEvents 1.0: events as structured, binary and batched CloudEvents, and reading them back."""

from evframe_cloudevents.envelope import TRACE_PARENT, Attributes, BinaryMessage, Carried, Envelope, in_batch
from evframe_cloudevents.formats import (
    BATCH_TYPE,
    DATA_TYPE,
    JSONRPC,
    STRUCTURED_TYPE,
    Formats,
    Messages,
    Mode,
    envelope_of,
)
from evframe_cloudevents.options import BinaryFormatOptions, FormatOptions, Options
from evframe_cloudevents.plugin import CloudEventsPlugin
from evframe_cloudevents.reading import (
    PREFIXES,
    NotACloudEvent,
    Received,
    attributes_of,
    is_cloud_event,
    read_body,
    read_message,
    read_object,
    read_structured,
)

__all__ = [
    "BATCH_TYPE",
    "DATA_TYPE",
    "JSONRPC",
    "PREFIXES",
    "STRUCTURED_TYPE",
    "TRACE_PARENT",
    "Attributes",
    "BinaryFormatOptions",
    "BinaryMessage",
    "Carried",
    "CloudEventsPlugin",
    "Envelope",
    "FormatOptions",
    "Formats",
    "Messages",
    "Mode",
    "NotACloudEvent",
    "Options",
    "Received",
    "attributes_of",
    "envelope_of",
    "in_batch",
    "is_cloud_event",
    "read_body",
    "read_message",
    "read_object",
    "read_structured",
]
