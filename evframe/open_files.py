"""The limit of open files, and the reserve within it that management interfaces have for themselves.

The numbers of descriptors are limited, the lowest free one is taken, and only the calls within
`reserved` see a limit that is higher: so no other connection can take one of the reserve.
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
    """Let the calls of the block use the reserve, as far as there is one below the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY in {soft, hard} or soft >= hard:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, soft + RESERVE), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
