"""How an HTTP request ends without a reply."""

from __future__ import annotations


class NoReply(Exception):  # noqa: N818 what the far side does, not a mistake
    """The request has come to nothing.

    Args:
        code: that stands for it; None if nothing has left for the destination.
        reason: what went wrong, in a word.
    """

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
