"""What an error reply to an XADD means for its event."""

from __future__ import annotations

from typing import Final

import attrs

_LATER: Final = {
    *("ASK", "BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOAUTH", "NOREPLICAS", "OOM", "READONLY"),
    *("TRYAGAIN", "UNKILLABLE"),
}
_WORDS: Final = {"ASK": "moved", "ERR": "error_reply", "NOAUTH": "access_refused", "NOPERM": "access_refused"}
_PROTOCOL: Final = "Protocol error"  # of a word that is longer than `proto-max-bulk-len`


@attrs.frozen
class Refusal:
    """An error reply."""

    reason: str
    """The word for it."""
    is_later: bool
    """Whether the same command may be taken later."""
    is_of_the_event: bool
    """Whether no other setting of the stream would help."""
    is_of_the_server: bool
    """Whether another server that the name stands for may take the command."""

    @classmethod
    def of(cls, text: str, code: str | None) -> Refusal:
        """Return what *text* means; *code* is its first word where the library has taken that away."""
        code = code or text.partition(" ")[0]
        if _PROTOCOL in text:
            return cls("too_large", is_later=False, is_of_the_event=True, is_of_the_server=False)
        reason = _WORDS.get(code, code.lower())
        return cls(reason, code in _LATER, is_of_the_event=False, is_of_the_server=code == "READONLY")
