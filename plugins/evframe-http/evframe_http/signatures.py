"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 of the id, the time and the body."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Iterable
from typing import Final

_PREFIX: Final = "whsec_"
_FEWEST: Final = 24
_MOST: Final = 64


def key_of(secret: str) -> bytes:
    """Return the key of *secret*.

    Raises:
        ValueError: if it is not base64 of 24 to 64 bytes; its text is not in the error.
    """
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except ValueError:
        raise ValueError("expected whsec_ and base64") from None
    if not _FEWEST <= len(key) <= _MOST:
        raise ValueError(f"expected base64 of {_FEWEST} to {_MOST} bytes, got {len(key)} bytes")
    return key


def signed_headers(keys: Iterable[bytes], message: str, body: bytes) -> dict[str, str]:
    """Return the headers of a request: its id, the present time, and a signature by each of *keys*, if there are any.

    Args:
        keys: of the present secret, and of the one before it.
        message: the id of the request, without dots.
        body: of the request.
    """
    seconds = int(time.time())
    signed = b"%b.%d.%b" % (message.encode(), seconds, body)
    digests = [hmac.digest(key, signed, hashlib.sha256) for key in keys]
    headers = {"webhook-id": message, "webhook-timestamp": str(seconds)}
    if digests:
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return headers
