"""What an error of a service says about the messages of a request, or about one of them."""

from __future__ import annotations

from enum import Enum
from typing import Final

import attrs

_THROTTLED: Final = {
    "KmsThrottled",
    "OverLimit",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_EXPIRED: Final = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"}
_REFUSED: Final = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "OptInRequired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class Refused(Exception):  # noqa: N818 what the service says
    """An error of the service for a whole request.

    Args:
        code: of the error.
        status: of the answer.
    """

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class Verdict(Enum):
    """What follows for the messages."""

    LATER = "later"
    """The same request may be taken later."""
    MENDABLE = "mendable"
    """No message is taken before the service is set up otherwise: events that outlive the process wait."""
    REJECTED = "rejected"
    """This message, or one of several, is not taken."""


@attrs.frozen
class ErrorCodes:
    """The codes of errors that one service has, beside those of all."""

    not_found: frozenset[str] = frozenset()
    """What events are sent to does not exist."""
    too_large: frozenset[str] = frozenset()
    """A message is too large, or several together are."""

    def verdict_on(self, code: str, status: int, *, is_sender: bool = True) -> tuple[Verdict, str]:
        """Return what an error says, and the reason.

        Args:
            code: of the error.
            status: of the answer.
            is_sender: whether the sender is to blame, as the answer says.
        """
        code = code.rpartition("#")[2].rpartition(".")[2]
        if code in _THROTTLED or status == 429:
            return Verdict.LATER, "throttled"
        if code in _EXPIRED:
            return Verdict.LATER, "access_refused"
        if status >= 500 or not is_sender:
            return Verdict.LATER, f"http_{status}" if status >= 500 else "service_error"
        if code in self.not_found:
            return Verdict.MENDABLE, "not_found"
        if code in _REFUSED or code.startswith("Kms"):
            return Verdict.MENDABLE, "access_refused"
        return Verdict.REJECTED, "too_large" if code in self.too_large or status == 413 else "invalid_message"
