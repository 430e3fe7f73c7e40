"""Which destination of a set: the algorithms."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, Literal, get_args

from evframe_dispatcher.destinations import Destination

Algorithm = Literal["round-robin", "hash", "random", "priority", "latency"]
ALGORITHMS: Final = get_args(Algorithm)
_LARGEST: Final = 2.0**64


def order(
    destinations: Sequence[Destination],
    algorithm: Algorithm = "round-robin",
    key: str | bytes | None = None,
    uniform: Callable[[], float] = random.random,
) -> list[Destination]:
    """Return *destinations* with the choice first, and after it whom to try when that fails.

    Args:
        destinations: by priority.
        algorithm: ``round-robin`` takes turns, ``hash`` gives a key the same destination again, ``random`` any,
            each with its weight; ``priority`` takes the first, ``latency`` the quickest.
        key: what ``hash`` is over, such as a Call-ID.
        uniform: returns a random number from 0 up to 1.

    Raises:
        ValueError: if there is no such algorithm, or nothing to hash over.
    """
    match algorithm:
        case "round-robin":
            return _in_turn(destinations)
        case "hash":
            if key is None:
                raise ValueError("key: expected a text to hash over, got None")
            return _race(destinations, lambda each: _share(key, each.uri))
        case "random":
            return _race(destinations, lambda _: 1.0 - uniform())
        case "priority":
            return list(destinations)
        case "latency":
            return sorted(destinations, key=lambda each: math.inf if each.latency_s is None else each.latency_s)
    raise ValueError(f"algorithm: expected one of {list(ALGORITHMS)}, got {algorithm!r}")


def _in_turn(destinations: Sequence[Destination]) -> list[Destination]:
    """Choose each as often as its weight says, as evenly as can be."""
    if not destinations:
        return []
    weights = _weights(destinations)
    for each, weight in zip(destinations, weights, strict=True):
        each.credit += weight
    first = max((at for at, weight in enumerate(weights) if weight), key=lambda at: destinations[at].credit)
    destinations[first].credit -= sum(weights)
    return [*destinations[first:], *destinations[:first]]


def _race(destinations: Sequence[Destination], luck: Callable[[Destination], float]) -> list[Destination]:
    """Order by chance, or what stands for it: each is the first with the probability of its weight.

    It is a race of exponential clocks: one that drops out does not change the order of the others.
    """

    def finish(pair: tuple[Destination, int]) -> float:
        each, weight = pair
        return -math.log(luck(each)) / weight if weight else math.inf

    pairs = zip(destinations, _weights(destinations), strict=True)
    return [each for each, _ in sorted(pairs, key=finish)]


def _weights(destinations: Sequence[Destination]) -> list[int]:
    weights = [each.weight for each in destinations]
    return weights if any(weights) else [1] * len(weights)


def _share(key: str | bytes, uri: str) -> float:
    """Return a number above 0 and up to 1 that belongs to a key and a URI, in every process."""
    text = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
    return (int.from_bytes(hashlib.blake2b(text, digest_size=8, key=_salt(uri)).digest()) + 1) / _LARGEST


@lru_cache(4096)
def _salt(uri: str) -> bytes:
    return hashlib.blake2b(uri.encode(), digest_size=32).digest()
