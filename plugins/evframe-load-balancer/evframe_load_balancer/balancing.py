"""Which destination gets a session: the one with the most room in the resources that it takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Final, Literal

from evframe_load_balancer.destinations import Destination

Reason = Literal["bad_resources", "no_destination", "no_capacity"]
FLAGS: Final = "nrs"


class NotAvailable(Exception):  # noqa: N818 not a mistake of anybody
    """No destination can take a session.

    Args:
        reason: ``bad_resources`` when no destination of the group provides what is asked for, ``no_destination``
            when none of those that do is enabled or left to be tried, ``no_capacity`` when they are full.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def choose(
    destinations: Collection[Destination],
    resources: Sequence[str],
    flags: str = "",
    *,
    tried: Collection[int] = (),
    pick: Callable[[Sequence[Destination]], Destination] = random.choice,
) -> Destination:
    """Return the destination of which most is free.

    Args:
        destinations: those of a group.
        resources: what is asked for.
        flags: ``r`` compares what is free in percent, ``n`` takes full ones too, ``s`` picks any of several equals
            rather than the first.
        tried: the ids of those that are not to be tried again.
        pick: picks one of several.

    Raises:
        NotAvailable: if there is none.
        ValueError: if a flag is unknown, or no resource is asked for.
    """
    if not set(flags) <= set(FLAGS):
        raise ValueError(f"flags: expected some of {FLAGS!r}, got {flags!r}")
    if not resources or isinstance(resources, str):
        raise ValueError(f"resources: expected a list of at least one, got {resources!r}")
    able = [each for each in destinations if all(name in each.capacity for name in resources)]
    if not able:
        raise NotAvailable("bad_resources")
    left = [each for each in able if each.enabled and each.id not in tried]
    if not left:
        raise NotAvailable("no_destination")
    free = [each.availability(resources, relative="r" in flags) for each in left]
    most = max(free)
    if most <= 0 and "n" not in flags:
        raise NotAvailable("no_capacity")
    best = [each for each, availability in zip(left, free, strict=True) if availability == most]
    return pick(best) if "s" in flags else best[0]
