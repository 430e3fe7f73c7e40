"""Answers for people: one member per line."""

from __future__ import annotations

import json
from typing import Any


def pretty(response: bytes) -> bytes:
    """Return the JSON text *response* with tabs, one member per line, and ``, `` between array items."""
    return print_value(json.loads(response), 0).encode("utf-8", "surrogatepass")


def print_value(value: Any, level: int) -> str:
    """Return the text of a JSON value that is nested *level* deep."""
    if isinstance(value, dict):
        indent = "\t" * (level + 1)
        members = ",\n".join(f"{indent}{_text(name)}:\t{print_value(item, level + 1)}" for name, item in value.items())
        end = "\t" * level + "}"
        return f"{{\n{members}\n{end}" if value else f"{{\n{end}"
    if isinstance(value, list):
        return f"[{', '.join(print_value(item, level + 1) for item in value)}]"
    return _text(value)


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
