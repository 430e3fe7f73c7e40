"""The text of a response: results and errors, within a bound of bytes."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from typing import Any, Final

from evframe_wire.reading import MAX_TEXT_DEPTH

from evframe.plugin import CommandError
from evframe_mi.writing import Writer


def failure(error: CommandError, request_id: Any) -> dict[str, Any]:
    """Return *error* as a response."""
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        body["data"] = error.data
    return {"jsonrpc": "2.0", "error": body, "id": request_id}


class Response:
    """Writes the response to one request, or to a batch of them.

    Args:
        most_bytes: the longest response; a longer one is replaced by an error as soon as its text exceeds the bound.
        pretty: one member per line.
    """

    def __init__(self, most_bytes: int, *, pretty: bool = False) -> None:
        self._most_bytes = most_bytes
        self._writer = Writer(pretty=pretty)
        self._size = 0

    def whole(self, value: Any) -> bytes:
        """Return the text of *value*."""
        return self._writer.whole(value)

    def failure(self, error: CommandError, request_id: Any) -> bytes:
        """Return *error* as the text of a response."""
        text = self.whole(failure(error, request_id))
        self._size += len(text)
        return text

    def result(self, result: Any, request_id: Any) -> Generator[None, None, bytes]:
        """Write the response with *result*, a slice at a time, and return its text."""
        parts: list[bytes] = []
        size = self._size
        for piece in self._writer.pieces({"jsonrpc": "2.0", "result": result, "id": request_id}):
            if parts:
                yield
            size += len(piece)
            if size > self._most_bytes:
                return self.failure(self._too_long(size), request_id)
            parts.append(piece)
        self._size = size
        return b"".join(parts)

    def _too_long(self, size: int) -> CommandError:
        return CommandError(-32000, "Server error", f"Reply of {size} bytes, the most is {self._most_bytes}")

    def batch(self, answers: Sequence[bytes]) -> bytes:
        """Return the response to a batch."""
        return b"[" + self._writer.comma.join(answers) + b"]"


def unsendable(response: bytes, most_bytes: int) -> bytes:
    """Return the error that replaces a *response* which is too long for the way to the client.

    Args:
        response: the result of `Dispatcher.handle`.
        most_bytes: the longest response; the error has the id of the response if the id fits.
    """
    answer = json.loads(response)
    error = CommandError(-32000, "Server error", f"Reply of {len(response)} bytes, the most is {most_bytes}")
    text = _COMPACT.whole(failure(error, answer.get("id") if isinstance(answer, dict) else None))
    return text if len(text) <= most_bytes else _COMPACT.whole(failure(error, None))


_COMPACT: Final = Writer()
NO_JSON: Final = failure(CommandError(-32700, "Parse error"), None)
NESTED: Final = failure(CommandError(-32700, "Parse error", f"Nested deeper than {MAX_TEXT_DEPTH} levels"), None)
PARSE_ERROR: Final = _COMPACT.whole(NO_JSON)
"""The response to a text that is no JSON."""
_WRITERS: Final = (_COMPACT, Writer(pretty=True))
NESTED_ERRORS: Final = frozenset(writer.whole(NESTED) for writer in _WRITERS)
"""The response to JSON that is nested too deep, in either form."""
PARSE_ERRORS: Final = NESTED_ERRORS | {writer.whole(NO_JSON) for writer in _WRITERS}
"""The responses to requests that cannot be read, in either form."""
