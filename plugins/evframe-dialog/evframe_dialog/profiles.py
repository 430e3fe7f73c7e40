"""Profiles: named groups that count sessions, as a whole and by a value."""

from __future__ import annotations

from collections.abc import Iterator

from evframe_dialog.session import Session


class Profiles:
    """Which sessions belong to which profiles; a profile exists as long as one does."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, dict[Session, None]]] = {}

    def add(self, session: Session, name: str, value: str) -> None:
        """Have a session belong to a profile with a value."""
        self._members.setdefault(name, {}).setdefault(value, {})[session] = None
        session.profiles.add((name, value))

    def remove(self, session: Session, name: str, value: str) -> bool:
        """Take a session out; return whether it was there."""
        if (name, value) not in session.profiles:
            return False
        session.profiles.discard((name, value))
        values = self._members[name]
        del values[value][session]
        if not values[value]:
            del values[value]
        if not values:
            del self._members[name]
        return True

    def clear(self, session: Session) -> None:
        """Take a session out of all profiles."""
        for name, value in list(session.profiles):
            self.remove(session, name, value)

    def size(self, name: str, value: str | None = None) -> int:
        """Return how many sessions a profile has, with a value or with any."""
        values = self._members.get(name, {})
        if value is not None:
            return len(values.get(value, ()))
        return len(values[next(iter(values))]) if len(values) == 1 else len(set().union(*values.values()))

    def members(self, name: str, value: str | None = None) -> Iterator[Session]:
        """Yield the sessions of a profile, each once."""
        values = self._members.get(name, {})
        found: dict[Session, None] = {}
        for each, sessions in values.items():
            if value is None or each == value:
                found |= sessions
        yield from found

    def values(self, name: str) -> dict[str, int]:
        """Return how many sessions a profile has by value."""
        return {value: len(sessions) for value, sessions in self._members.get(name, {}).items()}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)
