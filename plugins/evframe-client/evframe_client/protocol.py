"""JSON-RPC 2.0 as a client speaks it: the bytes of a request, and what a reply says to it."""

from __future__ import annotations

import json
import math
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from evframe_wire.encoding import encode_leaf, encode_value
from evframe_wire.exceptions import EvframeError
from evframe_wire.payload import ExactNumber
from evframe_wire.reading import MAX_TEXT_DEPTH, read
from evframe_wire.visible import brief

MAX_REPLY_BYTES: Final = 64 << 20
Params = Sequence[Any] | Mapping[str, Any]
_PLAIN: Final = re.compile(rb"([0-9]{3}) (.+)")  # `400 Parse_error`, of the original over datagrams


class ManagementError(EvframeError):
    """Raised when the gateway cannot be reached, or answers with an error.

    Args:
        message: the error's text, or one sentence that says why no answer came.
        code: the error's code; None when no answer came.
        data: what the error says beside its text, or None.
    """

    def __init__(self, message: str, code: int | None = None, data: Any = None) -> None:
        more = "" if data is None else f" ({data})"
        super().__init__(message if code is None else f"{code}: {message}{more}")
        self.message = message
        self.code = code
        self.data = data


def _new_id() -> str:
    # Text, because the original cuts numbers to 32 bits; no other program can guess it, because others
    # can write to the sockets and FIFOs that replies come through.
    return secrets.token_hex(8)


def _leaf(value: Any) -> tuple[Any, bytes]:
    """Return the text of a value without any byte beyond ASCII, which every gateway takes."""
    if isinstance(value, str):
        return value, json.dumps(value).encode()
    if isinstance(value, bytes | bytearray) or (isinstance(value, float) and not _is_json(value)):
        raise ValueError(f"expected a value that JSON has, got {brief(value)}")
    return encode_leaf(value)


def _is_json(number: float) -> bool:
    return isinstance(number, ExactNumber) or math.isfinite(number)


@attrs.frozen
class Request:
    """One call of a management command.

    Raises:
        ValueError: if the parameters have no JSON form.
    """

    method: str
    params: Params | None = None
    id: str = attrs.field(factory=_new_id)
    data: bytes = attrs.field(init=False)
    """The bytes on the wire, a single line."""

    @data.default
    def _(self) -> bytes:
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": self.id, "method": self.method}
        if self.params:
            message["params"] = self.params
        return encode_value(message, MAX_TEXT_DEPTH, _leaf)

    def is_answered_by(self, reply: bytes) -> bool:
        """Return whether *reply* is to this request and not, late, to another one."""
        return self._read(reply) is not None

    def result(self, reply: bytes) -> Any:
        """Return the result in *reply*.

        Raises:
            ManagementError: with the error in it.
            ValueError: if it is no answer to this request.
        """
        answer = self._read(reply)
        if answer is None:
            raise ValueError(f"expected a JSON-RPC answer, got {reply[:100]!r}")
        if "error" in answer:
            error = answer["error"]
            if not isinstance(error, dict) or not isinstance(error.get("code"), int):
                raise ValueError(f"expected a JSON-RPC error, got {error!r}")
            raise ManagementError(str(error.get("message", "")), error["code"], error.get("data"))
        return answer["result"]

    def _read(self, reply: bytes) -> dict[str, Any] | None:
        plain = _PLAIN.fullmatch(reply)
        if plain is not None:
            return {"error": {"code": int(plain[1]), "message": plain[2].decode("latin-1")}}
        try:
            answer = read(reply)
        except ValueError:
            return None
        if not isinstance(answer, dict) or ("error" in answer) == ("result" in answer):
            return None
        # A request that could not be read is answered without its id.
        is_ours = answer.get("id") == self.id or ("error" in answer and answer.get("id") is None)
        return answer if is_ours else None


def raise_params(event: str, params: Any, until: str | None = None) -> dict[str, Any]:
    """Return the parameters of the command `raise_event` that have *params* raised exactly as they are."""
    named = {"event": event} if params is None else {"event": event, "json": params}
    return named if until is None else {**named, "until": until}
