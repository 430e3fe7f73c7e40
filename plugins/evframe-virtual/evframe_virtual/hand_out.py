"""A batch on its way through a group."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from evframe import Batch, Unavailable
from evframe_virtual.group import Group

NO_HEALTHY_MEMBER: Final = "no_healthy_member"


class HandOut:
    """Gives each event of a batch to a group, and ends the batch with the last of them."""

    def __init__(self, batch: Batch, group: Group) -> None:
        self._batch = batch
        self._group = group
        self._ids: Sequence[str] | None = None
        self._open = len(batch.events)
        self._has_returned = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self) -> asyncio.Future[None]:
        """Hand out the events; return what ends when each is delivered, has failed, or is returned."""
        put, returned = self._group.put, self._returned
        for index, event in enumerate(self._batch.events):
            put(event, _Part(self, index), returned)
        return self._over

    def id(self, index: int) -> str | None:
        """Return what names an event at each attempt and in each process."""
        if self._ids is None and self._batch.is_kept:
            self._ids = self._batch.ids
        return None if self._ids is None else self._ids[index]

    def settled(self, index: int, reason: str | None) -> None:
        """Take the outcome of an event."""
        self._open -= 1
        if reason is not None:
            self._batch.fail(index, reason)
        elif self._open or self._has_returned or self._over.done():  # else the whole batch is delivered
            self._batch.confirm(index)  # now, because the batch may be cancelled for what another member has
        if not self._open:
            self._end()

    def _returned(self) -> None:
        if not self._has_returned:
            self._has_returned = True
            self._group.hold_until(self._over)
        self._open -= 1
        if not self._open:
            self._end()

    def _end(self) -> None:
        if self._over.done():
            return
        if self._has_returned:
            self._over.set_exception(Unavailable(NO_HEALTHY_MEMBER))
        else:
            self._over.set_result(None)


class _Part:
    """One event of a batch."""

    __slots__ = ("_failure", "_hand_out", "_index", "_open")

    def __init__(self, hand_out: HandOut, index: int) -> None:
        self._hand_out = hand_out
        self._index = index
        self._open = 1
        self._failure: str | None = None

    @property
    def id(self) -> str | None:
        """What names it at each attempt and in each process."""
        return self._hand_out.id(self._index)

    def wait_for(self, count: int) -> None:
        """Have *count* outcomes, the first failure of which is that of the event."""
        self._open = count

    def __call__(self, reason: str | None) -> None:
        """Take an outcome."""
        self._open -= 1
        if reason is not None and self._failure is None:
            self._failure = reason
        if not self._open:
            self._hand_out.settled(self._index, self._failure)
