"""The codes of errors that SQS has, beside those of all services."""

from __future__ import annotations

from typing import Final

from evframe_aws_clients import ErrorCodes

ERRORS: Final = ErrorCodes(
    not_found=frozenset({"InvalidAddress", "NonExistentQueue", "QueueDeletedRecently", "QueueDoesNotExist"}),
    too_large=frozenset({"BatchRequestTooLong", "MessageTooLong", "RequestEntityTooLarge"}),
)
