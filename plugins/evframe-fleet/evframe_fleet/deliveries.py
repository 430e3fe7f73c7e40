"""What a frame has for each subscriber."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from evframe_shards.lane import INDEX_BITS

if TYPE_CHECKING:
    from evframe_shards.frames import Frame

    from evframe import Event


def deliveries(offset: int, frame: Frame) -> Iterator[tuple[int, Event, str]]:
    """Yield the position, the event and the subscriber of each delivery of the frame at *offset*."""
    sockets, base = frame.sockets, offset << INDEX_BITS
    for index, (event, targets) in enumerate(zip(frame.events, frame.targets, strict=True)):
        if type(targets) is int:
            yield base | index, event, sockets[targets]
        else:
            for target in targets:  # type: ignore[union-attr]
                yield base | index, event, sockets[target]
