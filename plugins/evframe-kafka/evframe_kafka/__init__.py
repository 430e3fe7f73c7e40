"""The Kafka transport of evframe: ``kafka:`` subscribers, one acknowledged record for each event."""

from evframe_kafka.address import KafkaSocket, parse
from evframe_kafka.options import Options
from evframe_kafka.plugin import KafkaTransport

__all__ = ["KafkaSocket", "KafkaTransport", "Options", "parse"]
