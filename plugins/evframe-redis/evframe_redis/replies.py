"""What an error reply to an XADD means for its event."""

from __future__ import annotations

from typing import Final

import attrs
from evframe_redis_clients.replies import code_of, word_of

_LATER: Final = {
    *("ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOREPLICAS", "OOM", "READONLY"),
    *("TRYAGAIN", "UNKILLABLE"),
}


@attrs.frozen
class Refusal:
    """An error reply."""

    reason: str
    """The word for it."""
    is_later: bool
    """Whether the same command may be taken later."""
    is_of_the_server: bool
    """Whether another server that the name stands for may take the command."""

    @classmethod
    def of(cls, error: Exception) -> Refusal:
        """Return what *error* means."""
        code = code_of(error)
        return cls(word_of(code, str(error)), code in _LATER, code == "READONLY")

    @property
    def is_of_the_event(self) -> bool:
        """Whether no other setting of the stream would help."""
        return self.reason == "too_large"
