"""Events with their targets, as they wait for a frame."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evframe import Event
    from evframe_workers.ledger import Ledger

Pair = tuple["Event", list[int]]
"""An event, and the numbers of its targets."""


def merged(waiting: Mapping[int, Sequence[Event]]) -> Sequence[Pair]:
    """Return the events that wait for each target, in the order of each, and once each as far as that is known."""
    timed: list[tuple[float, int, Event]] = []
    for number, events in waiting.items():
        at = -math.inf
        for event in events:
            at = max(at, event.raised_at)  # one that was raised elsewhere may be older than those before it
            timed.append((at, number, event))
    timed.sort(key=itemgetter(0))
    pairs: list[Pair] = []
    for _, number, event in timed:
        if pairs and pairs[-1][0] is event:
            pairs[-1][1].append(number)
        else:
            pairs.append((event, [number]))
    return pairs


def without_dropped(outgoing: Iterable[bytes | Pair], ledgers: Mapping[int, Ledger]) -> Iterator[bytes | Pair]:
    """Yield what goes out without the events that were given up; those that are left get the positions of all.

    Args:
        outgoing: messages, and events with their targets.
        ledgers: of the targets; those that are missing were released, and get no event.
    """
    waiting = list(outgoing)
    unsent = Counter(number for each in waiting if not isinstance(each, bytes) for number in each[1])
    kept = {
        number: iter(ledgers[number].close_gaps(n) if number in ledgers else [False] * n)
        for number, n in unsent.items()
    }
    for each in waiting:
        if isinstance(each, bytes):
            yield each
        elif numbers := [number for number in each[1] if next(kept[number])]:
            yield each[0], numbers
