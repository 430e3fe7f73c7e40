"""Answers that are produced in slices, so that a long listing never holds the loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

SLICE: Final = 256
"""How many items of a listing are produced before the loop serves others."""


class Listing(Sequence[Any]):
    """A list in the result of a command whose items are made while the answer is written.

    The loop serves other work between the slices. Each item therefore shows its thing at the time when
    the item is made, and an item that is None is left out.

    Args:
        things: what is listed, which is copied.
        make: returns the item of a thing; an item may be an object that contains further listings.
    """

    __slots__ = ("_make", "_things")

    def __init__(self, things: Iterable[Any], make: Callable[[Any], Any]) -> None:
        self._things = tuple(things)
        self._make = make

    def slices(self) -> Iterator[list[Any]]:
        """Yield the items, at most `SLICE` at a time."""
        for start in range(0, len(self._things), SLICE):
            items = map(self._make, self._things[start : start + SLICE])
            yield [item for item in items if item is not None]

    def __len__(self) -> int:
        return len(self._things)

    def __getitem__(self, index: Any) -> Any:
        chosen = self._things[index]
        return [*map(self._make, chosen)] if isinstance(index, slice) else self._make(chosen)

    def __eq__(self, other: object) -> bool:
        return list(self) == other

    __hash__ = None  # type: ignore[assignment] # as a list


def holds_listing(value: Any) -> bool:
    """Return whether *value* is a listing, or has one in it."""
    kind = type(value)
    if kind is dict:
        return any(map(holds_listing, value.values()))
    return kind is Listing or (kind is list and any(map(holds_listing, value)))
