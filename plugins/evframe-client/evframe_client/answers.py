"""What a gateway answers, read as something that may be anything: another program can be at the URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from evframe_client.protocol import ManagementError


@contextmanager
def reading_answer(command: str, expected: str, result: Any) -> Iterator[None]:
    """Raise `ManagementError` where *result*, which is read in the block, has another form.

    Args:
        command: what was called.
        expected: what its answer is, for the error.
        result: the answer.
    """
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ManagementError(f"{command}: expected {expected}, got {str(result)[:100]!r}") from None
