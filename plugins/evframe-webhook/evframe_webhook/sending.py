"""The requests for one batch, and the outcomes of its events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from evframe_http.retry_after import Later, retry_after_s
from evframe_http.sending import BatchSender, Part
from evframe_http.signatures import signed_headers

from evframe import Batch, Rejected
from evframe_webhook.answers import Verdict, verdict_on
from evframe_webhook.bodies import Bodies
from evframe_webhook.targets import Target

if TYPE_CHECKING:
    from evframe_http.requests import HttpSession

_DIVIDED: Final = {400, 413, 422}
"""With this status, a server may refuse one event of several only, or their size."""


class Gone(Rejected):
    """The server wants no further events."""


class Sending(BatchSender):
    """Sends the events of a batch; see `evframe_http.sending.BatchSender`.

    Args:
        session: the connections.
        target: what holds for the subscriber.
        batch: gets the outcomes.
        bodies: of the requests.
    """

    def __init__(self, session: HttpSession, target: Target, batch: Batch, bodies: Bodies) -> None:
        super().__init__(bodies.parts(), target.max_in_flight)
        self._session, self._target, self._batch, self._bodies = session, target, batch, bodies

    async def send(self, part: Part) -> None:
        """Send the request for one part, and give its events their outcomes.

        Raises:
            Unavailable: if there was no answer, and the rest is to be tried again; `Later` if an answer says that.
            Gone: if the server wants no further events.
        """
        body = self._bodies.body(part)
        status, answer = await self._session.request("POST", body, self._headers(part, body), self._target.timeout_s)
        verdict = verdict_on(status, is_kept=self._batch.is_kept)
        if verdict is Verdict.DELIVERED:
            for index in part:
                self._batch.confirm(index)
        elif verdict is Verdict.LATER:
            raise Later(f"http_{status}", retry_after_s(answer, self._target.max_pause_s))
        elif verdict is Verdict.GONE:
            raise Gone(f"http_{status}")
        elif len(part) > 1 and status in _DIVIDED:
            self.divide(part)
        else:
            for index in part:
                self._batch.fail(index, f"http_{status}")

    def _headers(self, part: Part, body: bytes) -> dict[str, str]:
        headers = {"User-Agent": "evframe-webhook", **self._bodies.headers(part), **self._target.headers}
        headers |= signed_headers(self._target.keys, self._bodies.id(part), body)
        kind = self._bodies.content_type(part)
        return headers if kind is None else headers | {"Content-Type": kind}
