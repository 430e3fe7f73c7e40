"""Which members of the fleet live: each writes what it has, again and again."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final

from orjson import dumps

from evframe_fleet.records import key_of

if TYPE_CHECKING:
    from evframe_fleet.parts import Parts

_GONE_S: Final = 3600.0
_CLOCKS_S: Final = 5.0  # by how much clocks may differ


class Presence:
    """Writes what this member has, and says which members have done that lately.

    Args:
        parts: of the member.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._every_s = parts.settings.session_s / 2
        self._read_at: dict[str, float] = {}  # by this gateway's clock
        self._ahead_s: dict[str, float] = {}  # by how much their clocks are ahead of the one here, at least
        self._written_at = -inf
        self._written: Sequence[int] = ()
        self._begun_at = inf  # when what this member has written first was read

    def read(self, name: str) -> None:
        """Take that a record of a member was read, which is new, but for those that this gateway reads at its start.

        Of these the time counts at which they were written, by the wall clock of the member.
        """
        parts, record = self._parts, self._parts.table.members.get(name)
        now = parts.clock()
        if name == parts.settings.name:
            self._begun_at = min(self._begun_at, now)
        age_s = max(0.0, parts.wall() - record["at"]) if record is not None and now < self._begun_at else 0.0
        self._read_at[name] = now - age_s
        self._ahead_s[name] = 0.0 if record is None else record["at"] - parts.wall()

    def silent_s(self, name: str) -> float:
        """Return for how many seconds a member has written nothing."""
        return self._parts.clock() - self._read_at.get(name, -inf)

    def is_alive(self, name: str) -> bool:
        """Return whether a member has not left, and has written lately what it has."""
        limit_s = self._parts.settings.session_s + self._every_s
        return name in self._parts.table.members and self.silent_s(name) < limit_s

    @property
    def ahead_s(self) -> dict[str, float]:
        """The members that live and whose clocks differ from the one here, by how many seconds they are ahead.

        A record that was read late would seem to be of a clock that is behind: the member itself finds others ahead.
        """
        return {name: by for name, by in self._ahead_s.items() if by > _CLOCKS_S and self.is_alive(name)}

    @property
    def namesakes(self) -> list[str]:
        """The other members that live and have the same name in listings, but for a process before this one."""
        members, own = self._parts.table.members, self._parts.settings.about.get("name")
        later = [name for name, at in self._read_at.items() if at > self._begun_at and self.is_alive(name)]
        return [name for name in later if name != self._parts.settings.name and members[name].get("name") == own]

    @property
    def other_group(self) -> str | None:
        """The consumer group of a living member that has partitions of the same topic in another group, if there is."""
        own = self._parts.settings.about
        for name, each in self._parts.table.members.items():
            is_other = each.get("topic") == own.get("topic") and each.get("group") != own.get("group")
            if is_other and each.get("partitions") and self.is_alive(name):
                return str(each["group"])
        return None

    def write(self, owned: Sequence[int]) -> None:
        """Write which partitions this gateway has, when that has changed or it is time; forget who is long gone."""
        parts = self._parts
        now = parts.clock()
        if now < self._written_at + self._every_s and owned == self._written:
            return
        self._written_at, self._written = now, owned
        record = {**parts.settings.about, "at": parts.wall(), "partitions": owned}
        parts.log.put_lease(key_of("member", parts.settings.name), dumps(record), lambda _: None)
        for name, each in list(parts.table.members.items()) if 0 in owned else ():
            if each["at"] < parts.wall() - _GONE_S:
                parts.log.put_lease(key_of("member", name), None, lambda _: None)
                self._read_at.pop(name, None)
                self._ahead_s.pop(name, None)
