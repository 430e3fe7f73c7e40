"""Commands as the protocol has them, and words for error replies."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = {
    "ASK": "moved",
    "ERR": "error_reply",
    "NOAUTH": "access_refused",
    "NOGROUP": "no_such_group",
    "NOPERM": "access_refused",
    "UNBLOCKED": "no_such_group",  # the stream was deleted
    "WRONGPASS": "access_refused",
}
_CODE: Final = re.compile(r"[A-Z]{2,32}")
_PROTOCOL: Final = "Protocol error"  # of a word that is longer than `proto-max-bulk-len`


def command(*words: bytes) -> bytes:
    """Return a command in bytes."""
    return b"*%d\r\n%b" % (len(words), b"".join(map(word, words)))


def word(text: bytes) -> bytes:
    """Return a word of a command in bytes."""
    return b"$%d\r\n%b\r\n" % (len(text), text)


def code_of(error: Exception) -> str:
    """Return the code of an error reply: that which the library has taken away, or the first word of the text."""
    return getattr(error, "status_code", None) or str(error).partition(" ")[0]


def word_of(code: str, text: str = "") -> str:
    """Return the reason for an error reply with *code*."""
    if _PROTOCOL in text:
        return "too_large"
    return _WORDS.get(code) or (code.lower() if _CODE.fullmatch(code) else "error_reply")
