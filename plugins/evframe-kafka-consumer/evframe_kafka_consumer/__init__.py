"""Records of Kafka topics become events, and are committed when those are delivered."""

from evframe_kafka_consumer.options import ConnectionOptions, Options
from evframe_kafka_consumer.plugin import KafkaConsumer

__all__ = ["ConnectionOptions", "KafkaConsumer", "Options"]
