"""A batch on its way through a group."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from evframe import Batch, Unavailable
from evframe_virtual.group import Group

NO_HEALTHY_MEMBER: Final = "no_healthy_member"


class HandOut:
    """Gives each event of a batch to a group, and ends the batch with the last of them."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._open = len(batch.events)
        self._has_returned = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def start(self, group: Group) -> asyncio.Future[None]:
        """Hand out the events; return what ends when each is delivered, has failed, or is returned."""
        returned = partial(self._returned, group)
        for index, event in enumerate(self._batch.events):
            group.put(event, partial(self._settled, index), returned)
        return self._over

    def _settled(self, index: int, reason: str | None) -> None:
        if reason is None:
            self._batch.confirm(index)  # now, because the batch may be cancelled for what another member has
        else:
            self._batch.fail(index, reason)
        self._end_one()

    def _returned(self, group: Group) -> None:
        if not self._has_returned:
            self._has_returned = True
            group.hold_until(self._over)
        self._end_one()

    def _end_one(self) -> None:
        self._open -= 1
        if self._open or self._over.done():
            return
        if self._has_returned:
            self._over.set_exception(Unavailable(NO_HEALTHY_MEMBER))
        else:
            self._over.set_result(None)
