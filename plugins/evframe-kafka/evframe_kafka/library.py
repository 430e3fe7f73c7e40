"""What the transport uses of the modules that import aiokafka; it imports this one with its first batch."""

from evframe_kafka.cluster import Cluster
from evframe_kafka.contents import contents_of
from evframe_kafka.sending import Sending
from evframe_kafka.topics import TopicSet

__all__ = ["Cluster", "Sending", "TopicSet", "contents_of"]
