"""Ids of events: what names one that ends with its process, at each attempt and in each transport, and no other one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
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
Process = tuple[int, str, int]
"""The first of the numbers of a process, what its ids begin with, and what is added to its numbers here."""
# Of this process; before it, those of the processes that it was forked from.
_processes: list[Process] = [(0, token_hex(_TOKEN_BYTES), 0)]
ADOPTED: Final = 1 << 56
"""What is added to the numbers of another process, so that they are none of this one; see `adopt`."""


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
    number = block << BLOCK_BITS
    token, added = next((token, added) for first, token, added in reversed(_processes) if first <= number)
    return f"{token}-{(number - added) >> BLOCK_BITS:0{_DIGITS - len(_ENDS[0])}x}"


def id_of(event: Numbered) -> str:
    """Return the id of *event*, 33 characters of ASCII without a dot, as a journal gives them to kept events."""
    number = number_of(event)
    return _prefix_of_block(number >> BLOCK_BITS) + _ENDS[number & _LAST]


def processes() -> Sequence[Process]:
    """Return what another process needs so that the events of this one have the same ids there; see `adopt`."""
    return tuple(_processes)


def adopt(others: Sequence[Process]) -> None:
    """Have events of another process, whose numbers have `ADOPTED` added to them, the ids that they have there.

    To be called before such an event comes, by a process that gets its events from one other process.
    """
    own = [each for each in _processes if each[0] < ADOPTED]
    _processes[:] = own + [(first + ADOPTED, token, added + ADOPTED) for first, token, added in others]
    _prefix_of_block.cache_clear()


def _begin_anew() -> None:
    """Have the events of a forked process, which get their numbers from now on, have other ids than its parent's."""
    first = next(number for number in NUMBERS if not number % BLOCK)
    _processes.append((first, token_hex(_TOKEN_BYTES), 0))
    _processes.sort()


os.register_at_fork(after_in_child=_begin_anew)
