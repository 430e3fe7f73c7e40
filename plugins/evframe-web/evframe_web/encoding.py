"""JSON for the page."""

from __future__ import annotations

import json
from typing import Any

import orjson

from evframe.plugin import Listing


def encoded(value: Any) -> bytes:
    """Return *value* in JSON; a text that is no Unicode, as of a path, has escapes that a browser can read."""
    try:
        return orjson.dumps(value, default=_plain)
    except TypeError:
        return json.dumps(value, default=_plain, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, Listing) else str(value)
