"""Replies to the requests of one payload, which are written together, in the order of the requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evframe_ingest import fate_of


class Replies:
    """Calls *answer* once, when each request of the payload has its reply.

    Args:
        answer: writes the replies.
    """

    def __init__(self, answer: Callable[[bytes], None]) -> None:
        self._answer = answer
        self._replies: list[bytes] = []
        self._open = 1  # and those of the requests

    def later(self, success: bytes) -> Reply:
        """Return the reply to the next request, which is *success* when its event is kept."""
        self._open += 1
        self._replies.append(b"")
        return Reply(self, len(self._replies) - 1, success)

    def put(self, place: int, reply: bytes) -> None:
        """Take one reply, which may be empty for none."""
        self._replies[place] = reply
        self.close()

    def close(self) -> None:
        """Take no more requests, or count one as replied to."""
        self._open -= 1
        if not self._open:
            replies = b"".join(self._replies)
            if replies:
                self._answer(replies)


class Reply:
    """The reply to one request.

    Args:
        replies: of the payload.
        place: of the request.
        success: the reply when all is well.
    """

    __slots__ = ("_place", "_replies", "_success")

    def __init__(self, replies: Replies, place: int, success: bytes) -> None:
        self._replies = replies
        self._place = place
        self._success = success

    def taken(self, reasons: Sequence[str | None]) -> None:
        """Reply when the event has its outcome at all subscribers whose events are kept.

        There is no reply to an event that the end of the interface leaves open: the instance reports that one as lost.
        What has failed for good is counted here, and another attempt of the instance would mend nothing.
        """
        self.reply(b"" if fate_of(reasons) == "open" else self._success)

    def reply(self, reply: bytes) -> None:
        """Reply to the request."""
        self._replies.put(self._place, reply)
