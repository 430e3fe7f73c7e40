"""The text of a result, in pieces, so that a long listing never holds the loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson

from evframe.plugin import Listing, holds_listing
from evframe_mi.printing import print_value


class Writer:
    """Writes a JSON value in pieces, each of at most a slice.

    Args:
        pretty: one member per line.
    """

    def __init__(self, *, pretty: bool = False) -> None:
        self._pretty = pretty
        self.comma = b", " if pretty else b","
        """The text between the items of a list."""

    def pieces(self, value: Any, level: int = 0) -> Iterator[bytes]:
        """Yield the text of *value*, which is nested *level* deep."""
        if not holds_listing(value):
            yield self.whole(value, level)
        elif type(value) is dict:
            yield from self._object(value, level)
        else:
            yield from self._list(value if type(value) is Listing else Listing(value, lambda item: item), level)

    def whole(self, value: Any, level: int = 0) -> bytes:
        """Return the text of *value*, which holds no listing."""
        if self._pretty:
            return print_value(value, level).encode("utf-8", "surrogatepass")
        try:
            return orjson.dumps(value)
        except TypeError:  # text from the request that is not valid Unicode
            return json.dumps(value, separators=(",", ":")).encode()

    def _list(self, listing: Listing, level: int) -> Iterator[bytes]:
        before = b"["
        for items in filter(None, listing.slices()):
            if any(map(holds_listing, items)):
                for item in items:
                    for piece in self.pieces(item, level + 1):
                        yield before + piece
                        before = b""
                    before = self.comma
            else:
                yield before + self.whole(items, level)[1:-1]
                before = self.comma
        yield b"[]" if before == b"[" else b"]"

    def _object(self, value: dict[str, Any], level: int) -> Iterator[bytes]:
        line, colon = (b"\n" + b"\t" * (level + 1), b":\t") if self._pretty else (b"", b":")
        before = b"{"
        for name, member in value.items():
            before += line + self.whole(name) + colon
            for piece in self.pieces(member, level + 1):
                yield before + piece
                before = b""
            before = b","
        yield (b"\n" + b"\t" * level if self._pretty else b"") + b"}"
