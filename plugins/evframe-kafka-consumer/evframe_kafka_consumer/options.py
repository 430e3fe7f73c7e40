"""The options of the plugin: the table ``[plugins.kafka-consumer]``."""

from __future__ import annotations

import re
from typing import Literal

import attrs
from evframe_kafka_clients.checks import are_brokers, are_properties, endpoints_of
from evframe_kafka_clients.consuming import Value

from evframe.plugin import are_named_apart, at_least, is_event_name, is_readable, secret

OnFailure = Literal["commit", "retry", "dead_letter"]
"""What is done with a record: it is committed; its event is raised again; it goes to the topic of dead letters."""


def _pattern(options: ConnectionOptions, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if (value is None) == (not options.topics):
        raise ValueError(f"{attribute.name}: expected either topics or a topic_pattern, got {value!r}")
    try:
        re.compile(value or "")
    except re.error as error:
        raise ValueError(f"{attribute.name}: expected a regular expression, got {value!r}: {error}") from None


def _dead_letters(options: ConnectionOptions, attribute: attrs.Attribute[str], value: str) -> None:
    if value == "dead_letter" and not options.dead_letter_topic:
        raise ValueError(f"{attribute.name}: expected a dead_letter_topic for 'dead_letter', got none")


def _other_topic(options: ConnectionOptions, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    pattern = options.topic_pattern
    if value is not None and (value in options.topics or (pattern is not None and re.match(pattern, value))):
        # Each dead letter would become one again.
        raise ValueError(f"{attribute.name}: expected a topic that is not consumed itself, got {value!r}")


@attrs.frozen
class ConnectionOptions:
    """A member of a consumer group."""

    topics: list[str] = attrs.field(factory=list)
    """The topics."""
    topic_pattern: str | None = attrs.field(default=None, validator=_pattern)
    """A regular expression of topics, instead of their names; topics that are made later count too."""
    name: str = attrs.field(
        default=attrs.Factory(lambda self: self.topic_pattern or ",".join(self.topics), takes_self=True)
    )
    """What listings, statuses and the log call this connection; its topics without it."""
    brokers: str = attrs.field(default="localhost:9092", validator=are_brokers)
    """Where the cluster is looked for, `host:port,…`; the port is 9092 where none is given."""
    group_id: str = "evframe"
    """The consumer group; its members share the partitions of the topics."""
    auto_offset_reset: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that has committed nothing."""
    event: str | None = attrs.field(default=None, validator=is_event_name)
    """The event of records that name none; without it such records are refused."""
    events: list[str] = attrs.field(factory=lambda: ["*"])
    """Patterns of the events that records may name; an empty list makes every record a body."""
    max_events: int = attrs.field(default=1000, validator=at_least(0))
    """How many unregistered events may be registered because records name them."""
    ack: Literal["outcome", "at_once"] = "outcome"
    """When a record is done: once every delivery of its event has its outcome, or once it is raised."""
    max_in_flight: int = attrs.field(default=1000, validator=at_least(1))
    """How many events of a partition may be without an outcome."""
    dead_letter_topic: str | None = attrs.field(default=None, validator=_other_topic)
    """The topic of what could not be delivered."""
    on_failure: OnFailure = attrs.field(default="commit", validator=_dead_letters)
    """What is done with a record whose event could not be delivered to every subscriber."""
    on_nobody: OnFailure = attrs.field(default="commit", validator=_dead_letters)
    """What is done with a record whose event has no subscriber."""
    on_refused: Literal["commit", "dead_letter"] = attrs.field(default="commit", validator=_dead_letters)
    """What is done with a record that becomes no event."""
    retry_delay_ms: int = attrs.field(default=1000, validator=at_least(1))
    """How long it takes until an event is raised again, or a dead letter is sent again."""
    commit_interval_ms: int = attrs.field(default=1000, validator=at_least(1))
    """How often this member commits how far it is."""
    revoke_timeout_ms: int = attrs.field(default=3000, validator=at_least(0))
    """How long a rebalance waits for the outcomes of what this member has under way."""
    connect_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """How long finding the cluster, and each word to it, may take."""
    retry_timeout_ms: int = attrs.field(default=5000, validator=at_least(1))
    """The longest wait between two attempts to connect; it begins with much shorter ones."""
    password_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file whose first line is the password of SASL, read at every connection."""
    properties: dict[str, Value] = attrs.field(factory=dict, validator=are_properties, repr=False, metadata=secret())
    """More properties, in the names of librdkafka: security, sessions, fetching."""

    @property
    def address(self) -> str:
        """The brokers as people see them."""
        return self.brokers

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of the brokers."""
        return endpoints_of(self.brokers)


@attrs.frozen
class Options:
    """The members of consumer groups."""

    connections: list[ConnectionOptions] = attrs.field(factory=list, validator=are_named_apart)
    """The topics that are consumed."""
