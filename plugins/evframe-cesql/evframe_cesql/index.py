"""Many filters for one event: equal texts are evaluated once, and equalities are found by a look-up."""

from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar

from evframe_cesql.casting import CASTS, Value, parameter
from evframe_cesql.errors import EvaluationError
from evframe_cesql.filters import Filter
from evframe_cesql.operations import EVENT

K = TypeVar("K", bound=Hashable)


class _Entry(Generic[K]):
    """A text with the keys that have it."""

    __slots__ = ("filter", "keys")

    def __init__(self, compiled: Filter) -> None:
        self.filter = compiled
        self.keys: dict[K, None] = {}


class Index(Generic[K]):
    """Filters by key; `matching` returns the keys of those that an event passes.

    A filter with a leading equality costs nothing for an event whose parameter has another value: all of those on one
    parameter, and of one type, take one look-up.
    """

    def __init__(self) -> None:
        self._entries: dict[K, _Entry[K]] = {}
        self._texts: dict[str, _Entry[K]] = {}
        self._others: dict[str, _Entry[K]] = {}
        self._tables: dict[tuple[str, type], dict[Value, dict[str, _Entry[K]]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def add(self, key: K, compiled: Filter) -> None:
        """Add a filter; it takes the place of one that the key had."""
        self.remove(key)
        entry = self._texts.get(compiled.text)
        if entry is None:
            entry = self._texts[compiled.text] = _Entry(compiled)
            if compiled.equality is None:
                self._others[compiled.text] = entry
            else:
                name, value = compiled.equality
                table = self._tables.setdefault((name, value.__class__), {})
                table.setdefault(value, {})[compiled.text] = entry
        entry.keys[key] = None
        self._entries[key] = entry

    def remove(self, key: K) -> None:
        """Remove the filter of a key, if it has one."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        del entry.keys[key]
        if not entry.keys:
            self._forget(entry.filter)

    def _forget(self, compiled: Filter) -> None:
        del self._texts[compiled.text]
        if compiled.equality is None:
            del self._others[compiled.text]
            return
        name, value = compiled.equality
        table = self._tables[name, value.__class__]
        del table[value][compiled.text]
        if not table[value]:
            del table[value]
        if not table:
            del self._tables[name, value.__class__]

    def matching(self, params: Mapping[str, Any], event: str) -> list[K]:
        """Return the keys whose filters an event passes, as `Filter.matches` does, in no particular order."""
        found: list[K] = []
        for (name, kind), table in self._tables.items():
            value = params.get(name)
            if value is None and name != EVENT:  # quicker than the error of a missing parameter
                continue
            if value.__class__ is not str or kind is not str or name == EVENT:
                try:
                    value = CASTS[kind](event if name == EVENT else parameter(params, name))
                except EvaluationError:
                    continue
            for entry in table.get(value, {}).values():
                if entry.filter.is_equality or entry.filter.matches(params, event):
                    found += entry.keys
        for entry in self._others.values():
            if entry.filter.matches(params, event):
                found += entry.keys
        return found
