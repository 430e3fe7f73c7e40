"""The options of the plugin: the table ``[plugins.fleet]``."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any, Final

import attrs
from evframe_kafka_clients.checks import are_brokers, are_properties, endpoints_of
from evframe_kafka_clients.consuming import Value

from evframe.plugin import at_least, is_readable, secret, within

_OWN: Final = {
    "session.timeout.ms": "session_timeout_ms",
    "heartbeat.interval.ms": "heartbeat_interval_ms",
    "socket.timeout.ms": "connect_timeout_ms",
    "partition.assignment.strategy": "",
    "group.instance.id": "",
    "isolation.level": "",
    "fetch.wait.max.ms": "",
    "fetch.message.max.bytes": "",
    "max.partition.fetch.bytes": "",
}
"""Properties that belong to the fleet, and the options in their places."""


def _brokers(options: Options, attribute: attrs.Attribute[str], value: str) -> None:
    if value:
        are_brokers(options, attribute, value)


def _properties(options: Options, attribute: attrs.Attribute[Any], value: Mapping[str, Value]) -> None:
    for name in value:
        if name in _OWN:
            expected = f"expected the option {_OWN[name]}" if _OWN[name] else "the fleet sets it"
            raise ValueError(f"{attribute.name}: property {name!r}: {expected}")
    are_properties(options, attribute, dict(value))


def _heartbeat(options: Options, attribute: attrs.Attribute[int], value: int) -> None:
    most = options.session_timeout_ms // 4
    if not 1 <= value <= most:
        raise ValueError(f"{attribute.name}: expected 1 to a quarter of session_timeout_ms, {most}, got {value}")


def _margin(options: Options, attribute: attrs.Attribute[int], value: int) -> None:
    least, most = 2 * options.heartbeat_interval_ms, options.session_timeout_ms // 2
    if least <= most and not least <= value <= most:  # else it is the heartbeat that does not fit
        raise ValueError(
            f"{attribute.name}: expected {least}, twice heartbeat_interval_ms, to {most}, half of session_timeout_ms,"
            f" got {value}"
        )


def _other_topic(options: Options, attribute: attrs.Attribute[str], value: str) -> None:
    if value == options.leases_topic:
        raise ValueError(f"{attribute.name}: expected another topic than leases_topic, got {value!r}")


@attrs.frozen
class Options:
    """Where the fleet meets, and how it shares the work."""

    brokers: str = attrs.field(default="", validator=_brokers)
    """The Kafka of the fleet, `host:port,…`; the port is 9092 where none is given. Without it, there is no fleet."""
    group_id: str = "evframe"
    """The consumer group whose members share the partitions: all gateways with one `events_topic` have the same."""
    leases_topic: str = "evframe.leases"
    """The topic of the subscriptions; it is made if it is missing."""
    events_topic: str = attrs.field(default="evframe.events", validator=_other_topic)
    """The topic of the events on their way; it is made if it is missing."""
    partitions: int = attrs.field(default=64, validator=within(1, 4096))
    """How many partitions the topic of the events has: the most gateways that can deliver at once."""
    replication_factor: int = attrs.field(default=3, validator=within(1, 32767))
    """On how many brokers each record of a topic that is made is kept."""
    retention_s: int = attrs.field(default=604_800, validator=at_least(60))
    """For how long a topic that is made keeps events for subscribers that are away."""
    local: list[str] = attrs.field(factory=list)
    """Patterns of events that stay in the gateway that raises them, and so do the subscriptions to them."""
    name: str = attrs.field(factory=socket.gethostname)
    """What listings call this gateway, and no other one; the name of its host without it."""
    session_timeout_ms: int = attrs.field(default=6000, validator=at_least(1000))
    """After how long without a sign of life the others deliver in a gateway's place; brokers refuse less than their
    `group.min.session.timeout.ms`."""
    heartbeat_interval_ms: int = attrs.field(default=250, validator=_heartbeat)
    """How often a gateway shows that it lives; a gateway that leaves is noticed as fast."""
    margin_ms: int = attrs.field(default=1500, validator=_margin)
    """By how much before the end of the session a gateway without contact ceases to deliver."""
    hand_over_ms: int = attrs.field(default=1000, validator=at_least(0))
    """How long batches under way may take before the partitions move to another gateway."""
    lease_grace_ms: int = attrs.field(default=2000, validator=at_least(0))
    """By how much later than its time a lease ends, because clocks differ and a renewal may be on its way."""
    memory_bytes: int = attrs.field(default=64 << 20, validator=at_least(1 << 20))
    """How many bytes of raised events may wait for their acknowledgement; others find no room."""
    frame_bytes: int = attrs.field(default=900_000, validator=within(10_000, 64 << 20))
    """The most bytes of one record; brokers refuse more than their `message.max.bytes`."""
    start_timeout_ms: int = attrs.field(default=30_000, validator=at_least(0))
    """How long the start of the gateway waits for the subscriptions; without them, events that are raised reach the
    configured subscribers alone."""
    connect_timeout_ms: int = attrs.field(default=5000, validator=at_least(100))
    """How long finding the cluster, and each request to it, may take."""
    retry_timeout_ms: int = attrs.field(default=2000, validator=at_least(1))
    """The longest wait between two attempts to connect; it begins with much shorter ones."""
    password_file: str | None = attrs.field(default=None, validator=is_readable)
    """A file whose first line is the password of SASL, read at every connection."""
    properties: dict[str, Value] = attrs.field(factory=dict, validator=_properties, repr=False, metadata=secret())
    """More properties, in the names of librdkafka: TLS, SASL, fetching."""

    @property
    def endpoints(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports of the brokers."""
        return endpoints_of(self.brokers) if self.brokers else ()
