"""Connections to a host that has several addresses."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from evframe.subscriptions.names import HostAddress

Connected = TypeVar("Connected")


async def first_reached(
    addresses: Sequence[HostAddress], connect: Callable[[HostAddress], Awaitable[Connected]], timeout_s: float
) -> Connected:
    """Return the result of *connect* for the first of *addresses* that can be reached.

    Each attempt may take an equal part of the remaining time, so that an address that does not
    answer leaves time for the addresses after it.

    Raises:
        OSError: the error of the last address; TimeoutError when that address did not answer.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + timeout_s
    last: OSError | None = None
    try:
        for tried, address in enumerate(addresses):
            now = clock()
            try:
                async with asyncio.timeout_at(now + (end - now) / (len(addresses) - tried)):
                    return await connect(address)
            except OSError as error:
                last = error
        raise last or OSError(errno.EHOSTUNREACH, "no address")
    finally:
        last = None  # the traceback of the error has this frame, and would form a cycle
