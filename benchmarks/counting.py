"""Callables for event routes that do the least there is to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import evframe


def counting(kind: str) -> Callable[[evframe.Event], Awaitable[None] | None]:
    """Return a callable that counts its events; a coroutine function for the *kind* ``async``."""
    calls = 0

    def plain(_: evframe.Event) -> None:
        nonlocal calls
        calls += 1

    async def awaited(_: evframe.Event) -> None:
        nonlocal calls
        calls += 1

    return awaited if kind == "async" else plain
