"""Ids of events: what names one that ends with its process, at each attempt and in each transport, and no other one."""

from __future__ import annotations

import itertools
import os
from functools import lru_cache
from secrets import token_hex
from typing import Final, Protocol

BLOCK_BITS: Final = 8
BLOCK: Final = 1 << BLOCK_BITS
"""So many ids, from a multiple of it on, differ in their last two digits alone; see `prefix_of`."""
_LAST: Final = BLOCK - 1
_ENDS: Final = [f"{number:02x}" for number in range(BLOCK)]
_DIGITS: Final = 16
_TOKEN_BYTES: Final = 8
NUMBERS: Final = itertools.count(1)
"""Those that are free; see `number_of`."""
# The number of the first event of this process, and what its ids begin with; before it, those of the processes that it
# was forked from.
_processes: list[tuple[int, str]] = [(0, token_hex(_TOKEN_BYTES))]


class Numbered(Protocol):
    """An event: an `evframe.Event`."""

    number: int


def number_of(event: Numbered) -> int:
    """Return the number of *event*, which gets one at the first use: most events never need one."""
    number = event.number
    if not number:
        # Time and bytes do not distinguish events: a coarse clock raises several at the same time, which may be equal.
        number = event.number = next(NUMBERS)
    return number


def prefix_of(number: int) -> str:
    """Return what the id of the event with this number begins with: all but two hexadecimal digits."""
    return _prefix_of_block(number >> BLOCK_BITS)


@lru_cache(maxsize=64)
def _prefix_of_block(block: int) -> str:
    process = next(token for first, token in reversed(_processes) if first <= block << BLOCK_BITS)
    return f"{process}-{block:0{_DIGITS - len(_ENDS[0])}x}"


def id_of(event: Numbered) -> str:
    """Return the id of *event*, 33 characters of ASCII without a dot, as a journal gives them to kept events."""
    number = number_of(event)
    return _prefix_of_block(number >> BLOCK_BITS) + _ENDS[number & _LAST]


def _begin_anew() -> None:
    """Have the events of a forked process, which get their numbers from now on, have other ids than its parent's."""
    first = next(number for number in NUMBERS if not number % BLOCK)
    _processes.append((first, token_hex(_TOKEN_BYTES)))


os.register_at_fork(after_in_child=_begin_anew)
