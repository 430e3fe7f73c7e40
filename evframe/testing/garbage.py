"""A check that what is over leaves memory at once, and not when the cyclic garbage collector comes."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType
from typing import Any


@contextmanager
def no_garbage(*besides: type, most: int | None = None) -> Iterator[None]:
    """Run a block without the collector, and fail when it would find objects of evframe or of a plugin.

    ::

        with no_garbage():
            for n in range(20):
                events.subscribe_event("E_T", f"memory:{n}", 1)
            ...
            await until(lambda: len(events.subscriptions) == 0)

    Whatever the block waits for has to be over at its end: an object that is still used is no garbage.

    Args:
        besides: classes of evframe that the cycles of a library hold, such as a subclass of its connection.
        most: how many objects of any class, those of libraries included, the collector may find; any number without it.

    Raises:
        AssertionError: with the types of what was found, and the lines of its frames.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    had_frozen = gc.get_freeze_count() > 0
    gc.freeze()
    gc.disable()
    try:
        yield
        found = _collect()
    finally:
        if not had_frozen:  # `unfreeze` would also return what the program has frozen
            gc.unfreeze()
        if was_enabled:
            gc.enable()
    if most is not None and len(found) > most:
        raise AssertionError(f"expected at most {most} objects of garbage, got {len(found)}: {_summary(found)}")
    ours = [each for each in found if _is_ours(each) and not isinstance(each, besides)]
    if ours:
        raise AssertionError(
            f"expected no garbage, got {len(found)} objects, of which {len(ours)} are ours: {_summary(ours)}"
            f"\nall: {_summary(found)}"
        )


def _collect() -> list[Any]:
    flags = gc.get_debug()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
    finally:
        gc.set_debug(flags)
    found = list(gc.garbage)
    gc.garbage.clear()
    return found


def _is_ours(found: Any) -> bool:
    """Return whether *found* is an object of a class, a frame or a function of evframe or of a plugin."""
    for frame in ("cr_frame", "gi_frame", "ag_frame"):
        found = getattr(found, frame, None) or found
    if isinstance(found, FrameType):
        module = found.f_globals.get("__name__", "")
    else:
        module = found.__module__ if isinstance(found, FunctionType) else type(found).__module__
    return str(module).startswith("evframe")


def _summary(found: list[Any]) -> str:
    types = Counter(type(each).__qualname__ for each in found)
    frames = Counter(
        f"{each.f_code.co_filename}:{each.f_lineno} in {each.f_code.co_qualname}"
        for each in found
        if isinstance(each, FrameType)
    )
    lines = [f"{count} {name}" for name, count in types.most_common(12)]
    return ", ".join(lines) + "".join(f"\n{count} frames {line}" for line, count in frames.most_common(12))
