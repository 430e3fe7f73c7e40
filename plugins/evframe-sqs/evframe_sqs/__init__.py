"""The sqs transport of evframe: ``sqs:`` subscribers, messages in queues of Amazon SQS."""

from evframe_sqs.address import SqsSocket, parse
from evframe_sqs.options import Options
from evframe_sqs.plugin import SqsTransport

__all__ = ["Options", "SqsSocket", "SqsTransport", "parse"]
