"""Events with their targets, as they wait for a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evframe import Event

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
