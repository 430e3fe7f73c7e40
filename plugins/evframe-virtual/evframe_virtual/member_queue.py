"""The queue of a member whose group is kept on disk: the group's queue has the events, and their bound."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from evframe import Event
from evframe.plugin import Done, Member, MemoryQueue, Policy


class Handed(Protocol):
    """An event on its way to a member."""

    @property
    def id(self) -> str | None:
        """What names it at each attempt and in each process."""

    def wait_for(self, count: int) -> None:
        """Take the outcome at each of *count* members; without this call, there is one outcome."""

    def __call__(self, reason: str | None) -> Any:
        """Take an outcome."""


class MemberQueue(MemoryQueue):
    """Takes whatever the group hands out: an event that found no room would have failed for the whole group."""

    __slots__ = ("_under_way",)

    is_kept = is_own = True

    def __init__(self) -> None:
        super().__init__(sys.maxsize)
        self._under_way: dict[int, Mapping[int, Done]] = {}

    def take(self, most: int, number: int) -> tuple[Sequence[Event], Mapping[int, Done]]:
        """Remove up to *most* events from the head; return them, and the callbacks by index."""
        events, dones = super().take(most, number)
        self._under_way[number] = dones
        return events, dones

    def ids(self, number: int) -> Sequence[str] | None:
        """Return what the events of batch *number* are called by the group's queue."""
        ids: list[Any] = [getattr(done, "id", None) for done in self._under_way.get(number, {}).values()]
        return None if None in ids else ids

    def settle(self, number: int, kept: Sequence[int]) -> None:  # noqa: ARG002 the group's queue has what is kept
        """Forget the batch."""
        self._under_way.pop(number, None)

    def configure(self, room: int, policy: Policy) -> None:
        """Do nothing: the bound is the group's."""


def keep(member: Member) -> None:
    """Have *member*, which has no queue or was left with none, deliver events that are kept."""
    member.subscriber.use(MemberQueue())
