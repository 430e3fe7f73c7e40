"""The options of the transport: the table ``[plugins.kafka]``."""

from __future__ import annotations

from typing import Literal

import attrs
from evframe_cloudevents import BinaryFormatOptions

from evframe.plugin import at_least, within


@attrs.frozen
class Options:
    """What holds for every broker; properties of a socket go before it."""

    connect_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long finding a cluster and the partitions of a topic may take."""
    delivery_timeout_ms: int = attrs.field(default=10_000, validator=at_least(1))
    """How long the brokers may take to acknowledge a record before it is tried anew."""
    max_open_topics: int = attrs.field(default=100, validator=within(1, 10_000))
    """How many topics of one socket with a parameter in its topic the producer knows at once; the one without records
    for the longest time is forgotten."""
    topic_timeout_ms: int = attrs.field(default=1000, validator=at_least(0))
    """How long the brokers may take to create the topic that an event names, while events of other topics are sent."""
    max_connection_age_s: float = attrs.field(default=0.0, validator=at_least(0))
    """After how long a producer, with its connections, is exchanged for a new one, losing nothing; 0 for never."""
    batch_bytes: int = attrs.field(default=262_144, validator=at_least(1))
    """How large a batch of records may be."""
    max_in_flight: int = attrs.field(default=16_384, validator=at_least(1))
    """How many records of a subscriber may be without an acknowledgement."""
    enable_idempotence: bool = False
    """Have the brokers drop what a retry within a connection sends twice."""
    format: Literal["jsonrpc", "cloudevents", "cloudevents-structured"] = "jsonrpc"
    """What a record has: the notification of JSON-RPC, a CloudEvent with its attributes in headers, or one in JSON."""
    formats: list[BinaryFormatOptions] = attrs.field(factory=list)
    """The formats of some of the subscribers."""
