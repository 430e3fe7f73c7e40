"""Sockets as earlier versions of OpenSIPS wrote them, in the form that they have now."""

from __future__ import annotations

import re
from typing import Final

_OLD: Final = re.compile(r"(?:rabbitmq|jsonrpc):\S*")
_EXCHANGE: Final = re.compile(r"(?P<broker>rabbitmq:[^/?\s]+)/(?P<exchange>[^=;?@/\s]+)\?(?P<key>\S+)")
_METHOD: Final = re.compile(r"jsonrpc:(?P<peer>(?:\[[^\]\s]+\]|[^:\s]+):[0-9]+)(?::(?P<method>\S+))?")
_FLAGS: Final = frozenset({"message_id", "persistent", "tls"})  # parameters without a value


def in_present_form(socket: str) -> tuple[str, list[str]]:
    """Return *socket*, and the members of a combined one, as they are written now, and what has changed.

    ``rabbitmq:host/exchange?key`` is the form until 3.1, and ``jsonrpc:host:port:method`` that until 3.0.
    """
    notes: list[str] = []
    scheme = socket.partition(":")[0]
    if scheme == "virtual":
        return _OLD.sub(lambda found: _converted(found[0], notes), socket), notes
    return (_converted(socket, notes) if scheme in {"jsonrpc", "rabbitmq"} else socket), notes


def _converted(socket: str, notes: list[str]) -> str:
    found = _EXCHANGE.fullmatch(socket)
    if found is not None and found["exchange"] not in _FLAGS:
        notes.append(f"written as until 3.1; here exchange={found['exchange']}?{found['key']}")
        return f"{found['broker']}/exchange={found['exchange']}?{found['key']}"
    found = _METHOD.fullmatch(socket)
    if found is not None:
        text = f"tcp:{found['peer']}/{found['method'] or ''}".removesuffix("/")
        notes.append(f"written as until 3.0; here {text}")
        return text
    return socket
