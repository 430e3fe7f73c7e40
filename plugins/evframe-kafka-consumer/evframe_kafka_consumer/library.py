"""What a consumer uses of the modules that import aiokafka; it imports this one before it connects."""

from aiokafka.errors import KafkaConnectionError
from evframe_kafka_clients.access import Access
from evframe_kafka_clients.assignors import ASSIGNORS

from evframe_kafka_consumer.member import Member
from evframe_kafka_consumer.records import Records

__all__ = ["ASSIGNORS", "Access", "KafkaConnectionError", "Member", "Records"]
