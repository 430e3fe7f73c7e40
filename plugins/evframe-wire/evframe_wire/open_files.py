"""The limit of open files, and the reserve within it for connections of management interfaces.

The system limits the numbers of descriptors, and a new descriptor gets the lowest free number. Only
calls within `reserved` have the higher limit, so that no other connection can use the reserve.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

RESERVE: Final = 32
"""How many descriptors are kept; fewer, an eighth, where the limit is low."""


def raise_limit() -> None:
    """Raise the limit of open files as far as it may be, but for the reserve: every subscriber has a socket or file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard == resource.RLIM_INFINITY else hard - min(RESERVE, hard // 8)
    if soft != wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def reserved() -> Iterator[None]:
    """Permit the calls of the block to use the reserve, as far as the hard limit has one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in {soft, hard} or soft >= hard:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, soft + RESERVE), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
