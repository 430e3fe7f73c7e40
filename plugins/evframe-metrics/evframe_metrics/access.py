"""Who may read the metrics: local programs, or those that bring the token."""

from __future__ import annotations

import hmac
import ipaddress
from typing import TYPE_CHECKING

from evframe.plugin import read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evframe_metrics.options import Options


class Guard:
    """Checks requests.

    Args:
        options: with the file of the token, which is read now.

    Raises:
        ValueError: if the file cannot be used.
    """

    def __init__(self, options: Options) -> None:
        self._token = None if options.token_file is None else read_secret(options.token_file).encode()

    def refusal(self, headers: Mapping[str, str]) -> int | None:
        """Return the status that a request for the metrics is refused with; None when it may be answered."""
        if self._token is None:
            return None if is_local(headers.get("Host", "")) else 403
        scheme, _, given = headers.get("Authorization", "").partition(" ")
        is_same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        return None if scheme.lower() == "bearer" and is_same else 401


def is_local(host: str) -> bool:
    """Return whether the header ``Host`` names an address or ``localhost``, as that of a web page by a name does not.

    A web page could read the metrics otherwise, once the name of its server resolves to this machine.
    """
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return name.lower().removesuffix(".") == "localhost"
    return True
