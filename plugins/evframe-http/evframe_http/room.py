"""How many connections a server has at most, so that others keep descriptors."""

from __future__ import annotations

import resource
from typing import Final

SHARE: Final = 4
"""The part of the descriptors that one server may have is one in so many."""
_LEAST: Final = 16
_MOST: Final = 4096


def most_connections() -> int:
    """Return how many connections one server may have, which depends on the limit of open files."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if soft == resource.RLIM_INFINITY else max(_LEAST, min(_MOST, soft // SHARE))
