"""The names of events of kept subscribers, which are the same ones in each process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from evframe_workers import messages

if TYPE_CHECKING:
    from evframe_shards.frames import Target

    from evframe_workers.kept import KeptLedger


def names_message(targets: Iterable[Target], kept: Mapping[int, KeptLedger]) -> bytes:
    """Return the message with the names of the events that a frame has for kept subscribers.

    Args:
        targets: of the frame; an empty list has those of the event before.
        kept: the ledgers of kept subscribers, by their numbers.
    """
    counts = Counter[int]()
    last: Iterable[int] = ()
    for numbers in targets:
        if numbers:
            last = kept.keys() & numbers if isinstance(numbers, list) else ()
        counts.update(last)
    return messages.json_message(messages.NAMES, [[number, kept[number].names(n)] for number, n in counts.items()])
