"""Connections of the library to a Kafka."""

import gc

from aiokafka.conn import AIOKafkaConnection

FIRST_REQUEST = 40
"""Bytes: more than the first request of a client has, and fewer than its first and its second one have together."""


def open_connections():
    """Return the connections of the library that are open."""
    return [each for each in gc.get_objects() if isinstance(each, AIOKafkaConnection) and each.connected()]
