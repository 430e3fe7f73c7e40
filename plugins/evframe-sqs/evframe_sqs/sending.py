"""The requests for one batch, and the outcomes of its events."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from evframe import Batch, DeliveryError, Rejected, Unavailable
from evframe_sqs.answers import Refused, Verdict, verdict_on
from evframe_sqs.messages import Messages

if TYPE_CHECKING:
    from evframe_sqs.library import Client


class Sending:
    """Sends the messages of a batch.

    Args:
        client: of the service.
        url: of the queue.
        batch: gets the outcomes.
        messages: of its events.
        most: how many requests are under way at once.
    """

    def __init__(self, client: Client, url: str, batch: Batch, messages: Messages, most: int) -> None:
        self._client, self._url, self._batch, self._messages, self._most = client, url, batch, messages, most
        self._pending: deque[Sequence[int]] = deque(messages.parts())
        self._problem: DeliveryError | None = None

    async def run(self) -> None:
        """Send all.

        Raises:
            Unavailable: if the rest is to be tried again.
            Rejected: if the service does not take it.
        """
        workers = min(self._most, len(self._pending))
        if workers <= 1:
            await self._work()
        else:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        problem, self._problem = self._problem, None
        try:
            if problem is not None:
                raise problem
        finally:
            problem = None  # the traceback of the error has this frame, and would form a cycle

    async def _work(self) -> None:
        while self._pending and self._problem is None:
            part = self._pending.popleft()
            try:
                await self._send(part)
            except DeliveryError as error:
                self._problem = self._problem or error

    async def _send(self, part: Sequence[int]) -> None:
        try:
            answer = await self._client.send(self._url, [self._messages.entries[index] for index in part])
        except Refused as error:
            verdict, reason = verdict_on(error.code, error.status)
            if verdict is Verdict.REJECTED and len(part) > 1:
                half = len(part) // 2
                self._pending.extendleft((part[half:], part[:half]))
                return
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
                self._settle(index, *verdict_on(failed.get("Code", ""), 400, is_sender=is_sender))
        if left:  # an answer that says nothing about some of them
            raise Unavailable("bad_reply")

    def _settle(self, index: int, verdict: Verdict, reason: str) -> None:
        """Count the event at *index* as failed, or have it and those without an outcome tried again."""
        if verdict is Verdict.REJECTED:
            self._batch.fail(index, reason)
        elif verdict is Verdict.LATER or self._batch.is_kept:
            self._problem = self._problem or Unavailable(reason)
        else:
            self._problem = self._problem or Rejected(reason)
