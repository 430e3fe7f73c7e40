"""The client of SQS; imported late, with aiobotocore."""

from __future__ import annotations

from typing import Any

from evframe_aws_clients import Refused, Verdict
from evframe_aws_clients.client import AwsClient, loader_of

from evframe import Unavailable
from evframe_sqs.answers import ERRORS
from evframe_sqs.messages import Entry


class Client(AwsClient):
    """What sends requests to one service, over its connections; see `evframe_aws_clients.client.AwsClient`."""

    service = "sqs"
    loader = loader_of(service)

    async def send(self, url: str, entries: list[Entry]) -> dict[str, Any]:
        """Send messages to the queue of *url*, and return the answer.

        Raises:
            Refused: if the service answers with an error.
            Unavailable: if there is no answer.
        """
        return await self.call("send_message_batch", QueueUrl=url, Entries=entries)

    async def probe(self, url: str) -> None:
        """Ask for the queue, and send nothing.

        Raises:
            Unavailable: if the service or the queue cannot be reached.
        """
        try:
            await self.call("get_queue_attributes", QueueUrl=url, AttributeNames=["QueueArn"])
        except Refused as error:
            verdict, reason = ERRORS.verdict_on(error.code, error.status)
            may_not_ask = "AccessDenied" in error.code  # and may be permitted to send
            if verdict is not Verdict.REJECTED and not may_not_ask:
                raise Unavailable(reason) from None
