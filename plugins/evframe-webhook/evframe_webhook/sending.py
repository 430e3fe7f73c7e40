"""The requests for one batch, and the outcomes of its events."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from evframe import Batch, Unavailable
from evframe_webhook.answers import Verdict, pause_s, verdict_on
from evframe_webhook.bodies import Bodies
from evframe_webhook.signing import signature
from evframe_webhook.targets import Target

if TYPE_CHECKING:
    from evframe_webhook.session import Session

GONE: Final = "http_410"
_DIVIDED: Final = {400, 413, 422}
"""With this status, a server may refuse one event of several only, or their size."""


class Later(Exception):  # noqa: N818 not a mistake of anybody
    """The server may take the rest later.

    Args:
        reason: the word for its status.
        pause_s: the seconds that it has asked for; 0 for none.
    """

    def __init__(self, reason: str, pause_s: float) -> None:
        super().__init__(reason)
        self.reason, self.pause_s = reason, pause_s


class Gone(Exception):  # noqa: N818 as above
    """The server wants no further events."""


class Sending:
    """Sends the events of a batch.

    Args:
        session: the connections.
        target: what holds for the subscriber.
        batch: gets the outcomes.
        bodies: of the requests.
    """

    def __init__(self, session: Session, target: Target, batch: Batch, bodies: Bodies) -> None:
        self._session, self._target, self._batch, self._bodies = session, target, batch, bodies
        self._pending: deque[Sequence[int]] = deque(bodies.parts())
        self._problem: Unavailable | Later | Gone | None = None

    async def run(self) -> None:
        """Send all, one request after another or several at once.

        Raises:
            Unavailable: if there was no answer, and the rest is to be tried again.
            Later: if an answer says that.
            Gone: if the server wants no further events.
        """
        if self._target.origin is not None and not self._session.may_send:
            await self._ask(self._target.origin)
        workers = min(self._target.max_in_flight, len(self._pending))
        if workers == 1:
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

    async def _ask(self, origin: str) -> None:
        """Ask the server whether it permits requests, as the HTTP webhooks of CloudEvents do."""
        headers = {**self._target.headers, "WebHook-Request-Origin": origin}
        status, answer = await self._session.request("OPTIONS", b"", headers, self._target.timeout_s)
        if not 200 <= status < 300 or answer.get("WebHook-Allowed-Origin", "") not in {"*", origin}:
            raise Unavailable("access_refused")
        self._session.may_send = True

    async def _work(self) -> None:
        while self._pending and self._problem is None:
            part = self._pending.popleft()
            try:
                await self._send(part)
            except (Unavailable, Later, Gone) as error:
                self._problem = self._problem or error

    async def _send(self, part: Sequence[int]) -> None:
        body = self._bodies.body(part)
        status, answer = await self._session.request("POST", body, self._headers(part, body), self._target.timeout_s)
        verdict = verdict_on(status, is_kept=self._batch.is_kept)
        if verdict is Verdict.DELIVERED:
            for index in part:
                self._batch.confirm(index)
        elif verdict is Verdict.LATER:
            raise Later(f"http_{status}", pause_s(answer, self._target.max_pause_s))
        elif verdict is Verdict.GONE:
            raise Gone
        elif len(part) > 1 and status in _DIVIDED:
            half = len(part) // 2
            self._pending.extendleft((part[half:], part[:half]))
        else:
            for index in part:
                self._batch.fail(index, f"http_{status}")

    def _headers(self, part: Sequence[int], body: bytes) -> dict[str, str]:
        message, seconds = self._bodies.id(part), int(time.time())
        headers = {
            "User-Agent": "evframe-webhook",
            **self._bodies.headers(part),
            **self._target.headers,
            "webhook-id": message,
            "webhook-timestamp": str(seconds),
        }
        kind = self._bodies.content_type(part)
        if kind is not None:
            headers["Content-Type"] = kind
        if self._target.keys:
            headers["webhook-signature"] = signature(self._target.keys, message, seconds, body)
        return headers
