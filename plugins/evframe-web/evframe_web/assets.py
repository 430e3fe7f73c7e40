"""The files of the page, as the package has them."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import Final

import attrs

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@attrs.frozen
class Asset:
    """One file."""

    body: bytes
    content_type: str
    etag: str


def _read() -> dict[str, Asset]:
    found = {}
    for file in files("evframe_web").joinpath("page").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            body = file.read_bytes()
            found[f"/{file.name}"] = Asset(body, kind, f'"{sha256(body).hexdigest()[:32]}"')
    found["/"] = found["/index.html"]
    return found


ASSETS: Final = _read()
"""The files by their paths."""
