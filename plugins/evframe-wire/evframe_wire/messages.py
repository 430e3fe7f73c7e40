"""The messages of a gateway as they arrive, and the replies to them (`docs/reference/wire-format.md`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from evframe_wire import reading
from evframe_wire.encoding import encode_value
from evframe_wire.framing import Splitter
from evframe_wire.payload import Pairs


@attrs.frozen(slots=True)
class Message:
    """A JSON-RPC notification, or a request when it has an id."""

    method: str
    params: Any
    """A dict, a list, `Pairs` when a name occurs twice, or None."""
    id: Any = None
    version: Any = attrs.field(default=None, eq=False)
    """What its member `jsonrpc` has, which receivers of events do not look at."""


class NotAnEvent(ValueError):  # noqa: N818 it may be JSON for another program
    """Raised for JSON that is no notification of an event.

    Args:
        problem: what was expected.
        value: what the JSON has.
    """

    def __init__(self, problem: str, value: Any = None) -> None:
        super().__init__(problem)
        self.value = value


def read_message(data: bytes) -> Message:
    """Return the message that *data* is.

    Bytes that are not UTF-8 are kept as surrogates, which go out as the same bytes; raw control
    characters are accepted.

    Raises:
        NotAnEvent: if it is other JSON.
        ValueError: if it is not one JSON text.
    """
    return _message(reading.read(data))


def read_notification(data: bytes) -> tuple[str, Any] | None:
    """Return method and parameters of the JSON-RPC notification, or request, that *data* is; None if it is none."""
    try:
        message = read_message(data)
    except ValueError:
        return None
    return (message.method, message.params) if message.version == "2.0" else None


def read_messages(data: bytes) -> Iterator[Message | ValueError]:
    """Yield every message of *data*, in which several may follow each other, and an error for each piece that is none.

    The pieces are those of a `Splitter`: nothing within a message that is no JSON, or is nested too deep, is a message.
    """
    splitter = Splitter(len(data))
    for piece in splitter.feed(data) + splitter.end():
        try:
            for value in reading.read_each(piece.decode("utf-8", "surrogateescape")):
                try:
                    yield _message(value)
                except NotAnEvent as error:
                    yield error
        except ValueError as error:
            yield ValueError(f"{error} in {len(piece)} bytes")


def _message(value: Any) -> Message:
    if not isinstance(value, dict | Pairs):
        raise NotAnEvent(f"expected a JSON object, got {type(value).__name__}", value)
    members = value if isinstance(value, dict) else dict(value)
    if "specversion" in members and "jsonrpc" not in members:  # whose extensions may be `method` and `params`
        raise NotAnEvent("expected a notification, got a CloudEvent", value)
    method, params = members.get("method"), members.get("params")
    if type(method) is not str:
        raise NotAnEvent(f"expected a method, got {type(method).__name__}", value)
    if params is not None and not isinstance(params, dict | list | Pairs):
        raise NotAnEvent(f"expected parameters in an object or an array, got {type(params).__name__}", value)
    return Message(method, params, members.get("id"), members.get("jsonrpc"))


def reply(request_id: Any, error: tuple[int, str] | None = None) -> bytes:
    """Return the reply to a request, with the code and the text of an *error*; nothing when the id has no JSON form.

    A gateway in reliable mode waits for it.
    """
    outcome = {"result": "OK"} if error is None else {"error": {"code": error[0], "message": error[1]}}
    try:
        return encode_value({"jsonrpc": "2.0", **outcome, "id": request_id})
    except ValueError:  # of the id, which came from outside
        return b""
