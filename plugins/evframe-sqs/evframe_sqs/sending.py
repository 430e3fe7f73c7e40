"""The requests for one batch, and the outcomes of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evframe_aws_clients import Refused, Verdict
from evframe_http.sending import BatchSender, Part

from evframe import Batch, Rejected, Unavailable
from evframe_sqs.answers import ERRORS
from evframe_sqs.messages import Messages

if TYPE_CHECKING:
    from evframe_sqs.library import Client


class Sending(BatchSender):
    """Sends the messages of a batch; see `evframe_http.sending.BatchSender`.

    Args:
        client: of the service.
        url: of the queue.
        batch: gets the outcomes.
        messages: of its events.
        most: how many requests are under way at once.
    """

    def __init__(self, client: Client, url: str, batch: Batch, messages: Messages, most: int) -> None:
        super().__init__(messages.parts(), most)
        self._client, self._url, self._batch, self._messages = client, url, batch, messages

    async def send(self, part: Part) -> None:
        """Send the messages of one request, and give their events their outcomes.

        Raises:
            Unavailable: if the rest is to be tried again.
            Rejected: if the service does not take it.
        """
        try:
            answer = await self._client.send(self._url, [self._messages.entries[index] for index in part])
        except Refused as error:
            verdict, reason = ERRORS.verdict_on(error.code, error.status)
            if verdict is Verdict.REJECTED and len(part) > 1:
                self.divide(part)
            else:
                self._settle(part[0], verdict, reason)
            return
        left = {str(index): index for index in part}
        for done in answer.get("Successful", ()):
            index = left.pop(done.get("Id"), None)
            if index is not None:
                self._batch.confirm(index)
        for failed in answer.get("Failed", ()):
            index = left.pop(failed.get("Id"), None)
            if index is not None:
                is_sender = failed.get("SenderFault", True)
                self._settle(index, *ERRORS.verdict_on(failed.get("Code", ""), 400, is_sender=is_sender))
        if left:  # an answer that says nothing about some of them
            raise Unavailable("bad_reply")

    def _settle(self, index: int, verdict: Verdict, reason: str) -> None:
        """Count the event at *index* as failed, or have it and those without an outcome tried again."""
        if verdict is Verdict.REJECTED:
            self._batch.fail(index, reason)
        elif verdict is Verdict.LATER or self._batch.is_kept:
            self.stop(Unavailable(reason))
        else:
            self.stop(Rejected(reason))
